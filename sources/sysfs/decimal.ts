const DIGIT_0 = 48;
const DIGIT_9 = 57;
const LINE_FEED = 10;
/** Numbers this long are exact as doubles; longer ones go through bigint. */
const SAFE_DIGITS = 15;
/** What stands before the last fifteen digits; below this the whole number is less than 2^53. */
const HIGH_IS_SAFE = 9;
const U64_MAX = 0xffff_ffff_ffff_ffffn;

/**
 * The unsigned decimal number at the start of `bytes`, as the driver prints it: digits and one line end.
 * A number when a double holds it exactly, else a bigint; undefined for anything else, beyond 64 bits, or without a line end.
 */
export function parseDecimalLine(bytes: Uint8Array, length: number): number | bigint | undefined {
  let value = 0;
  let at = 0;
  while (at < length) {
    const byte = bytes[at];
    if (byte === undefined || byte < DIGIT_0 || byte > DIGIT_9) break;
    value = value * 10 + (byte - DIGIT_0);
    at += 1;
  }
  if (at === 0 || at !== length - 1 || bytes[at] !== LINE_FEED) return undefined;
  return at <= SAFE_DIGITS ? value : longDecimal(bytes, at);
}

/** In two parts that are exact: most counters of this length still fit a double. */
function longDecimal(bytes: Uint8Array, digits: number): number | bigint | undefined {
  const high = digitsAt(bytes, 0, digits - SAFE_DIGITS);
  if (high < HIGH_IS_SAFE) return high * 10 ** SAFE_DIGITS + digitsAt(bytes, digits - SAFE_DIGITS, digits);
  const value = BigInt(String.fromCharCode(...bytes.subarray(0, digits)));
  if (value > U64_MAX) return undefined;
  return value <= BigInt(Number.MAX_SAFE_INTEGER) ? Number(value) : value;
}

function digitsAt(bytes: Uint8Array, from: number, to: number): number {
  let value = 0;
  for (let at = from; at < to; at += 1) value = value * 10 + ((bytes[at] ?? DIGIT_0) - DIGIT_0);
  return value;
}
