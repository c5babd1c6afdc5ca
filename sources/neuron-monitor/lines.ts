import { isUtf8 } from 'node:buffer';
import { AgentError } from '../../src/errors.ts';
import type { SourceFailure } from '../../src/source.ts';
import { isJsonObject } from '../../src/json-object.ts';
import type { JsonObject } from '../../src/json-object.ts';

/**
 * Longest line accepted, without its line end. 32 processes on a trn1n.32xlarge make lines of 444,521 bytes; 128 processes that each list
 * 128 cores would make about 7 MB.
 */
export const MAX_LINE_BYTES = 8 * 1024 * 1024;

const LF = 0x0a;
const CR = 0x0d;
const BOM = [0xef, 0xbb, 0xbf] as const;
/** A line may be longer than the limit by a byte order mark and a carriage return before its end is seen. */
const SLACK_BYTES = BOM.length + 1;
const FIRST_BUFFER_BYTES = 64 * 1024;
const NO_BYTES = new Uint8Array(0);

/** One line without its end and without a byte order mark, or one loss. An `unterminated` line is the last one, which no LF ended. */
export type LineEvent =
  | { readonly kind: 'line'; readonly bytes: Uint8Array }
  | { readonly kind: 'unterminated'; readonly bytes: Uint8Array }
  | { readonly kind: 'too_long' };

/**
 * `LineSplitter` cuts a byte stream into lines that end in LF or CRLF; empty lines are left out. A line over the limit is reported once and skipped
 * up to its LF, so memory stays within twice the limit whatever arrives. Bytes are never decoded here.
 */
export class LineSplitter {
  readonly #maxBytes: number;
  /** The line under way. The event of its end holds this buffer itself, and a new one replaces it: bytes are copied at most once. */
  #held: Uint8Array = NO_BYTES;
  #heldBytes = 0;
  #capacityHint = FIRST_BUFFER_BYTES;
  #skipping = false;

  constructor(maxBytes: number = MAX_LINE_BYTES) {
    this.#maxBytes = maxBytes;
  }

  /** Events of one chunk, lazily. Lines are views: of the chunk where they lie whole within it. */
  *push(chunk: Uint8Array): Generator<LineEvent, void> {
    let from = 0;
    for (let lf = chunk.indexOf(LF); lf !== -1; lf = chunk.indexOf(LF, from)) {
      const event = this.#finish(chunk.subarray(from, lf));
      from = lf + 1;
      if (event !== undefined) yield event;
    }
    if (from < chunk.length && !this.#hold(chunk.subarray(from))) yield { kind: 'too_long' };
  }

  /** Ends the stream. Returns the bytes after the last LF, if there are any: a writer may leave out the last line end. */
  end(): LineEvent | undefined {
    const bytes = this.#skipping ? NO_BYTES : trim(this.#held.subarray(0, this.#heldBytes));
    this.#drop();
    this.#skipping = false;
    if (bytes.length > this.#maxBytes) return { kind: 'too_long' };
    return bytes.length === 0 ? undefined : { kind: 'unterminated', bytes };
  }

  #finish(tail: Uint8Array): LineEvent | undefined {
    if (this.#skipping) {
      this.#skipping = false;
      return undefined;
    }
    if (this.#heldBytes > 0 && !this.#hold(tail)) {
      this.#skipping = false;
      return { kind: 'too_long' };
    }
    const bytes = trim(this.#heldBytes > 0 ? this.#held.subarray(0, this.#heldBytes) : tail);
    this.#drop();
    if (bytes.length > this.#maxBytes) return { kind: 'too_long' };
    return bytes.length === 0 ? undefined : { kind: 'line', bytes };
  }

  /** Keeps the bytes of an unfinished line; false, once for each line, when it grows over the limit. */
  #hold(bytes: Uint8Array): boolean {
    if (this.#skipping) return true;
    const length = this.#heldBytes + bytes.length;
    if (length > this.#maxBytes + SLACK_BYTES) {
      this.#drop();
      this.#skipping = true;
      return false;
    }
    if (length > this.#held.length) this.#grow(length);
    this.#held.set(bytes, this.#heldBytes);
    this.#heldBytes = length;
    return true;
  }

  #grow(length: number): void {
    const larger = new Uint8Array(Math.max(length, this.#capacityHint, 2 * this.#held.length));
    larger.set(this.#held.subarray(0, this.#heldBytes));
    this.#held = larger;
  }

  #drop(): void {
    if (this.#heldBytes === 0) return;
    this.#capacityHint = Math.max(FIRST_BUFFER_BYTES, Math.min(this.#heldBytes + FIRST_BUFFER_BYTES, this.#maxBytes));
    this.#held = NO_BYTES;
    this.#heldBytes = 0;
  }
}

function trim(line: Uint8Array): Uint8Array {
  const from = BOM.every((byte, index) => line[index] === byte) ? BOM.length : 0;
  const to = line.length > from && line[line.length - 1] === CR ? line.length - 1 : line.length;
  return line.subarray(from, to);
}

/** Top-level members of a report, in the order neuron-monitor prints them. A line with none of them is no report. */
const TOP_LEVEL = ['neuron_runtime_data', 'system_data', 'instance_info', 'neuron_hardware_info', 'neuron_k8s_info'] as const;

/** Real records nest 12 levels deep. */
const MAX_DEPTH = 64;
/**
 * JSON values of one line. A record of 32 processes that each list 32 cores holds 23,885; 128 processes on 128 cores would hold
 * about 380,000. The limit bounds the memory that parsing takes, which depends on the number of values more than on their bytes.
 */
const MAX_VALUES = 500_000;
/**
 * Different keys of one line. The engine keeps a description of each object form, so 240,000 objects with a key of their own took 2.7 s.
 * Real keys are names of fields, kinds and subgraphs, and indexes of cores and vCPUs.
 */
const MAX_DISTINCT_KEYS = 20_000;
/** Shorter lines cannot pass a limit by enough to matter, and are parsed without being measured first. */
const MEASURED_FROM_BYTES = 64 * 1024;

export type ParsedLine =
  | { readonly outcome: 'document'; readonly document: JsonObject; readonly failures: readonly SourceFailure[] }
  | { readonly outcome: 'malformed'; readonly error: AgentError };

/**
 * Parses one line of the stream into a JSON document, or returns the reason why the line is no record: not UTF-8, too many values,
 * not JSON, not a report. Members named `__proto__` are removed and counted: no later copy of the document can change a prototype.
 */
export function parseLine(bytes: Uint8Array): ParsedLine {
  if (!isUtf8(bytes)) return malformed('line is not UTF-8');
  const excess = bytes.length < MEASURED_FROM_BYTES ? undefined : excessOf(bytes);
  if (excess !== undefined) return malformed(excess);
  const text = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString('utf8');
  let document: unknown;
  try {
    document = JSON.parse(text);
  } catch (thrown) {
    return isPrettyPrinted(text)
      ? malformed('line is a part of a document that is printed over several lines; one record a line is expected, as `jq -c .` prints it')
      : malformed('line is not JSON', thrown);
  }
  if (!isJsonObject(document) || !isReport(document)) return malformed(reasonOfOther(document));
  const removed = mayNamePrototype(text) ? removePrototypeMembers(document) : 0;
  return { outcome: 'document', document, failures: removed === 0 ? [] : [prototypeFailure()] };
}

/** The message is constant, so that a stream of bad lines is one log entry; the parser's words are the cause. */
function malformed(message: string, cause?: unknown): ParsedLine {
  const error = new AgentError('source_malformed', 'neuron-monitor', message, cause === undefined ? undefined : { cause });
  return { outcome: 'malformed', error };
}

const QUOTE = 0x22;
const COMMA = 0x2c;
const BACKSLASH = 0x5c;
const COLON = 0x3a;
const SPACE = 0x20;
/** Spreads hashes of similar keys: 2^32 divided by the golden ratio (Knuth, multiplicative hashing). */
const GOLDEN_RATIO = 0x9e3779b1;
const OPEN_LIST = 0x5b;
const CLOSE_LIST = 0x5d;
const OPEN_OBJECT = 0x7b;
const CLOSE_OBJECT = 0x7d;

/** Returns which limit the line passes. One pass over the bytes; the text need not be valid JSON. */
function excessOf(bytes: Uint8Array): string | undefined {
  const keys = new DistinctKeys(bytes);
  let values = 0;
  let depth = 0;
  for (let at = 0; at < bytes.length; at += 1) {
    switch (bytes[at] ?? 0) {
      case QUOTE:
        at = keys.endOfString(at);
        break;
      case COMMA:
        values += 1;
        break;
      case OPEN_LIST:
      case OPEN_OBJECT:
        values += 1;
        depth += 1;
        if (depth > MAX_DEPTH) return `line nests more than ${MAX_DEPTH} levels deep`;
        break;
      case CLOSE_LIST:
      case CLOSE_OBJECT:
        depth -= 1;
        break;
    }
    if (values > MAX_VALUES) return `line holds more than ${MAX_VALUES} values`;
    if (keys.count > MAX_DISTINCT_KEYS) return `line holds more than ${MAX_DISTINCT_KEYS} different keys`;
  }
  return undefined;
}

const HASH_BITS = 17;

/** `DistinctKeys` counts different keys by a hash of 17 bits each: a few too few, never too many. */
class DistinctKeys {
  count = 0;
  readonly #bytes: Uint8Array;
  readonly #seen = new Uint8Array(2 ** (HASH_BITS - 3));

  constructor(bytes: Uint8Array) {
    this.#bytes = bytes;
  }

  /** Returns the offset of the quote that ends the string which begins at `from`, and counts the string when it is a key. */
  endOfString(from: number): number {
    const bytes = this.#bytes;
    let hash = 0;
    let at = from + 1;
    for (; at < bytes.length && bytes[at] !== QUOTE; at += 1) {
      if (bytes[at] === BACKSLASH) at += 1;
      hash = (Math.imul(hash, 31) + (bytes[at] ?? 0)) | 0;
    }
    if (this.#isKey(at)) this.#count(Math.imul(hash, GOLDEN_RATIO) >>> (32 - HASH_BITS));
    return at;
  }

  #isKey(end: number): boolean {
    let next = end + 1;
    while (this.#bytes[next] === SPACE) next += 1;
    return this.#bytes[next] === COLON;
  }

  #count(hash: number): void {
    const bit = 1 << (hash & 7);
    const before = this.#seen[hash >>> 3] ?? 0;
    if ((before & bit) !== 0) return;
    this.#seen[hash >>> 3] = before | bit;
    this.count += 1;
  }
}

function isReport(document: JsonObject): boolean {
  return TOP_LEVEL.some((member) => Object.hasOwn(document, member));
}

/** `jq .` and most editors put the first brace on a line of its own, and each member on another. */
function isPrettyPrinted(text: string): boolean {
  return /^\s*(?:[[\]{}],?|"[^"]*"\s*:\s*(?:[[{]|.*,?))\s*$/.test(text.slice(0, 1_000));
}

/** Names the form that was found, and the form that is expected. */
function reasonOfOther(document: unknown): string {
  if (Array.isArray(document)) {
    return document.some((item) => isJsonObject(item) && isReport(item))
      ? 'line is a list of reports; one report a line is expected, as `jq -c ".[]"` prints them'
      : 'line is not a JSON object';
  }
  if (!isJsonObject(document)) return 'line is not a JSON object';
  if (RELEASE_1.some((member) => Object.hasOwn(document, member))) {
    return 'line is a report of an early release of neuron-monitor (the first beta, or release 1 for Neuron Runtime 1.x); release 2 or newer is expected';
  }
  return Object.values(document).some((inner) => isJsonObject(inner) && isReport(inner))
    ? 'line wraps a report in another object; the report itself is expected, as `jq -c ".[]"` prints it'
    : 'line is not a neuron-monitor report';
}

/** Top-level members of release 1 and of the first beta, which newer releases do not print. Source: user guides of Neuron 1.x. */
const RELEASE_1 = ['instance_data', 'runtimes', 'hw_counters', 'cpu_usage'] as const;

function prototypeFailure(): SourceFailure {
  return { error: new AgentError('source_malformed', 'neuron-monitor', 'members named __proto__ were left out') };
}

/** `_` can be written `\u005f` in JSON. */
function mayNamePrototype(text: string): boolean {
  return text.includes('__proto__') || text.includes('\\u005f') || text.includes('\\u005F');
}

/** Walks with a stack of its own: JSON may nest deeper than calls can. */
function removePrototypeMembers(document: object): number {
  let removed = 0;
  const open: object[] = [document];
  for (let value = open.pop(); value !== undefined; value = open.pop()) {
    if (Object.hasOwn(value, '__proto__')) {
      Reflect.deleteProperty(value, '__proto__');
      removed += 1;
    }
    for (const inner of Object.values(value)) if (typeof inner === 'object' && inner !== null) open.push(inner);
  }
  return removed;
}
