const ZERO = 0x30;
/** More digits than any number has that a double holds exactly. */
const MAX_DIGITS = 16;

/** A non-negative decimal number as the kernel prints it; undefined for anything else, and beyond what a double holds exactly. */
export function parseCount(text: string | undefined): number | undefined {
  if (text === undefined || !/^\d{1,16}$/.test(text)) return undefined;
  const value = Number(text);
  return Number.isSafeInteger(value) ? value : undefined;
}

/** Returns what `parseCount` returns for the bytes from `start` up to `end`, without making text of thousands of numbers a second. */
export function countAt(bytes: Uint8Array, start: number, end: number): number | undefined {
  if (end <= start || end - start > MAX_DIGITS) return undefined;
  let value = 0;
  for (let at = start; at < end; at += 1) {
    const digit = (bytes[at] ?? 0) - ZERO;
    if (digit < 0 || digit > 9) return undefined;
    value = value * 10 + digit;
  }
  return value <= Number.MAX_SAFE_INTEGER ? value : undefined;
}

/** Clock ticks in a second of every time in procfs: USER_HZ, fixed at 100 on all architectures Neuron instances have. */
export const TICKS_PER_SECOND = 100;
