import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { nativeBuckets } from '../../../exporters/prometheus/histogram.ts';
import { prometheusText } from '../../../exporters/prometheus/page.ts';
import { replayFixture } from '../../support/replay.ts';
import { histogramCollection, histogramOf } from './support/histograms.ts';
import { hostileValues } from './support/hostile.ts';
import { TEST_METRICS, cycle, testStore } from '../../support/metrics.ts';
import { TestEncoder, freshPages } from './support/pages.ts';
import { parsePage, sampleKey } from './support/parse.ts';
import { messagesAt, numberAt, readDelimited, textAt, zigzag } from './support/protobuf.ts';
import type { Fields } from './support/protobuf.ts';

const BOUNDS = [0.001, 0.01, 0.1, 1];
const VALUES = [0.0005, 0.002, 0.002, 0.003, 0.05, 0.9, 3];

function labelsOf(metric: Fields): Readonly<Record<string, string>> {
  return Object.fromEntries(messagesAt(metric, 1).map((label) => [textAt(label, 1) ?? '', textAt(label, 2) ?? '']));
}

/** Numbers of a page, by their keys; histograms left out. */
function samplesOf(page: Buffer): ReadonlyMap<string, number> {
  const samples = new Map<string, number>();
  for (const family of readDelimited(page)) {
    for (const metric of messagesAt(family, 4)) {
      const [number] = [...messagesAt(metric, 2), ...messagesAt(metric, 3)];
      if (number === undefined) continue;
      samples.set(sampleKey({ name: textAt(family, 1) ?? '', labels: labelsOf(metric), value: '' }), numberAt(number, 1) ?? Number.NaN);
    }
  }
  return samples;
}

describe('protobuf pages', () => {
  it.each(['otel', 'legacy', 'both'] as const)('hold the numbers of the text page, %s', async (naming) => {
    const { store } = await replayFixture('trn2-lnc2');
    const page = freshPages(store.collect({ legacy: true }), { naming }).protobuf;
    const text = parsePage(prometheusText(store.collect({ legacy: true }), { naming }));
    const expected = text.filter(
      ({ name, labels }) => !/_(bucket|sum|count|created)$/.test(name) || (name === 'system_vcpu_count' && labels),
    );
    expect(samplesOf(page)).toEqual(new Map(expected.map((sample) => [sampleKey(sample), Number(sample.value)])));
  });

  it('say type, help, unit and creation time', () => {
    const store = testStore();
    store.apply(cycle(1), (recorder) => recorder.add(TEST_METRICS.executions, 5, { outcome: 'completed' }));
    const [family] = readDelimited(freshPages(store.collect(), { target_info: false }).protobuf);
    expect(family === undefined ? undefined : [textAt(family, 1), textAt(family, 2), numberAt(family, 3)]).toEqual([
      'test_executions_total',
      'Executions by outcome.',
      0,
    ]);
    const counter = messagesAt(family ?? new Map(), 4).flatMap((metric) => messagesAt(metric, 3))[0] ?? new Map();
    expect(messagesAt(counter, 3).map((time) => [numberAt(time, 1), numberAt(time, 2)])).toEqual([[1_767_225_600, 0]]);
  });

  it.each(hostileValues())('carry %s', (_name, value) => {
    const store = testStore();
    store.apply(cycle(1), (recorder) => recorder.add(TEST_METRICS.executions, 1, { outcome: value }));
    const [family] = readDelimited(freshPages(store.collect(), { target_info: false }).protobuf);
    expect(messagesAt(family ?? new Map(), 4).map((metric) => labelsOf(metric))).toEqual([
      { outcome: value.slice(0, 1024).toWellFormed() },
    ]);
  });

  it('hold both kinds of buckets of a histogram', () => {
    const [family] = readDelimited(
      freshPages(histogramCollection(histogramOf(VALUES, { scale: 2, bounds: BOUNDS })), { target_info: false }).protobuf,
    );
    const [metric] = messagesAt(family ?? new Map(), 4);
    const [histogram = new Map()] = messagesAt(metric ?? new Map(), 7);
    expect(textAt(family ?? new Map(), 1)).toBe('test_duration_seconds');
    expect(numberAt(histogram, 1)).toBe(7);
    expect(numberAt(histogram, 2)).toBeCloseTo(3.9575);
    expect(messagesAt(histogram, 3).map((bucket) => [numberAt(bucket, 2), numberAt(bucket, 1)])).toEqual([
      [0.001, 1],
      [0.01, 4],
      [0.1, 5],
      [1, 6],
      [Number.POSITIVE_INFINITY, 7],
    ]);
    expect(countsOf(histogram)).toEqual(expectedCounts(VALUES, 2));
    expect(zigzag(numberAt(histogram, 5) ?? 0)).toBe(2);
    expect(numberAt(histogram, 6)).toBe(2 ** -128);
  });
});

describe('text pages of histograms', () => {
  it('hold cumulative classic buckets', () => {
    const collection = histogramCollection(histogramOf(VALUES, { scale: 2, bounds: BOUNDS }));
    expect(freshPages(collection, { target_info: false }).openMetrics).toBe(
      [
        '# HELP test_duration_seconds Time of one execution.',
        '# TYPE test_duration_seconds histogram',
        '# UNIT test_duration_seconds seconds',
        'test_duration_seconds_bucket{kind="total",le="0.001"} 1',
        'test_duration_seconds_bucket{kind="total",le="0.01"} 4',
        'test_duration_seconds_bucket{kind="total",le="0.1"} 5',
        'test_duration_seconds_bucket{kind="total",le="1.0"} 6',
        'test_duration_seconds_bucket{kind="total",le="+Inf"} 7',
        `test_duration_seconds_sum{kind="total"} ${VALUES.reduce((sum, value) => sum + value, 0)}`,
        'test_duration_seconds_count{kind="total"} 7',
        'test_duration_seconds_created{kind="total"} 1767225600.5',
        '# EOF',
        '',
      ].join('\n'),
    );
  });

  it('follow when the bounds change', () => {
    const encoder = new TestEncoder({ target_info: false });
    const collection = histogramCollection(histogramOf(VALUES, { scale: 2, bounds: BOUNDS }));
    encoder.text(collection);
    const point = collection[0]?.scopeMetrics[0]?.metrics[0]?.dataPoints[0];
    Object.assign(point ?? {}, { value: histogramOf([1, 2], { scale: 2, bounds: [1.5] }) });
    expect(encoder.text(collection)).toContain('{kind="total",le="1.5"} 1\ntest_duration_seconds_bucket{kind="total",le="+Inf"} 2\n');
  });
});

describe('native buckets', () => {
  it('hold every count in the bucket whose bounds enclose the value, at any resolution', () => {
    const values = fc.array(fc.double({ min: 1e-6, max: 1e4, noNaN: true }), { minLength: 1, maxLength: 50 });
    fc.assert(
      fc.property(values, fc.integer({ min: -4, max: 12 }), (seconds, scale) => {
        const buckets = nativeBuckets(histogramOf(seconds, { scale, bounds: [] }));
        expect(buckets?.schema).toBe(Math.min(scale, 8));
        expect(expand(buckets?.spans ?? [], buckets?.deltas ?? [])).toEqual(expectedCounts(seconds, Math.min(scale, 8)));
      }),
      { numRuns: 500 },
    );
  });

  it('are left out where Prometheus has no resolution so coarse', () => {
    expect(nativeBuckets(histogramOf([1], { scale: -5, bounds: [] }))).toBeUndefined();
  });
});

/** Counts by Prometheus' bucket index. */
function expectedCounts(values: readonly number[], schema: number): ReadonlyMap<number, number> {
  const counts = new Map<number, number>();
  for (const value of values) {
    const index = Math.ceil(Math.log2(value) * 2 ** schema);
    counts.set(index, (counts.get(index) ?? 0) + 1);
  }
  return new Map([...counts].toSorted(([a], [b]) => a - b));
}

function countsOf(histogram: Fields): ReadonlyMap<number, number> {
  const spans = messagesAt(histogram, 12).map((span) => ({ offset: zigzag(numberAt(span, 1) ?? 0), length: numberAt(span, 2) ?? 0 }));
  return expand(
    spans,
    (histogram.get(13) ?? []).map((delta) => zigzag(Number(delta))),
  );
}

function expand(
  spans: readonly { readonly offset: number; readonly length: number }[],
  deltas: readonly number[],
): ReadonlyMap<number, number> {
  const counts = new Map<number, number>();
  let index = 0;
  let count = 0;
  let position = 0;
  for (const { offset, length } of spans) {
    index += offset;
    for (let step = 0; step < length; step += 1) {
      count += deltas[position++] ?? Number.NaN;
      if (count !== 0) counts.set(index, count);
      index += 1;
    }
  }
  expect(position).toBe(deltas.length);
  return counts;
}
