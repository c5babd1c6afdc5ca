import type { Parsed } from '../src/settings.ts';

const NANOSECONDS: ReadonlyMap<string, bigint> = new Map([
  ['ns', 1n],
  ['us', 1_000n],
  ['µs', 1_000n],
  ['μs', 1_000n],
  ['ms', 1_000_000n],
  ['s', 1_000_000_000n],
  ['m', 60_000_000_000n],
  ['h', 3_600_000_000_000n],
]);

/** The grammar of Go's `time.ParseDuration`; neuron-monitor itself accepts only `<integer>s`. */
export const DURATION_PATTERN = '^\\+?((\\d+(\\.\\d*)?|\\.\\d+)(ns|us|µs|μs|ms|s|m|h))+$';

const WHOLE_DURATION = new RegExp(DURATION_PATTERN);
const QUANTITY = /(\d*)(?:\.(\d*))?(ns|us|\u00b5s|\u03bcs|ms|s|m|h)/g;
const MAX_LENGTH = 64;

/**
 * Reads a duration such as `5s`, `500ms`, `1.5s` or `1h30m` as milliseconds. A result that is not a whole number of
 * milliseconds is refused.
 */
export function parseDuration(text: string): Parsed<number> {
  if (text.length > MAX_LENGTH || !WHOLE_DURATION.test(text)) return { ok: false, reason: reasonFor(text) };
  let nanoseconds = 0n;
  for (const [, whole = '', fraction = '', unit = ''] of text.matchAll(QUANTITY)) {
    const perUnit = NANOSECONDS.get(unit) ?? 0n;
    const scaled = BigInt(`${whole}${fraction}`) * perUnit;
    const divisor = 10n ** BigInt(fraction.length);
    if (scaled % divisor !== 0n) return { ok: false, reason: 'is not a whole number of milliseconds' };
    nanoseconds += scaled / divisor;
  }
  if (nanoseconds % 1_000_000n !== 0n) return { ok: false, reason: 'is not a whole number of milliseconds' };
  return { ok: true, value: Number(nanoseconds / 1_000_000n) };
}

/** The shortest spelling that `parseDuration` reads back: `1h30m`, `1m30s`, `5s`, `1500ms`. */
export function formatDuration(durationMs: number): string {
  if (durationMs === 0) return '0s';
  if (durationMs % 1_000 !== 0) return `${durationMs}ms`;
  const hours = Math.floor(durationMs / 3_600_000);
  const minutes = Math.floor((durationMs % 3_600_000) / 60_000);
  const seconds = (durationMs % 60_000) / 1_000;
  return `${hours > 0 ? `${hours}h` : ''}${minutes > 0 ? `${minutes}m` : ''}${seconds > 0 ? `${seconds}s` : ''}`;
}

function reasonFor(text: string): string {
  if (text.startsWith('-')) return 'is negative';
  if (/^\+?[\d.]+$/.test(text)) return `has no unit; write "${text}s"`;
  return 'is not a duration such as "5s", "500ms", "1.5s" or "1m30s"';
}

const BYTES: ReadonlyMap<string, number> = new Map([
  ['B', 1],
  ['KB', 1e3],
  ['MB', 1e6],
  ['GB', 1e9],
  ['TB', 1e12],
  ['KiB', 2 ** 10],
  ['MiB', 2 ** 20],
  ['GiB', 2 ** 30],
  ['TiB', 2 ** 40],
]);

export const BYTE_SIZE_PATTERN = '^\\d{1,15}(B|KB|MB|GB|TB|KiB|MiB|GiB|TiB)$';

const WHOLE_SIZE = new RegExp(BYTE_SIZE_PATTERN);

/** Reads `512MiB`, `4MB` or `100B`; a plain number of bytes is not text. */
export function parseByteSize(text: string): Parsed<number> {
  const unit = WHOLE_SIZE.exec(text)?.[1];
  if (unit === undefined) return { ok: false, reason: 'is not a size such as "512MiB", "4MB" or a whole number of bytes' };
  const bytes = Number.parseInt(text, 10) * (BYTES.get(unit) ?? Number.NaN);
  return Number.isSafeInteger(bytes) ? { ok: true, value: bytes } : { ok: false, reason: 'is too large' };
}

/** The shortest exact spelling: `512MiB`, `1500B`. */
export function formatByteSize(bytes: number): string {
  for (const unit of ['TiB', 'GiB', 'MiB', 'KiB']) {
    const perUnit = BYTES.get(unit) ?? Number.NaN;
    if (bytes > 0 && bytes % perUnit === 0) return `${bytes / perUnit}${unit}`;
  }
  return `${bytes}B`;
}
