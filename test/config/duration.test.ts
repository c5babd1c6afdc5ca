import { describe, expect, it } from 'vitest';
import * as fc from 'fast-check';
import { formatByteSize, formatDuration, parseByteSize, parseDuration } from '../../config/units.ts';

describe('durations', () => {
  it.each([
    // What neuron-monitor takes.
    ['1s', 1_000],
    ['5s', 5_000],
    ['001s', 1_000],
    // What it silently takes for 5 s, or for something else.
    ['1.0s', 1_000],
    ['0.5s', 500],
    ['5.0s', 5_000],
    ['500ms', 500],
    ['1.5s', 1_500],
    // The rest of Go's grammar.
    ['1m', 60_000],
    ['1h30m', 5_400_000],
    ['1h0m0.5s', 3_600_500],
    ['+2s', 2_000],
    ['.5s', 500],
    ['1.s', 1_000],
    ['1s500ms', 1_500],
    ['500ms1s', 1_500],
    ['10000us', 10],
    ['10000µs', 10],
    ['10000μs', 10],
    ['10000000ns', 10],
    ['0.1s', 100],
    ['1.001s', 1_001],
    ['0s', 0],
    ['2562047h', 9_223_369_200_000],
  ])('%s is %d ms', (text, expected) => {
    expect(parseDuration(text)).toEqual({ ok: true, value: expected });
  });

  it.each([
    '',
    's',
    '5',
    '.s',
    '-1s',
    '5 s',
    ' 5s',
    '5s ',
    '5S',
    '1d',
    '1w',
    '1e3s',
    '0x5s',
    '５s',
    'NaNs',
    'Infinitys',
    '1,5s',
    '1.5.5s',
    '1ms1',
    '--1s',
    '+-1s',
    '1\ns',
    '9'.repeat(65) + 's',
  ])('%j is no duration', (text) => {
    expect(parseDuration(text)).toMatchObject({ ok: false });
  });

  it.each(['1us', '1.0005s', '0.0001ms', '1.5ms'])('%s is no whole number of milliseconds', (text) => {
    expect(parseDuration(text)).toEqual({ ok: false, reason: 'is not a whole number of milliseconds' });
  });

  it('are written so that they read back', () => {
    fc.assert(
      fc.property(fc.integer({ min: 0, max: 400 * 86_400_000 }), (ms) => {
        expect(parseDuration(formatDuration(ms))).toEqual({ ok: true, value: ms });
      }),
    );
    expect([5_000, 90_000, 5_400_000, 1_500, 0].map(formatDuration)).toEqual(['5s', '1m30s', '1h30m', '1500ms', '0s']);
  });
});

describe('sizes', () => {
  it.each([
    ['0B', 0],
    ['1KiB', 1024],
    ['512MiB', 536_870_912],
    ['4MB', 4_000_000],
    ['1TiB', 2 ** 40],
  ])('%s is %d bytes', (text, expected) => {
    expect(parseByteSize(text)).toEqual({ ok: true, value: expected });
  });

  it.each(['', '5', '5 MB', '5mb', '-1B', '1.5GiB', '5M', '99999999999999TiB', 'MiB'])('%j is no size', (text) => {
    expect(parseByteSize(text)).toMatchObject({ ok: false });
  });

  it('are written so that they read back', () => {
    fc.assert(
      fc.property(fc.integer({ min: 0, max: 2 ** 45 }), (bytes) => {
        expect(parseByteSize(formatByteSize(bytes))).toEqual({ ok: true, value: bytes });
      }),
    );
  });
});
