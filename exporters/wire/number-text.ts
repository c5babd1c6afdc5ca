/** No number is written longer than this. */
export const MAX_NUMBER_BYTES = 32;

const ZERO = 48;
const POINT = 46;
const MINUS = 45;

/**
 * Writes a finite number as JavaScript spells it, but -0 as 0, and returns the position after it. Integers and short decimals, which
 * are nearly all values, never become a string: formatting numbers is what a page costs.
 */
export function writeFinite(out: Uint8Array, at: number, value: number): number {
  let position = at;
  let magnitude = value;
  if (value < 0) {
    out[position++] = MINUS;
    magnitude = -value;
  }
  if (Number.isSafeInteger(magnitude)) return writeInteger(out, position, magnitude);
  if (magnitude < 1e6 && magnitude >= 1e-6) {
    const billionths = Math.round(magnitude * 1e9);
    // Division of two exact integers rounds correctly, so equality means the decimal reads back as this very number.
    if (billionths / 1e9 === magnitude) return writeDecimal(out, position, billionths);
  }
  return writeAscii(out, position, String(magnitude));
}

/** Writes text of ASCII characters only, and returns the position after it. */
export function writeAscii(out: Uint8Array, at: number, text: string): number {
  let position = at;
  for (let index = 0; index < text.length; index += 1) out[position++] = text.charCodeAt(index);
  return position;
}

function writeInteger(out: Uint8Array, at: number, value: number): number {
  if (value < 1e9) return writeDigits(out, at, value, digitsOf(value));
  const high = Math.floor(value / 1e9);
  return writeDigits(out, writeDigits(out, at, high, digitsOf(high)), value - high * 1e9, 9);
}

function writeDecimal(out: Uint8Array, at: number, billionths: number): number {
  const whole = Math.floor(billionths / 1e9);
  let position = writeDigits(out, at, whole, digitsOf(whole));
  out[position++] = POINT;
  position = writeDigits(out, position, billionths - whole * 1e9, 9);
  while (out[position - 1] === ZERO) position -= 1;
  return position;
}

/** Writes the last `digits` digits, zeros in front. */
function writeDigits(out: Uint8Array, at: number, value: number, digits: number): number {
  let rest = value | 0;
  for (let position = at + digits - 1; position >= at; position -= 1) {
    const next = (rest / 10) | 0;
    out[position] = ZERO + rest - next * 10;
    rest = next;
  }
  return at + digits;
}

function digitsOf(value: number): number {
  let digits = 1;
  for (let limit = 10; value >= limit; limit *= 10) digits += 1;
  return digits;
}
