import type { HrTime } from '@opentelemetry/api';
import { MeterProvider } from '@opentelemetry/sdk-metrics';
import type { ResourceMetrics } from '@opentelemetry/sdk-metrics';
import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { OrderedTimes } from '../../../exporters/otlp/ordered-times.ts';
import { slicePoints } from '../../../exporters/wire/points.ts';
import type { ExportOutcome, PushExporter } from '../../../src/exporter.ts';
import type { MetricGroup } from '../../../src/readings.ts';
import { SampleClock } from '../../../src/sample-clock.ts';
import { SelfInstruments } from '../../../src/self-instruments.ts';
import { msFromHrTime } from '../../../src/series.ts';
import { TickReader, countPoints } from '../../../src/readers.ts';
import { ManualClock } from '../../support/manual-clock.ts';
import { HOST as HOST_ENTITY, T0_MS, TEST_METRICS, cycle as cycleAt, testStore } from '../../support/metrics.ts';
import { gauge, point, resourceMetrics } from './batches.ts';

/**
 * Prometheus 3's rules for a request: `target_info` gets a sample at the oldest and one at the newest time of each resource, and no
 * series takes a sample that is older than its last one, or another value for the same millisecond. One broken rule refuses the request.
 */
class PrometheusRules {
  readonly #newest = new Map<string, number>();
  readonly #series = new Map<string, { timeMs: number; value: unknown }>();
  refused: string[] = [];
  points = 0;

  receive(request: readonly ResourceMetrics[]): void {
    this.points += countPoints(request);
    for (const { resource, scopeMetrics } of request) {
      const target = JSON.stringify(resource.attributes);
      const times = scopeMetrics.flatMap(({ metrics }) =>
        metrics.flatMap((metric) => metric.dataPoints.map(({ endTime }) => Math.floor(msFromHrTime(endTime)))),
      );
      if (times.length === 0) continue;
      if (Math.min(...times) < (this.#newest.get(target) ?? 0)) this.refused.push(`target_info of ${target}`);
      this.#newest.set(target, Math.max(...times));
      const instance = JSON.stringify(resource.attributes['service.instance.id'] ?? target);
      for (const { metrics } of scopeMetrics) for (const metric of metrics) this.#take(instance, metric);
    }
  }

  #take(instance: string, { descriptor, dataPoints }: ResourceMetrics['scopeMetrics'][number]['metrics'][number]): void {
    for (const { attributes, endTime, startTime, value } of dataPoints) {
      const series = `${instance} ${descriptor.name} ${JSON.stringify(attributes)}`;
      const timeMs = Math.floor(msFromHrTime(endTime));
      const last = this.#series.get(series);
      if (last !== undefined && (timeMs < last.timeMs || (timeMs === last.timeMs && value !== last.value))) this.refused.push(series);
      if (msFromHrTime(startTime) > msFromHrTime(endTime)) this.refused.push(`${series} starts after its end`);
      this.#series.set(series, { timeMs, value });
    }
  }
}

const HOST = resourceMetrics({ 'service.instance.id': 'host' }, []).resource;
const START: HrTime = [999, 0];

function at(ms: number): HrTime {
  return [1000 + Math.floor(ms / 1000), Math.round((ms % 1000) * 1e6)];
}

/** The points of one group, sampled at this time; the value tells samples apart. */
function group(name: string, ms: number, resource = HOST): ResourceMetrics {
  const scope = { name, version: '0' };
  return { resource, scopeMetrics: [{ scope, metrics: [gauge(`${name}.gauge`, [point(ms, { core: 0 }, at(ms), START)])] }] };
}

function together(...groups: readonly ResourceMetrics[]): ResourceMetrics {
  return { resource: groups[0]?.resource ?? HOST, scopeMetrics: groups.flatMap(({ scopeMetrics }) => scopeMetrics) };
}

/** Sends the collections in order; returns what Prometheus refuses. */
function refusedOf(collections: readonly (readonly ResourceMetrics[])[]): readonly string[] {
  const times = new OrderedTimes();
  const rules = new PrometheusRules();
  for (const collection of collections) rules.receive(times.convert(collection));
  return rules.refused;
}

function timesOf(collection: readonly ResourceMetrics[]): Record<string, number> {
  return Object.fromEntries(
    collection.flatMap(({ scopeMetrics }) =>
      scopeMetrics.map(({ scope, metrics }) => [scope.name, msFromHrTime(metrics[0]?.dataPoints[0]?.endTime ?? [0, 0]) - 1_000_000]),
    ),
  );
}

describe('the rules of Prometheus in this test', () => {
  it('refuse a request whose times go back for one resource', () => {
    const rules = new PrometheusRules();
    rules.receive([group('a', 480)]);
    rules.receive([group('b', 209)]);
    expect(rules.refused).toHaveLength(1);
  });

  it('refuse two values of one series for one millisecond', () => {
    const rules = new PrometheusRules();
    rules.receive([group('a', 480)]);
    rules.receive([
      {
        ...group('a', 480),
        scopeMetrics: [{ scope: { name: 'a' }, metrics: [gauge('a.gauge', [point(7, { core: 0 }, at(480), START)])] }],
      },
    ]);
    expect(rules.refused).toHaveLength(1);
  });
});

describe('OrderedTimes', () => {
  it('gives a late group the newest time that was exported', () => {
    const times = new OrderedTimes();
    times.convert([together(group('a', 208), group('b', 480))]);
    expect(timesOf(times.convert([group('late', 209)]))).toEqual({ late: 480 });
  });

  it('keeps the objects of a collection whose times are in order', () => {
    const times = new OrderedTimes();
    const second = group('a', 1208);
    times.convert([group('a', 208)]);
    expect(times.convert([second])[0]?.scopeMetrics[0]?.metrics[0]).toBe(second.scopeMetrics[0]?.metrics[0]);
  });

  it('does not mix the times of two resources', () => {
    const times = new OrderedTimes();
    const process = resourceMetrics({ 'process.pid': 7 }, []).resource;
    times.convert([group('a', 480)]);
    expect(timesOf(times.convert([group('a', 209, process)]))).toEqual({ a: 209 });
  });

  it.each([
    { case: 'a slow group in each second cycle', collections: slowGroup() },
    { case: 'a group that is always late', collections: alwaysLate() },
    { case: 'two groups that are late one after the other', collections: [[group('a', 480)], [group('b', 209)], [group('c', 210)]] },
    { case: 'a late group whose next sample is older than its exported time', collections: twiceLate() },
    { case: 'a process whose first sample comes late', collections: lateProcess() },
    { case: 'samples of one group within one millisecond', collections: [[group('a', 480)], [group('a', 480.2)], [group('a', 480.4)]] },
    {
      case: 'a late group whose next sample has its time and a microsecond more',
      collections: [[group('a', 900)], [group('late', 300)], [group('late', 900.001)]],
    },
    { case: 'a resource that gets further attributes between two samples of one millisecond', collections: moreAttributes() },
    { case: 'a wall clock that is set back by two seconds', collections: clockSteps(2_000) },
  ])('makes requests that Prometheus takes: $case', ({ collections }) => {
    expect(refusedOf(collections)).toEqual([]);
  });

  it('follows a wall clock that was set back far, instead of holding it for as long', () => {
    const times = new OrderedTimes();
    times.convert([together(group('a', 7_200_000), group('b', 7_200_100))]);
    const after = times.convert([together(group('a', 1000), group('b', 1100))]);
    expect(timesOf(after)).toEqual({ a: 1000, b: 1100 });
  });

  it('puts older scopes first, so that a split collection is in order too', () => {
    const rules = new PrometheusRules();
    const collection = new OrderedTimes().convert([together(group('a', 480), group('b', 209), group('c', 300))]);
    for (let from = 0; from < 3; from += 1) rules.receive(slicePoints(collection, from, from + 1));
    expect(rules.refused).toEqual([]);
  });

  it('never moves a point to an earlier time, whatever comes', () => {
    const sample = fc.record({ name: fc.constantFrom('a', 'b', 'c'), ms: fc.integer({ min: 0, max: 60_000 }) });
    fc.assert(
      fc.property(
        fc.array(fc.uniqueArray(sample, { minLength: 1, maxLength: 3, selector: ({ name }) => name }), { maxLength: 20 }),
        (collections) => {
          const times = new OrderedTimes();
          for (const samples of collections) {
            const moved = timesOf(times.convert([together(...samples.map(({ name, ms }) => group(name, ms)))]));
            for (const { name, ms } of samples) expect(moved[name]).toBeGreaterThanOrEqual(ms);
          }
        },
      ),
    );
  });

  it('makes requests that Prometheus takes of any samples whose own times rise, however late they come', () => {
    const delay = fc.integer({ min: 0, max: 6_000 });
    fc.assert(
      fc.property(fc.array(fc.tuple(delay, delay, delay), { maxLength: 30 }), (cycles) => {
        const arrivals = cycles.flatMap((delays, cycle) =>
          delays.map((late, index) => ({ at: cycle * 1000 + late, sample: group(`g${index}`, cycle * 1000 + index * 70) })),
        );
        const inOrder = arrivals.toSorted((a, b) => a.at - b.at);
        // A source is not asked again before it has answered, so the samples of one group come in order.
        const seen = new Map<string, number>();
        const collections = inOrder.flatMap(({ sample }) => {
          const name = sample.scopeMetrics[0]?.scope.name ?? '';
          const time = timesOf([sample])[name] ?? 0;
          if ((seen.get(name) ?? -1) >= time) return [];
          seen.set(name, time);
          return [[sample]];
        });
        expect(refusedOf(collections)).toEqual([]);
      }),
    );
  });
});

describe('readers of two periods with the metrics of the agent itself', () => {
  it('make requests that Prometheus takes', async () => {
    const rules = new PrometheusRules();
    await runTwoPeriods(rules, 'in order');
    expect(rules.refused).toEqual([]);
  });

  it('make requests that Prometheus refuses without ordered times', async () => {
    const rules = new PrometheusRules();
    await runTwoPeriods(rules, 'as sampled');
    expect(rules.refused).not.toEqual([]);
  });
});

function slowGroup(): ResourceMetrics[][] {
  return [0, 1, 2, 3].flatMap((cycle) => {
    const ms = cycle * 1000;
    const fast = [together(group('a', ms + 208), group('b', ms + 480))];
    return cycle % 2 === 0 ? [fast, [group('slow', ms + 209)]] : [[together(...fast, group('slow', ms + 209))]];
  });
}

function alwaysLate(): ResourceMetrics[][] {
  return [0, 1, 2, 3].flatMap((cycle) => [[group('a', cycle * 1000 + 900)], [group('late', cycle * 1000 + 100)]]);
}

function twiceLate(): ResourceMetrics[][] {
  return [[group('a', 900)], [group('late', 300)], [group('late', 500)], [group('late', 700)], [group('a', 1900)], [group('late', 1300)]];
}

function lateProcess(): ResourceMetrics[][] {
  const process = resourceMetrics({ 'service.instance.id': 'process' }, []).resource;
  return [[group('a', 480)], [group('p', 209, process)], [group('a', 1480), group('p', 1480, process)], [group('q', 1300, process)]];
}

function moreAttributes(): ResourceMetrics[][] {
  const known = resourceMetrics({ 'service.instance.id': 'host', 'host.id': 'i-1' }, []).resource;
  return [[group('a', 480)], [group('a', 480.2, known)], [group('b', 300, known)], [group('a', 1480, known)]];
}

function clockSteps(backMs: number): ResourceMetrics[][] {
  return [0, 1, 2, 3, 4, 5, 6, 7].map((cycle) => {
    const ms = 10_000 + cycle * 1000 - (cycle < 3 ? 0 : backMs);
    return [together(group('a', ms), group('b', ms + 30))];
  });
}

/** A reader of one second and one of two seconds on one host, whose groups are sampled one after the other. */
async function runTwoPeriods(rules: PrometheusRules, order: 'in order' | 'as sampled'): Promise<void> {
  const times = new OrderedTimes();
  const exporter: PushExporter = {
    kind: 'push',
    id: 'otlp',
    export(batch): Promise<ExportOutcome> {
      rules.receive(order === 'in order' ? times.convert(batch.resourceMetrics) : batch.resourceMetrics);
      return Promise.resolve({ outcome: 'sent', points: 0 });
    },
    flush: () => Promise.resolve(),
    [Symbol.asyncDispose]: () => Promise.resolve(),
  };
  const store = testStore();
  const clock = new ManualClock(T0_MS);
  const sampleClock = new SampleClock(clock);
  const reader = (groups: readonly MetricGroup[], selfMetrics: boolean): TickReader =>
    new TickReader({
      store,
      sampleClock,
      groups: new Set(groups),
      periodMs: 1000,
      exporters: [exporter],
      selfMetrics,
      observer: { exported: () => {}, skipped: () => {} },
    });
  const fast = reader(['vcpu_usage'], true);
  const slow = reader(['memory_info'], false);
  const provider = new MeterProvider({ readers: [fast, slow] });
  const instruments = new SelfInstruments();
  instruments.register(provider.getMeter('neuron-otel', '0'));
  for (let second = 0; second < 6; second += 1) {
    instruments.count('streamLines', { 'neuron.source': 'procfs' });
    clock.suspend(1000);
    sampleClock.next(clock.nowMs());
    const sampled = second + 1;
    for (const [name, atSecond] of [
      ['memory_info', sampled],
      ['vcpu_usage', sampled + 0.1],
    ] as const) {
      store.apply(cycleAt(atSecond, HOST_ENTITY, { group: name }), (recorder) =>
        recorder.set(TEST_METRICS.utilization, second, { core: name === 'vcpu_usage' ? 0 : 1 }),
      );
    }
    await fast.tick();
    if (second % 2 === 0) await slow.tick();
  }
}
