import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { OtelFamilies } from '../../../exporters/prometheus/otel-families.ts';
import type { PageOptions } from '../../../exporters/prometheus/page.ts';
import { metrics as executionMetrics } from '../../../receivers/execution_stats/metrics.ts';
import { metrics as coreMetrics } from '../../../receivers/neuroncore_counters/metrics.ts';
import type { Recorder } from '../../../src/receiver.ts';
import { TEST_METRICS, cycle, runtime, testStore } from '../../support/metrics.ts';
import { collectionsOf, histories } from './support/edits.ts';
import { TestEncoder, freshPages } from './support/pages.ts';

const OPTIONS: readonly (readonly [name: string, options: PageOptions])[] = [
  ['default names', {}],
  ['names with two types', { translation_strategy: 'NoTranslation', target_info: false }],
  ['scopes as labels', { translation_strategy: 'UnderscoreEscapingWithoutSuffixes', scope_labels: true, resource_labels: ['host.*'] }],
  ['processes that cannot be told apart', { identity_labels: false }],
];

describe.each(OPTIONS)('a page of an encoder that has made pages before, %s', (_name, options) => {
  it('equals the page of a new encoder, whatever comes, goes, moves and changes', () => {
    fc.assert(
      fc.property(histories, (history) => {
        const encoder = new TestEncoder(options, 'allow-utf-8');
        for (const collection of collectionsOf(history)) {
          expect(encoder.pages(collection)).toEqual(freshPages(collection, options, 'allow-utf-8'));
        }
      }),
      { numRuns: 100 },
    );
  });
});

/** The records of one process in one cycle; undefined when it is not there. */
const process = fc.option(
  fc.record({
    percent: fc.option(fc.double({ noNaN: true, min: 0, max: 100 }), { freq: 4 }),
    cores: fc.integer({ min: 0, max: 3 }),
    executions: fc.nat(2_000_000_000),
    latencySeconds: fc.option(fc.double({ noNaN: true, min: 1e-5, max: 10 }), { freq: 3 }),
  }),
  { freq: 5, nil: undefined },
);

type ProcessCycle = NonNullable<typeof process extends fc.Arbitrary<infer T> ? T : never>;

const PROCESSES = 4;

function record(recorder: Recorder, { percent, cores, executions, latencySeconds }: ProcessCycle): void {
  for (let core = 0; core < cores; core += 1)
    if (percent !== null) recorder.set(coreMetrics.utilization, percent, { 'neuron.device.index': 0, 'neuron.core.index': core });
  recorder.add(executionMetrics.executions, executions, { 'neuron.execution.outcome': 'completed' });
  if (latencySeconds === null) return;
  const quantiles = new Map([0, 1].map((quantile) => [quantile, latencySeconds * (quantile + 1)]));
  recorder.distribution(executionMetrics.duration, { count: 3, quantiles }, { 'neuron.latency.type': 'total' });
}

describe.each(['otel', 'legacy', 'both'] as const)('pages of a store whose processes come and go, %s naming', (naming) => {
  it('equal the pages of a new encoder after each cycle', () => {
    const lives = fc.array(fc.array(process, { minLength: PROCESSES, maxLength: PROCESSES }), { minLength: 1, maxLength: 8 });
    fc.assert(
      fc.property(lives, (cycles) => {
        const store = testStore();
        const encoder = new TestEncoder({ naming });
        for (const [index, present] of cycles.entries()) {
          store.retainRuntimes(new Set(present.flatMap((one, pid) => (one === undefined ? [] : [String(pid)]))));
          for (const [pid, one] of present.entries()) {
            // Each process has a tag of its own: totals that outlive a process are tested in legacy-counter.test.ts.
            const entity = runtime(String(pid), { 'process.pid': pid, 'neuron.runtime.tag': `tag-${pid}` });
            if (one !== undefined) store.apply(cycle(index + 1, entity, { group: 'execution_stats' }), (recorder) => record(recorder, one));
          }
          const collection = store.collect({ legacy: true });
          expect(encoder.pages(collection)).toEqual(freshPages(collection, { naming }));
        }
      }),
      { numRuns: 60 },
    );
  });
});

describe('when one series comes and goes', () => {
  function hostWithProcesses() {
    const store = testStore();
    let second = 0;
    return (processes: readonly string[]) => {
      second += 1;
      for (const key of ['1', '2']) {
        store.apply(cycle(second, runtime(key, { 'process.pid': Number(key) })), (recorder) => {
          recorder.set(TEST_METRICS.memory, 5, { core: 0 });
          if (processes.includes(key)) recorder.set(TEST_METRICS.utilization, 50, { core: 0 });
        });
      }
      return store.collect();
    };
  }

  it('all other families stay the same objects', () => {
    const collect = hostWithProcesses();
    const families = new OtelFamilies('underscores');
    const byName = (processes: readonly string[]) =>
      new Map(families.of(collect(processes)).families.map((family) => [family.name, family]));
    const before = byName(['1', '2']);
    const after = byName(['1']);
    expect(after.get('target_info')).toBe(before.get('target_info'));
    expect(after.get('test_memory_usage_bytes')).toBe(before.get('test_memory_usage_bytes'));
  });

  it('the other series of its family keep the text of their labels', () => {
    const collect = hostWithProcesses();
    const families = new OtelFamilies('underscores');
    const series = (processes: readonly string[]) =>
      families.of(collect(processes)).families.find(({ name }) => name === 'test_utilization_ratio')?.series;
    const [first] = series(['1', '2']) ?? [];
    expect(first).toBeDefined();
    const alone = series(['1']);
    expect(alone).toHaveLength(1);
    expect(alone?.[0]).toBe(first);
  });
});
