import { crc32 } from 'node:zlib';
import { isCompression } from './compression.ts';
import type { Compression } from './compression.ts';

/**
 * One request as it waits to be sent, in memory and on disk. The delivery room looks into the body only through the functions of the
 * destination's `RequestFormat`.
 */
export interface DeliveryRequest {
  /** Compressed as `contentEncoding` says. */
  readonly body: Buffer;
  /** Number of data points (or log records) in the body: the unit of every counter of delivery. */
  readonly points: number;
  /** Bytes of the body before compression. */
  readonly rawBytes: number;
  /** As in the header of HTTP. */
  readonly contentType: string;
  readonly contentEncoding: Compression;
  /** When it was queued, in milliseconds since the epoch. */
  readonly enqueuedAtMs: number;
}

/** Operations on the uncompressed bodies of one destination's requests. Functions return undefined where it is impossible. */
export interface RequestFormat {
  /** Makes one body of several of the same content type, in their order. */
  merge(bodies: readonly Buffer[], contentType: string): Buffer | undefined;
  /** Divides a body that is too large for the receiver. */
  split(body: Buffer, contentType: string): readonly { readonly body: Buffer; readonly points: number }[] | undefined;
}

/** Facts about a request that the name of its queue file holds. */
export interface RequestFileName {
  readonly name: string;
  /** Rises from request to request; the order of delivery. */
  readonly number: number;
  readonly enqueuedAtMs: number;
  readonly points: number;
  /** Bytes of the body before compression. */
  readonly rawBytes: number;
  /** Bytes of the whole file. */
  readonly bytes: number;
}

const NAME = /^(\d{12})\.(\d{1,15})\.(\d{1,12})\.(\d{1,9})\.(\d{1,9})\.request$/;
const CRC_CHARACTERS = 8;
const MAX_HEADER_BYTES = 512;

/**
 * Makes a queue file. Its name is `NUMBER.TIME.POINTS.RAWBYTES.BYTES.request`, so that a folder is known by its listing alone. Its first
 * line holds a CRC-32 in hexadecimal digits, a space, and JSON with what the name does not contain; the body follows. The checksum
 * covers the name, the JSON and the body. `tail -n +2 FILE | gunzip` prints a body.
 */
export function encodeRequestFile(number: number, request: DeliveryRequest): { readonly file: RequestFileName; readonly header: Buffer } {
  const { rawBytes, contentType, contentEncoding, points } = request;
  const json = Buffer.from(` ${JSON.stringify({ contentType, contentEncoding })}\n`);
  const bytes = CRC_CHARACTERS + json.length + request.body.length;
  const enqueuedAtMs = Math.max(0, Math.round(request.enqueuedAtMs));
  const name = `${String(number).padStart(12, '0')}.${enqueuedAtMs}.${points}.${rawBytes}.${bytes}.request`;
  const header = Buffer.concat([Buffer.from(checksum(name, json, request.body)), json]);
  return { file: { name, number, enqueuedAtMs, points, rawBytes, bytes }, header };
}

/** Undefined when this is not the name of a queue file. */
export function parseRequestFileName(name: string): RequestFileName | undefined {
  const match = NAME.exec(name);
  if (match === null) return undefined;
  const [number = 0, enqueuedAtMs = 0, points = 0, rawBytes = 0, bytes = 0] = match.slice(1).map(Number);
  return { name, number, enqueuedAtMs, points, rawBytes, bytes };
}

/** The request in a file; undefined when the file is torn or damaged. The body shares the memory of `bytes`. */
export function decodeRequestFile(file: RequestFileName, bytes: Buffer): DeliveryRequest | undefined {
  const end = bytes.subarray(0, MAX_HEADER_BYTES).indexOf('\n');
  if (bytes.length !== file.bytes || end < CRC_CHARACTERS) return undefined;
  const json = bytes.subarray(CRC_CHARACTERS, end + 1);
  const body = bytes.subarray(end + 1);
  if (bytes.subarray(0, CRC_CHARACTERS).toString('latin1') !== checksum(file.name, json, body)) return undefined;
  // The checksum was right: this is JSON that `encodeRequestFile` wrote, perhaps that of another version.
  const header: unknown = JSON.parse(json.toString());
  if (typeof header !== 'object' || header === null) return undefined;
  const { contentType, contentEncoding } = { contentType: '', contentEncoding: '', ...header };
  if (!isCompression(contentEncoding)) return undefined;
  return { body, points: file.points, rawBytes: file.rawBytes, contentType, contentEncoding, enqueuedAtMs: file.enqueuedAtMs };
}

function checksum(name: string, json: Buffer, body: Buffer): string {
  return crc32(body, crc32(json, crc32(name)))
    .toString(16)
    .padStart(CRC_CHARACTERS, '0');
}
