import * as fc from 'fast-check';
import { expect, it } from 'vitest';
import { LegacyTotals, legacyFamilies } from '../../../exporters/prometheus/legacy-families.ts';
import { metrics } from '../../../receivers/execution_stats/metrics.ts';
import { cycle, runtime, testStore } from '../../support/metrics.ts';

/** Processes of one tag come, work, fall silent, come back and end; at least one is always there. */
const steps = fc.array(
  fc.record({ pid: fc.integer({ min: 2, max: 4 }), what: fc.constantFrom('work', 'silence', 'end'), executions: fc.nat(1000) }),
  { maxLength: 40 },
);

it('a counter of several processes with one tag counts each execution once and never falls', () => {
  fc.assert(
    fc.property(steps, (life) => {
      const store = testStore();
      const totals = new LegacyTotals();
      const generations = new Map<number, number>();
      const living = new Set<string>();
      let counted = 0;
      const work = (pid: number, executions: number, second: number): void => {
        const key = `${pid} ${generations.get(pid) ?? 0}`;
        living.add(key);
        counted += executions;
        store.apply(
          cycle(second, runtime(key, { 'neuron.runtime.tag': 'train', 'process.pid': pid }), { group: 'execution_stats' }),
          (recorder) => recorder.add(metrics.executions, executions, { 'neuron.execution.outcome': 'completed' }),
        );
      };
      for (const [index, { pid, what, executions }] of life.entries()) {
        const key = `${pid} ${generations.get(pid) ?? 0}`;
        work(1, 1, index + 1);
        if (what === 'work') work(pid, executions, index + 1);
        else if (what === 'silence') store.hide('execution_stats', (entity) => entity.kind === 'runtime' && entity.key === key);
        else {
          living.delete(key);
          generations.set(pid, (generations.get(pid) ?? 0) + 1);
          store.retainRuntimes(living);
        }
        const families = legacyFamilies(store.collect({ legacy: true }), totals);
        const series = families.find(({ name }) => name === 'execution_status_total')?.series;
        expect(series?.map(({ point }) => point.value)).toEqual([counted]);
      }
    }),
    { numRuns: 300 },
  );
});
