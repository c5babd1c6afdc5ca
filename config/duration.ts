import type { Parsed } from './parsed.ts';

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

/** The grammar of Go's `time.ParseDuration`, of which neuron-monitor takes the part `<integer>s`. */
export const DURATION_PATTERN = '^\\+?((\\d+(\\.\\d*)?|\\.\\d+)(ns|us|µs|μs|ms|s|m|h))+$';

const WHOLE = new RegExp(DURATION_PATTERN);
const PART = /(\d*)(?:\.(\d*))?(ns|us|\u00b5s|\u03bcs|ms|s|m|h)/g;
const MAX_LENGTH = 64;

/**
 * Reads a duration such as `5s`, `500ms`, `1.5s` or `1h30m` as milliseconds. Exact: it is a failure when the result is not a whole
 * number of milliseconds.
 */
export function parseDuration(text: string): Parsed<number> {
  if (text.length > MAX_LENGTH || !WHOLE.test(text)) return { ok: false, reason: reasonFor(text) };
  let nanoseconds = 0n;
  for (const [, whole = '', fraction = '', unit = ''] of text.matchAll(PART)) {
    const perUnit = NANOSECONDS.get(unit) ?? 0n;
    const parts = BigInt(`${whole}${fraction}`) * perUnit;
    const divisor = 10n ** BigInt(fraction.length);
    if (parts % divisor !== 0n) return { ok: false, reason: 'is not a whole number of milliseconds' };
    nanoseconds += parts / divisor;
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
