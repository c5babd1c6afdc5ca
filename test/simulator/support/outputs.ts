import { beforeAll, describe, expect, test } from 'vitest';
import { INSTANCE_SPECS } from '../../../simulator/instances.ts';
import { Differential } from './differential.ts';
import type { DifferentialOptions } from './differential.ts';

/** Declares the tests that compare every output of an agent on a simulated host with what that host did. */
export function describeOutputs(cases: readonly DifferentialOptions[]): void {
  describe.each(cases)(
    'an agent on $instanceType, every $periodMs ms, through a crash, a reset, ECC errors and failing executions',
    (options) => {
      const spec = INSTANCE_SPECS[options.instanceType];
      let differential: Differential;

      beforeAll(async () => {
        differential = await Differential.run(options);
      }, 120_000);

      test.each(['page', 'legacy page', 'OTLP', 'JSON'] as const)(
        '%s: executions, FLOP/s, memory, ECC and health exactly, CPU shares within half of the last of the two decimals that their percents have',
        (output) => {
          expect(differential.problems(output)).toEqual([]);
          expect(differential.problems('conflicts')).toEqual([]);
        },
      );

      test('OTLP: points of the time of the sample, totals since what they count from, every execution in a bucket', () => {
        expect(differential.problems('times')).toEqual([]);
      });

      test('utilization: all busy time is shown, never more than a period has, and late by no more than the longest execution', () => {
        // That it is what was carried over, to the ninth decimal, is part of the outputs above.
        expect(differential.longestLagMs).toBeLessThanOrEqual(differential.longestExecutionMs);
        expect(differential.mostBusy).toBeLessThanOrEqual(1);
        expect(differential.mostBusy).toBeGreaterThan(0.5);
        if (spec.jobs.some(({ kind }) => kind === 'batch')) expect(differential.longestLagMs).toBeGreaterThan(0);
      });

      test('latencies: each is one that an execution took, and its rank is off by no more than the executions that were not seen', () => {
        expect(differential.problems('latencies')).toEqual([]);
        expect(differential.leastCoverage).toBeLessThan(0.1);
      });

      test('power: one of the two last minutes that the driver published', () => {
        expect(differential.problems('power')).toEqual([]);
        expect(differential.powerSamples > 0).toBe(spec.deviceArch !== 'NDv1');
      });

      test('all of it happened', () => {
        const places = spec.jobs.reduce((count, { processes }) => count + processes.length, 0);
        expect(differential.seenProcesses.size).toBeGreaterThanOrEqual(places + 2);
        const ofErrors = ['HBM,error.type=corrected', 'HBM,error.type=repairable_uncorrected', 'SRAM,error.type=corrected'];
        const expected = [
          'neuron.device.core.reset_requests{}',
          ...['timed_out', 'incorrect_input'].map((outcome) => `neuron.device.core.executions{neuron.execution.outcome=${outcome}}`),
          ...(spec.deviceArch === 'NDv1' ? [] : ofErrors.map((kind) => `hw.errors{hw.memory.type=${kind},}`)),
          ...(spec.coreArch.startsWith('NCv3')
            ? ['hw.status{hw.state=failed}', 'neuron.device.component.fault{neuron.device.component=hbm}']
            : []),
        ];
        expect(expected.filter((state) => !differential.seenStates.has(state))).toEqual([]);
      });
    },
  );
}
