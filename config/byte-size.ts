import type { Parsed } from './parsed.ts';

const UNITS: ReadonlyMap<string, number> = new Map([
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

const WHOLE = new RegExp(BYTE_SIZE_PATTERN);

/** Reads `512MiB`, `4MB` or `100B`; a plain number of bytes is not text. */
export function parseByteSize(text: string): Parsed<number> {
  const unit = WHOLE.exec(text)?.[1];
  if (unit === undefined) return { ok: false, reason: 'is not a size such as "512MiB", "4MB" or a whole number of bytes' };
  const bytes = Number.parseInt(text, 10) * (UNITS.get(unit) ?? Number.NaN);
  return Number.isSafeInteger(bytes) ? { ok: true, value: bytes } : { ok: false, reason: 'is too large' };
}

/** The shortest exact spelling: `512MiB`, `1500B`. */
export function formatByteSize(bytes: number): string {
  for (const unit of ['TiB', 'GiB', 'MiB', 'KiB']) {
    const perUnit = UNITS.get(unit) ?? Number.NaN;
    if (bytes > 0 && bytes % perUnit === 0) return `${bytes / perUnit}${unit}`;
  }
  return `${bytes}B`;
}
