import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { boundText, pythonNumber, writeNumber } from '../../../exporters/prometheus/numbers.ts';
import { MAX_NUMBER_BYTES } from '../../../exporters/wire/number-text.ts';

function written(value: number): string {
  const out = new Uint8Array(MAX_NUMBER_BYTES + 2);
  const end = writeNumber(out, 1, value);
  expect(end).toBeLessThanOrEqual(MAX_NUMBER_BYTES + 1);
  return Buffer.from(out.subarray(1, end)).toString('latin1');
}

describe('writeNumber', () => {
  it.each([
    [0, '0'],
    [-0, '0'],
    [7, '7'],
    [-42, '-42'],
    [999_999_999, '999999999'],
    [1_000_000_000, '1000000000'],
    [9_007_199_254_740_991, '9007199254740991'],
    [5_000_000_003, '5000000003'],
    [0.5, '0.5'],
    [0.4201, '0.4201'],
    [-0.000001, '-0.000001'],
    [1e-7, '1e-7'],
    [0.1 + 0.2, '0.30000000000000004'],
    [123_456.789, '123456.789'],
    [1e21, '1e+21'],
    [Number.POSITIVE_INFINITY, '+Inf'],
    [Number.NEGATIVE_INFINITY, '-Inf'],
    [Number.NaN, 'NaN'],
  ])('%d as %s', (value, text) => {
    expect(written(value)).toBe(text);
  });

  it('writes any number so that it reads back as the same, as JavaScript spells it', () => {
    const decimals = fc.tuple(fc.integer(), fc.integer({ min: 0, max: 12 })).map(([digits, places]) => digits / 10 ** places);
    fc.assert(
      fc.property(fc.oneof(fc.double({ noNaN: true, noDefaultInfinity: true }), decimals, fc.maxSafeInteger()), (value) => {
        expect(written(value)).toBe(Object.is(value, -0) ? '0' : String(value));
      }),
      { numRuns: 5_000 },
    );
  });
});

describe('pythonNumber', () => {
  it.each([
    [0, '0.0'],
    [-0, '-0.0'],
    [1, '1.0'],
    [4, '4.0'],
    [100_000, '100000.0'],
    [999_999.5, '999999.5'],
    [1_000_000, '1e+06'],
    [9_043_968, '9.043968e+06'],
    [532_523_487_232, '5.32523487232e+011'],
    [76_337_672_192, '7.6337672192e+010'],
    [1_675_735_252.889_595, '1.675735252889595e+09'],
    [227_328_000, '2.27328e+08'],
    [0.008_199_999_999_999_999, '0.008199999999999999'],
    [0.0001, '0.0001'],
    [0.000_01, '1e-05'],
    [1.5e-7, '1.5e-07'],
    [1e16, '1e+16'],
    [1.234e300, '1.234e+300'],
    [-5_000_000, '-5000000.0'],
    [Number.NaN, 'NaN'],
    [Number.POSITIVE_INFINITY, '+Inf'],
  ])('%d as %s', (value, text) => {
    expect(pythonNumber(value)).toBe(text);
  });

  it('loses no number', () => {
    fc.assert(
      fc.property(fc.double({ noNaN: true, noDefaultInfinity: true }), (value) => {
        const text = pythonNumber(value);
        expect(Number(text)).toBe(value);
        expect(text.length).toBeLessThanOrEqual(MAX_NUMBER_BYTES);
      }),
      { numRuns: 5_000 },
    );
  });
});

it.each([
  [1, '1.0'],
  [0.001, '0.001'],
  [0.000_03, '3e-05'],
  [100_000, '100000.0'],
  [1_000_000, '1e+06'],
  [2.5, '2.5'],
  [Number.POSITIVE_INFINITY, '+Inf'],
])('bound %d as %s', (bound, text) => {
  expect(boundText(bound)).toBe(text);
});
