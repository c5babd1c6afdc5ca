import type { HrTime } from '@opentelemetry/api';
import { writeAscii, writeFinite } from '../wire/number-text.ts';

/** Writes a sample value as Go spells it, and returns the position after it. */
export function writeNumber(out: Uint8Array, at: number, value: number): number {
  return Number.isFinite(value) ? writeFinite(out, at, value) : writeAscii(out, at, spellNonFinite(value));
}

/** Writes a sample value as Python or as Go spells it, and returns the position after it. */
export function writeSpelled(out: Uint8Array, at: number, value: number, isPython: boolean): number {
  return isPython ? writePython(out, at, value) : writeNumber(out, at, value);
}

/** As `pythonNumber`, without a string for everyday numbers. */
function writePython(out: Uint8Array, at: number, value: number): number {
  if (value < 1e6 && value >= 1e-4) {
    const end = writeFinite(out, at, value);
    return Number.isInteger(value) ? writeAscii(out, end, '.0') : end;
  }
  return writeAscii(out, at, value === 0 ? (Object.is(value, -0) ? '-0.0' : '0.0') : pythonNumber(value));
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

export function secondsOf(time: HrTime): number {
  return time[0] + time[1] / 1e9;
}
