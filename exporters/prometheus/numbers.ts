/** No number is written longer than this. */
export const MAX_NUMBER_BYTES = 32;

const ZERO = 48;
const POINT = 46;
const MINUS = 45;

/**
 * Writes a sample value as ASCII and returns the position after it. Integers and short decimals, which are nearly all values, never
 * become a string: formatting numbers is what a page costs.
 */
export function writeNumber(out: Uint8Array, at: number, value: number): number {
  if (!Number.isFinite(value)) return writeAscii(out, at, spellNonFinite(value));
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

/** Writes a sample value as Python or as Go spells it, and returns the position after it. */
export function writeSpelled(out: Uint8Array, at: number, value: number, isPython: boolean): number {
  return isPython ? writeAscii(out, at, pythonNumber(value)) : writeNumber(out, at, value);
}

/** A number as Python's prometheus_client writes it: `repr`, with Go's exponents from 1e6 on and a zero before their digits. */
export function pythonNumber(value: number): string {
  if (!Number.isFinite(value)) return spellNonFinite(value);
  const text = pythonRepr(value);
  const point = text.indexOf('.');
  if (value <= 0 || point <= 6) return text;
  const mantissa = `${text.slice(0, 1)}.${text.slice(1, point)}${text.slice(point + 1)}`.replace(/[0.]+$/, '');
  return `${mantissa}e+0${point - 1}`;
}

/**
 * Value of a `le` label, as OpenMetrics and Prometheus' own protobuf parser spell it: Go's shortest form, `.0` after integers.
 * One spelling for all formats, so that a bucket keeps its identity when a scraper changes its mind.
 */
export function boundText(bound: number): string {
  if (!Number.isFinite(bound)) return spellNonFinite(bound);
  const magnitude = Math.abs(bound);
  if (magnitude !== 0 && (magnitude < 1e-4 || magnitude >= 1e6)) return bound.toExponential().replace(/e([+-])(\d)$/, 'e$10$2');
  return Number.isInteger(bound) ? `${bound}.0` : String(bound);
}

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

function spellNonFinite(value: number): string {
  if (Number.isNaN(value)) return 'NaN';
  return value > 0 ? '+Inf' : '-Inf';
}

/** Python's `repr` of a float: as JavaScript's, but with exponents below 1e-4 and from 1e16, two digits long at least, and `.0`. */
function pythonRepr(value: number): string {
  if (Object.is(value, -0)) return '-0.0';
  const magnitude = Math.abs(value);
  if (magnitude !== 0 && (magnitude < 1e-4 || magnitude >= 1e16)) {
    return value.toExponential().replace(/e([+-])(\d)$/, 'e$10$2');
  }
  return Number.isInteger(value) ? `${value}.0` : String(value);
}
