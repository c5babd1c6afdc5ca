import { join } from 'node:path';
import type { QueueFile, QueueFileSystem } from './file-system.ts';
import { HEADER_BYTES, bodyLength, decodeRecord, findRecord } from './record.ts';
import type { FoundRecord } from './record.ts';

const EXTENSION = '.otlp';
const SET_ASIDE_EXTENSION = '.corrupt';
const FILE_NAME = /^(\d{12})\.(otlp|corrupt)$/;

/** One file of the queue. */
export interface Segment {
  readonly number: number;
  readonly path: string;
  /** Bytes of whole records. */
  size: number;
  /** Waiting to be delivered. */
  requests: number;
  points: number;
  isDamaged: boolean;
  writer?: QueueFile;
  reader?: QueueFile;
}

export interface SegmentName {
  readonly number: number;
  readonly name: string;
  readonly isSetAside: boolean;
}

/** The queue's files among the names of a folder, oldest first. */
export function segmentNames(names: readonly string[]): SegmentName[] {
  return names
    .map((name) => ({ name, match: FILE_NAME.exec(name) }))
    .filter(({ match }) => match !== null)
    .map(({ name, match }) => ({ name, number: Number(match?.[1]), isSetAside: match?.[2] === 'corrupt' }))
    .toSorted((a, b) => a.number - b.number);
}

export function newSegment(directory: string, number: number): Segment {
  const path = join(directory, `${String(number).padStart(12, '0')}${EXTENSION}`);
  return { number, path, size: 0, requests: 0, points: 0, isDamaged: false };
}

export function setAsidePath(segment: Segment): string {
  return segment.path.slice(0, -EXTENSION.length) + SET_ASIDE_EXTENSION;
}

export async function readWhole(files: QueueFileSystem, path: string): Promise<Buffer> {
  const file = await files.open(path, 'read');
  try {
    const bytes = Buffer.allocUnsafe(await file.size());
    return bytes.subarray(0, await file.read(bytes, 0));
  } finally {
    await file.close();
  }
}

/** The first valid record at `offset` or after it; undefined when there is none. Positions count from the file's beginning. */
export async function readRecord(segment: Segment, files: QueueFileSystem, offset: number): Promise<FoundRecord | undefined> {
  segment.reader ??= await files.open(segment.path, 'read');
  const header = Buffer.alloc(HEADER_BYTES);
  await segment.reader.read(header, offset);
  const length = bodyLength(header);
  if (length !== undefined && offset + HEADER_BYTES + length <= segment.size) {
    const record = Buffer.allocUnsafeSlow(HEADER_BYTES + length);
    const size = await segment.reader.read(record, offset);
    const request = decodeRecord(record.subarray(0, size));
    if (request !== undefined) return { request, start: offset, end: offset + record.length };
  }
  return searchRecord(segment, segment.reader, offset);
}

/** After damage: the rest of the file is searched. */
async function searchRecord(segment: Segment, reader: QueueFile, offset: number): Promise<FoundRecord | undefined> {
  const rest = Buffer.allocUnsafe(segment.size - offset);
  const size = await reader.read(rest, offset);
  const found = findRecord(rest.subarray(0, size), 0);
  return found === undefined ? undefined : { request: found.request, start: offset + found.start, end: offset + found.end };
}

export async function closeSegment(segment: Segment): Promise<void> {
  const { writer, reader } = segment;
  delete segment.writer;
  delete segment.reader;
  await writer?.close();
  await reader?.close();
}
