import { crc32c } from './crc32c.ts';
import { OTLP_COMPRESSIONS } from './settings.ts';
import type { OtlpCompression } from './settings.ts';

const CONTENT_TYPES = ['application/x-protobuf', 'application/json'] as const;
export type ContentType = (typeof CONTENT_TYPES)[number];

/** One request as it waits to be sent. */
export interface OtlpRequest {
  /** Compressed as `contentEncoding` says. */
  readonly body: Buffer;
  readonly points: number;
  readonly contentType: ContentType;
  readonly contentEncoding: OtlpCompression;
  /** Milliseconds since the epoch. */
  readonly enqueuedAtMs: number;
}

/**
 * A record of a queue file, little-endian: 4 bytes magic, 4 bytes CRC-32C of everything after it, 4 bytes length of the body,
 * 4 bytes points, 8 bytes time (double), 1 byte content type, 1 byte content encoding, 2 bytes zero, then the body. The magic lets a
 * reader find the next record after damage (its first byte is in no UTF-8 text); the checksum says which finds are real.
 */
const MAGIC = Buffer.of(0xff, 0x4e, 0x4f, 0x51);
export const HEADER_BYTES = 28;
const CRC_AT = 4;
const CHECKED_FROM = 8;
const LENGTH_AT = 8;
const POINTS_AT = 12;
const TIME_AT = 16;
const TYPE_AT = 24;
const ENCODING_AT = 25;

/** Bodies are at most as large as the specification lets a request be. */
export const MAX_BODY_BYTES = 64 * 1024 * 1024;

export function recordBytes(request: OtlpRequest): number {
  return HEADER_BYTES + request.body.length;
}

export function encodeHeader(request: OtlpRequest): Buffer {
  const header = Buffer.alloc(HEADER_BYTES);
  MAGIC.copy(header);
  header.writeUInt32LE(request.body.length, LENGTH_AT);
  header.writeUInt32LE(request.points, POINTS_AT);
  header.writeDoubleLE(request.enqueuedAtMs, TIME_AT);
  header.writeUInt8(CONTENT_TYPES.indexOf(request.contentType), TYPE_AT);
  header.writeUInt8(OTLP_COMPRESSIONS.indexOf(request.contentEncoding), ENCODING_AT);
  header.writeUInt32LE(crc32c(request.body, crc32c(header.subarray(CHECKED_FROM))), CRC_AT);
  return header;
}

/** Length of the body that a header announces; undefined when this is no header. */
export function bodyLength(header: Buffer): number | undefined {
  if (header.length < HEADER_BYTES || !header.subarray(0, CRC_AT).equals(MAGIC)) return undefined;
  const length = header.readUInt32LE(LENGTH_AT);
  return length <= MAX_BODY_BYTES ? length : undefined;
}

/** The request in a whole record; undefined when the checksum does not match. The body shares the record's memory. */
export function decodeRecord(record: Buffer): OtlpRequest | undefined {
  if (bodyLength(record) !== record.length - HEADER_BYTES) return undefined;
  if (crc32c(record.subarray(CHECKED_FROM)) !== record.readUInt32LE(CRC_AT)) return undefined;
  const contentType = CONTENT_TYPES[record.readUInt8(TYPE_AT)];
  const contentEncoding = OTLP_COMPRESSIONS[record.readUInt8(ENCODING_AT)];
  if (contentType === undefined || contentEncoding === undefined) return undefined;
  return {
    body: record.subarray(HEADER_BYTES),
    points: record.readUInt32LE(POINTS_AT),
    contentType,
    contentEncoding,
    enqueuedAtMs: record.readDoubleLE(TIME_AT),
  };
}

export interface FoundRecord {
  readonly request: OtlpRequest;
  readonly start: number;
  readonly end: number;
}

/** The first valid record that begins at `from` or after it. */
export function findRecord(bytes: Buffer, from: number): FoundRecord | undefined {
  for (let start = bytes.indexOf(MAGIC, from); start >= 0; start = bytes.indexOf(MAGIC, start + 1)) {
    const length = bodyLength(bytes.subarray(start));
    if (length === undefined || start + HEADER_BYTES + length > bytes.length) continue;
    const end = start + HEADER_BYTES + length;
    const request = decodeRecord(bytes.subarray(start, end));
    if (request !== undefined) return { request, start, end };
  }
  return undefined;
}

/** What a queue file holds. */
export interface FileSummary {
  readonly requests: number;
  readonly points: number;
  /** Places where bytes were no valid record. */
  readonly damages: number;
  /** The last record was cut off, as a crash during its writing leaves it. */
  readonly isTorn: boolean;
  /** Where the last valid record ends. */
  readonly end: number;
}

/** Reads a whole file from a record's beginning. */
export function summarizeFile(bytes: Buffer, from: number): FileSummary {
  let requests = 0;
  let points = 0;
  let damages = 0;
  let at = from;
  for (let found = findRecord(bytes, at); found !== undefined; found = findRecord(bytes, at)) {
    if (found.start > at) damages += 1;
    requests += 1;
    points += found.request.points;
    at = found.end;
  }
  const isTorn = at < bytes.length && isTornRecord(bytes.subarray(at));
  if (at < bytes.length && !isTorn) damages += 1;
  return { requests, points, damages, isTorn, end: at };
}

/** Whether these last bytes of a file are the beginning of a record. */
export function isTornRecord(rest: Buffer): boolean {
  if (rest.length < HEADER_BYTES) return MAGIC.subarray(0, rest.length).equals(rest.subarray(0, CRC_AT));
  const length = bodyLength(rest);
  return length !== undefined && HEADER_BYTES + length > rest.length;
}
