import { describe, expect, it } from 'vitest';
import { receiverFor } from '../../receivers/index.ts';
import { metrics as execution } from '../../receivers/execution_stats/metrics.ts';
import { metrics as memory } from '../../receivers/memory_used/metrics.ts';
import { metrics as vcpu } from '../../receivers/neuron_runtime_vcpu_usage/metrics.ts';
import { metrics as cores } from '../../receivers/neuroncore_counters/metrics.ts';
import type { Recorder } from '../../src/receiver.ts';
import type { ExecutionStats, LoadedModel } from '../../src/readings.ts';
import { T0_MS } from '../support/metrics.ts';
import { CONTEXT, GroupTest, TWO_CORES_PER_DEVICE, valuesOf } from '../support/receive.ts';

const TEN_PERCENT = { neuroncore_utilization: 10 };

function coreCounters(): GroupTest<'neuroncore_counters'> {
  return new GroupTest('neuroncore_counters', { context: TWO_CORES_PER_DEVICE });
}

function memoryUsed(options: { readonly everything?: boolean } = {}): GroupTest<'memory_used'> {
  return new GroupTest('memory_used', {
    context: TWO_CORES_PER_DEVICE,
    isEnabled: (metric) => metric.enabled || options.everything === true,
  });
}

function runtimeVcpuUsage(): GroupTest<'neuron_runtime_vcpu_usage'> {
  return new GroupTest('neuron_runtime_vcpu_usage');
}

function executionStats(): GroupTest<'execution_stats'> {
  return new GroupTest('execution_stats');
}

describe('neuroncore_counters', () => {
  it('turns percent into a ratio by division, and gives a core its device', () => {
    const received = coreCounters().receive({ data: { neuroncores_in_use: { '5': { neuroncore_utilization: 42.01 } } } });
    expect(valuesOf(received, cores.utilization)).toEqual({ '2/5': 0.4201 });
  });

  it('never clamps: neuron-monitor itself prints a little more than 100', () => {
    const received = coreCounters().receive({ data: { neuroncores_in_use: { '0': { neuroncore_utilization: 100.0002 } } } });
    expect(valuesOf(received, cores.utilization)).toEqual({ '0/0': 1.000002 });
  });

  it('prefers effective_flops and takes flops where only that exists', () => {
    const received = coreCounters().receive({
      data: { neuroncores_in_use: { '0': { effective_flops: 7, flops: 9 }, '1': { flops: 5 }, '2': TEN_PERCENT } },
    });
    expect(valuesOf(received, cores.flops)).toEqual({ '0/0': 7, '0/1': 5 });
  });

  it('keeps physical cores under a name of their own', () => {
    const received = coreCounters().receive({
      data: { neuroncores_in_use: { '1': { neuroncore_utilization: 42.01, physical_cores: { '2': 21.01, '3': 63.01 } } } },
    });
    expect(valuesOf(received, cores.physicalUtilization)).toEqual({ '0/1/2': 0.2101, '0/1/3': 0.6301 });
    expect(valuesOf(received, cores.utilization)).toEqual({ '0/1': 0.4201 });
  });

  it('leaves the device out while the number of cores per device is unknown', () => {
    for (const facts of [{}, { neuron_hardware_info: { neuroncore_per_device_count: 0 } }]) {
      const received = coreCounters().receive({ data: { neuroncores_in_use: { '5': TEN_PERCENT } } }, { facts });
      expect(valuesOf(received, cores.utilization)).toEqual({ '-/5': 0.1 });
    }
  });

  it('records nothing for a period that is too short, but for the legacy family', () => {
    const data = { neuroncores_in_use: { '0': { neuroncore_utilization: 50, effective_flops: 1 } } };
    const received = coreCounters().receive({ data }, { ratesAreMeaningful: false });
    expect(received.points).toHaveLength(1);
    expect(valuesOf(received, cores.legacyShortUtilization)).toEqual({ '0/0': 0.5 });
  });

  it('takes zeros next to an error for no measurement, and numbers next to an error for numbers', () => {
    const idle = { neuroncores_in_use: { '0': { neuroncore_utilization: 0, effective_flops: 0 } } };
    const busy = { neuroncores_in_use: { '0': TEN_PERCENT, '1': { neuroncore_utilization: 0 } } };
    expect(coreCounters().receive({ data: idle, error: 'failed' }).points).toEqual([]);
    expect(coreCounters().receive({ data: idle, runtime: { pid: 1, tag: '1', error: 'failed' } }).points).toEqual([]);
    expect(coreCounters().receive({ data: idle, error: '' }).points).toHaveLength(2);
    expect(valuesOf(coreCounters().receive({ data: busy, error: 'failed' }), cores.utilization)).toEqual({ '0/0': 0.1, '0/1': 0 });
  });

  it('loses one core to a member that is no index, and counts a failure', () => {
    const received = coreCounters().receive({ data: { neuroncores_in_use: { '0': TEN_PERCENT, nc1: TEN_PERCENT, '01': TEN_PERCENT } } });
    expect(valuesOf(received, cores.utilization)).toEqual({ '0/0': 0.1 });
    expect(received.failures.map(({ code }) => code)).toEqual(['source_malformed', 'source_malformed']);
  });
});

describe('memory_used', () => {
  const model: LoadedModel = {
    name: 'a.neff',
    uuid: 'u',
    model_id: 10_001,
    is_running: false,
    subgraphs: [
      {
        name: 'sg_00',
        neuron_device_index: 5,
        neuroncore_index: 1,
        host: 3,
        neuron_device: 7,
        device_breakdown: { model_code: 4, constants: 3 },
      },
    ],
  };

  it('has totals by location, host memory by category, and device memory by core and category, whatever the names of the categories', () => {
    const received = memoryUsed().receive({
      data: {
        host: 10,
        neuron_device: 20,
        host_breakdown: { tensors: 10 },
        neuroncore_memory_usage: { '3': { tensors: 15, collectives: 5 } },
      },
    });
    expect(valuesOf(received, memory.runtimeMemory)).toEqual({ host: 10, device: 20 });
    expect(valuesOf(received, memory.hostMemory)).toEqual({ tensors: 10 });
    expect(valuesOf(received, memory.coreMemory)).toEqual({ '1/3/tensors': 15, '1/3/collectives': 5 });
  });

  it('keeps the totals when a release has no breakdown', () => {
    const received = memoryUsed().receive({ data: { host: 10, neuron_device: 20 } });
    expect(received.points).toHaveLength(2);
  });

  it('counts models by state, and counts none where the list is empty', () => {
    const received = memoryUsed().receive({
      data: { loaded_models: [model, { ...model, is_running: true }, { name: 'b', subgraphs: [] }] },
    });
    expect(valuesOf(received, memory.modelCount)).toEqual({ running: 1, loaded: 2 });
    expect(valuesOf(memoryUsed().receive({ data: { loaded_models: [] } }), memory.modelCount)).toEqual({ running: 0, loaded: 0 });
    expect(valuesOf(memoryUsed().receive({ data: {} }), memory.modelCount)).toEqual({});
  });

  it('shows subgraphs only when asked, with host-wide cores and sums that hold', () => {
    expect(valuesOf(memoryUsed().receive({ data: { loaded_models: [model] } }), memory.modelMemory)).toEqual({});
    const received = memoryUsed({ everything: true }).receive({ data: { loaded_models: [model] } });
    expect(valuesOf(received, memory.modelMemory)).toEqual({
      '5/11/host/-/a.neff/u/10001/sg_00': 3,
      '5/11/device/model_code/a.neff/u/10001/sg_00': 4,
      '5/11/device/constants/a.neff/u/10001/sg_00': 3,
    });
  });

  it('takes a subgraph that is listed twice once, and counts a failure', () => {
    const received = memoryUsed({ everything: true }).receive({ data: { loaded_models: [model, model] } });
    expect(received.failures.map(({ code }) => code)).toEqual(['source_malformed']);
    expect(Object.keys(valuesOf(received, memory.modelMemory))).toHaveLength(3);
  });

  it('takes zeros next to an error for no measurement', () => {
    const data = { host: 0, neuron_device: 0, neuroncore_memory_usage: { '0': { tensors: 0 } }, loaded_models: [] };
    expect(memoryUsed().receive({ data, error: 'failed' }).points).toEqual([]);
    expect(memoryUsed().receive({ data }).points).toHaveLength(5);
  });
});

describe('neuron_runtime_vcpu_usage', () => {
  const runtime = { pid: 7, tag: 't', startTimeMs: T0_MS - 60_000 };

  it('has shares by mode', () => {
    const received = runtimeVcpuUsage().receive({ data: { user: 19.26, system: 3.95 }, runtime });
    expect(valuesOf(received, vcpu.utilization)).toEqual({ user: 19.26 / 100, system: 3.95 / 100 });
    expect(valuesOf(received, vcpu.cpuTime)).toEqual({});
  });

  it('has no share of a process whose /proc entry cannot be opened: it is not idle', () => {
    const error = 'open /proc/1377/stat: no such file or directory';
    expect(runtimeVcpuUsage().receive({ data: { user: 0, system: 0 }, runtime, error }).points).toEqual([]);
    expect(runtimeVcpuUsage().receive({ data: { user: 0, system: 0 }, runtime }).points).toHaveLength(2);
  });

  it('counts CPU time from the start of the process, also when the share means nothing', () => {
    const group = runtimeVcpuUsage();
    group.receive({ data: { user: 1, system: 1, cpu_time: { user: 10, system: 2 } }, runtime });
    const received = group.receive(
      { data: { user: 50, system: 1, cpu_time: { user: 12.5, system: 2 } }, runtime },
      { ratesAreMeaningful: false },
    );
    expect(valuesOf(received, vcpu.utilization)).toEqual({});
    expect(valuesOf(received, vcpu.legacyShortUtilization)).toEqual({ user: 0.5, system: 0.01 });
    expect(valuesOf(received, vcpu.cpuTime)).toEqual({ user: 12.5, system: 2 });
    const cpuTime = received.points.filter(({ metric }) => metric === 'process.cpu.time');
    expect(cpuTime.map(({ startSecond }) => startSecond)).toEqual([-60, -60]);
  });
});

/** What the receiver hands to the histogram; what the histogram makes of it is its own affair. */
function distributions(data: ExecutionStats): readonly unknown[] {
  const seen: unknown[] = [];
  const recorder: Recorder = {
    ...IGNORING,
    distribution(metric, { count, quantiles }, attributes) {
      if (metric.name === execution.duration.name) seen.push({ type: Object.values(attributes)[0], count, quantiles: [...quantiles] });
    },
  };
  receiverFor('execution_stats')?.receive({ group: 'execution_stats', data }, recorder, CONTEXT);
  return seen;
}

const IGNORING: Recorder = {
  wants: () => true,
  set: () => {},
  add: () => {},
  total: () => {},
  distribution: () => {},
  resource: () => {},
  fail: () => {},
};

describe('execution_stats', () => {
  const latency = { p0: 0.001, p1: 0.001, p25: 0.002, p50: 0.003, p75: 0.004, p99: 0.009, p100: 0.01 };

  it('adds each tally once, under whatever name it comes', () => {
    const group = executionStats();
    group.receive({ data: { execution_summary: { completed: 3, aborted_by_peer: 1 }, error_summary: { collectives: 2 } } });
    const received = group.receive({
      data: { execution_summary: { completed: 4, aborted_by_peer: 0 }, error_summary: { collectives: 1 } },
    });
    expect(valuesOf(received, execution.executions)).toEqual({ completed: 7, aborted_by_peer: 1 });
    expect(valuesOf(received, execution.errors)).toEqual({ collectives: 3 });
  });

  it('adds tallies next to an error, and in a first record', () => {
    const group = executionStats();
    group.receive({ data: { execution_summary: { completed: 3 } }, error: 'failed' }, { ratesAreMeaningful: false });
    expect(valuesOf(group.receive({ data: { execution_summary: { completed: 4 } } }), execution.executions)).toEqual({ completed: 7 });
  });

  it('refuses a negative or fractional tally and keeps the rest', () => {
    const received = executionStats().receive({ data: { execution_summary: { completed: 4, timed_out: -1, incorrect_input: 0.5 } } });
    expect(valuesOf(received, execution.executions)).toEqual({ completed: 4 });
    expect(received.failures.map(({ code }) => code)).toEqual(['source_malformed', 'source_malformed']);
  });

  it('shows percentiles while they exist and not a record longer', () => {
    const group = executionStats();
    const before = group.receive({ data: { latency_stats: {} } });
    const during = group.receive({
      data: { execution_summary: { completed: 9 }, latency_stats: { total_latency: latency, device_latency: { p50: 0.002 } } },
    });
    const after = group.receive({ data: { latency_stats: {} } });
    expect(valuesOf(before, execution.latency)).toEqual({});
    expect(valuesOf(during, execution.latency)).toEqual({
      'total/0': 0.001,
      'total/0.01': 0.001,
      'total/0.25': 0.002,
      'total/0.5': 0.003,
      'total/0.75': 0.004,
      'total/0.99': 0.009,
      'total/1': 0.01,
      'device/0.5': 0.002,
    });
    expect(valuesOf(after, execution.latency)).toEqual({});
  });

  it('keeps the histogram in view while nothing runs, and gives it what was completed', () => {
    const idle = distributions({ execution_summary: { completed: 0 }, latency_stats: {} });
    expect(idle).toEqual([
      { type: 'total', count: 0, quantiles: [] },
      { type: 'device', count: 0, quantiles: [] },
    ]);
    const busy = distributions({
      execution_summary: { completed: 9 },
      latency_stats: { total_latency: { p0: 0.001, p50: 0.003, p100: 0.01 } },
    });
    const quantiles = [
      [0, 0.001],
      [0.5, 0.003],
      [1, 0.01],
    ];
    expect(busy).toEqual([
      { type: 'total', count: 9, quantiles },
      { type: 'device', count: 0, quantiles: [] },
    ]);
  });

  it('has no histogram where the source has no latency, and none to add to without a count', () => {
    expect(valuesOf(executionStats().receive({ data: { execution_summary: { completed: 9 } } }), execution.duration)).toEqual({});
    const received = executionStats().receive({ data: { latency_stats: { total_latency: latency } } });
    expect(Object.keys(valuesOf(received, execution.duration))).toEqual(['device']);
    expect(Object.keys(valuesOf(received, execution.latency))).toHaveLength(7);
  });

  it.each([
    ['all kinds', { total_latency: latency, device_latency: latency }],
    ['one kind', { total_latency: latency }],
    ['one percentile', { device_latency: { p50: 0.5 } }],
  ])('takes percentiles of a period without executions as neuron-monitor prints them, without a fault: %s', (_name, stats) => {
    const group = executionStats();
    group.receive({ data: { execution_summary: { completed: 3 }, latency_stats: { total_latency: latency, device_latency: latency } } });
    const received = group.receive({ data: { execution_summary: { completed: 0 }, latency_stats: stats } });
    expect(received.failures).toEqual([]);
    expect(Object.values(valuesOf(received, execution.duration))).toMatchObject([{ count: 3 }, { count: 3 }]);
  });

  it.each([{ completed: -1 }, { completed: 3, timed_out: -7 }, { completed: -0.5 }])('has no negative count: %j', (summary) => {
    const received = executionStats().receive({ data: { execution_summary: summary, latency_stats: { total_latency: latency } } });
    expect(Object.values(valuesOf(received, execution.executions)).filter((count) => Number(count) < 0)).toEqual([]);
    expect(received.failures.length).toBeGreaterThan(0);
  });

  it('loses one percentile to a name that it cannot read, and counts a failure', () => {
    const received = executionStats().receive({
      data: { latency_stats: { total_latency: { p50: 0.003, p999: 1, max: 2, 'p99.9': 0.02 } } },
    });
    expect(valuesOf(received, execution.latency)).toEqual({ 'total/0.5': 0.003, 'total/0.999': 0.02 });
    expect(received.failures.map(({ code }) => code)).toEqual(['source_malformed', 'source_malformed']);
  });
});
