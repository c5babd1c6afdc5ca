import { describe, expect, test } from 'vitest';
import { VIRTUAL_INSTANCE_TYPES } from '../../simulator/instances.ts';
import { createWorkloadModel } from '../../simulator/model.ts';
import { createNeuronMonitorRenderer, virtualNeuronMonitorLines } from '../../simulator/neuron-monitor-lines.ts';
import { COUNTER } from '../../simulator/truth.ts';

interface Entry {
  readonly pid: number;
  readonly neuron_runtime_tag: string;
  readonly report: {
    readonly execution_stats: {
      readonly execution_summary: Readonly<Record<string, number>>;
      readonly latency_stats: { readonly device_latency: Readonly<Record<string, number>> | null };
    };
    readonly memory_used: {
      readonly neuron_runtime_used_bytes: {
        readonly host: number;
        readonly neuron_device: number;
        readonly usage_breakdown: {
          readonly host: Readonly<Record<string, number>>;
          readonly neuroncore_memory_usage: Readonly<Record<string, Readonly<Record<string, number>>>>;
        };
      };
    };
    readonly neuroncore_counters: {
      readonly neuroncores_in_use: Readonly<Record<string, { readonly neuroncore_utilization: number; readonly effective_flops: number }>>;
    };
  };
}

function entries(record: Record<string, unknown>): readonly Entry[] {
  return record['neuron_runtime_data'] as readonly Entry[];
}

describe.each(VIRTUAL_INSTANCE_TYPES)('%s', (instanceType) => {
  test('tallies of all records add up to what the model did', () => {
    const model = createWorkloadModel({ instanceType, seed: 2 });
    const renderer = createNeuronMonitorRenderer(model.truth);
    const completed = new Map<number, number>();
    const flops = new Map<number, number>();
    for (let second = 0; second < 120; second += 1) {
      model.step(1_000);
      for (const entry of entries(renderer.record())) {
        const { execution_stats, neuroncore_counters } = entry.report;
        completed.set(entry.pid, (completed.get(entry.pid) ?? 0) + (execution_stats.execution_summary['completed'] ?? NaN));
        const rate = Object.values(neuroncore_counters.neuroncores_in_use).reduce((sum, core) => sum + core.effective_flops, 0);
        flops.set(entry.pid, (flops.get(entry.pid) ?? 0) + rate);
      }
    }
    for (const process of model.truth.processes) {
      const sum = (counter: number): number => process.cores.reduce((total, core) => total + Number(core.counters[counter] ?? 0n), 0);
      expect(completed.get(process.pid)).toBe(sum(COUNTER.completed));
      expect(flops.get(process.pid)).toBeCloseTo(2 * sum(COUNTER.macs), -6);
      expect(sum(COUNTER.completed)).toBeGreaterThan(0);
    }
  });

  test('memory is the sum of its parts, percentiles rise, utilization stays within a period', () => {
    const model = createWorkloadModel({ instanceType, seed: 4 });
    const renderer = createNeuronMonitorRenderer(model.truth);
    for (let record = 0; record < 60; record += 1) {
      model.step(5_000);
      for (const { report } of entries(renderer.record())) {
        const used = report.memory_used.neuron_runtime_used_bytes;
        const parts = Object.values(used.usage_breakdown.neuroncore_memory_usage).flatMap((core) => Object.values(core));
        expect(used.neuron_device).toBe(parts.reduce((sum, bytes) => sum + bytes, 0));
        expect(used.host).toBe(Object.values(used.usage_breakdown.host).reduce((sum, bytes) => sum + bytes, 0));
        const latency = report.execution_stats.latency_stats.device_latency ?? {};
        const rising = ['p0', 'p1', 'p25', 'p50', 'p75', 'p99', 'p100'].flatMap((name) => latency[name] ?? []);
        expect(rising.toSorted((a, b) => a - b)).toEqual(rising);
        expect(rising.map((seconds) => (seconds * 2 ** 22) % 1)).toEqual(rising.map(() => 0));
        for (const core of Object.values(report.neuroncore_counters.neuroncores_in_use)) {
          expect(core.neuroncore_utilization).toBeGreaterThanOrEqual(0);
          expect(core.neuroncore_utilization).toBeLessThanOrEqual(100);
        }
      }
    }
  });
});

test('lines are one JSON document each, the same for the same seed', () => {
  const options = { instanceType: 'trn2.48xlarge', seed: 1, periodMs: 1_000, warmupMs: 30_000 } as const;
  const one = virtualNeuronMonitorLines(options);
  const other = virtualNeuronMonitorLines(options);
  for (let i = 0; i < 3; i += 1) {
    const line = one.next().value;
    expect(line).toBe(other.next().value);
    expect(line).not.toContain('\n');
    const record = JSON.parse(line) as Record<string, unknown>;
    expect(Object.keys(record)).toEqual(['neuron_runtime_data', 'system_data', 'instance_info', 'neuron_hardware_info']);
    expect(entries(record).map((entry) => entry.neuron_runtime_tag)).toContain('chat');
    const core = entries(record)[0]?.report.neuroncore_counters.neuroncores_in_use['0'];
    expect(core).toMatchObject({ v3d: { 'nc_v3.0': {}, 'nc_v3.1': {} } });
  }
});

test('an idle process has no latency, a host that did not move has a short period and no tallies', () => {
  const model = createWorkloadModel({ instanceType: 'trn1.32xlarge', seed: 1 });
  const renderer = createNeuronMonitorRenderer(model.truth);
  model.step(1_000);
  expect(entries(renderer.record())[0]?.report.execution_stats.latency_stats).toEqual({ total_latency: null, device_latency: null });
  const record = renderer.record();
  expect(entries(record)[0]?.report.execution_stats).toMatchObject({ period: 0.001, execution_summary: { completed: 0 } });
});
