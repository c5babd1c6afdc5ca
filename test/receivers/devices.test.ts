import { describe, expect, it } from 'vitest';
import { metrics } from '../../receivers/neuron_device_counters/metrics.ts';
import { metrics as ecc } from '../../receivers/neuron_hw_counters/metrics.ts';
import type { DeviceCounters, DeviceErrors, DeviceHealth } from '../../src/readings.ts';
import { CONTEXT, GroupTest, valuesOf } from '../support/receive.ts';

/** What sysfs says about one device with two cores; every member is there. */
const DEVICE: DeviceCounters = {
  neuron_device_index: 3,
  device_facts: { name: 'Trainium2', serial_number: '00112233445566aa', firmware_build: '1.2', core_count: 8, connected_devices: [2, 7] },
  device_health: { state: 'healthy', unhealthy_components: [], hw_error_events: 2 },
  device_power: { epoch_seconds: 1_767_225_600, min: 0.5, max: 60, avg: 25 },
  device_host_memory: { tensors: 10 },
  device_host_memory_peak: { tensors: 20 },
  device_reset_failures: 1,
  device_cores: {
    '0': {
      memory: { tensors: 100, model_code: 5 },
      memory_peak: { tensors: 200 },
      utilization: 42,
      flops: 1e12,
      executions: { completed: 7, timed_out: 1 },
      events: { success: 7, timeout: 1, hw_error: 0 },
      model_loads: 2,
      reset_requests: 3,
    },
    '7': { memory: { tensors: 0 } },
  },
};

const ERRORS: DeviceErrors = {
  neuron_device_index: 3,
  ecc: { mem_ecc_corrected: 4, mem_ecc_repairable_uncorrected: 1, sram_ecc_uncorrected: 0 },
};

function group(): GroupTest<'neuron_device_counters'> {
  return new GroupTest('neuron_device_counters', { isEnabled: () => true });
}

function received(device: Partial<DeviceCounters>): ReturnType<GroupTest<'neuron_device_counters'>['receive']> {
  return group().receive({ data: { neuron_devices: [{ ...DEVICE, ...device }], driver_version: '2.30.2.0' } });
}

function statesOf(health: DeviceHealth): Readonly<Record<string, unknown>> {
  const points = received({ device_health: health }).points.filter(({ metric }) => metric === 'hw.status');
  return Object.fromEntries(points.map(({ attributes, value }) => [attributes['hw.state'], value]));
}

describe('a reading of sysfs', () => {
  it('becomes points of the device', () => {
    const all = received({});
    expect(all.failures).toEqual([]);
    expect(valuesOf(all, metrics.power)).toEqual({ '3/min': 0.005, '3/max': 0.6, '3/avg': 0.25 });
    expect(valuesOf(all, metrics.hostMemory)).toEqual({ '3/tensors': 10 });
    expect(valuesOf(all, metrics.hostMemoryPeak)).toEqual({ '3/tensors': 20 });
    expect(valuesOf(all, metrics.errorEvents)).toEqual({ '3': 2 });
    expect(valuesOf(all, metrics.resetFailures)).toEqual({ '3': 1 });
    expect(valuesOf(all, metrics.links)).toEqual({ '3/2': 1, '3/7': 1 });
  });

  it('has repairable errors under an error type of their own', () => {
    const all = new GroupTest('neuron_hw_counters').receive({ data: { neuron_devices: [ERRORS], counts: 'cumulative' } });
    expect(valuesOf(all, ecc.errors)).toEqual({
      'neuron3:hbm/memory/neuron3/HBM/corrected/3': 4,
      'neuron3:hbm/memory/neuron3/HBM/repairable_uncorrected/3': 1,
      'neuron3:sram/memory/neuron3/SRAM/uncorrected/3': 0,
    });
  });

  it('becomes points of physical cores, counted over the host', () => {
    const all = received({});
    expect(valuesOf(all, metrics.memory)).toEqual({ '3/24/tensors': 100, '3/24/model_code': 5, '3/31/tensors': 0 });
    expect(valuesOf(all, metrics.memoryPeak)).toEqual({ '3/24/tensors': 200 });
    expect(valuesOf(all, metrics.utilization)).toEqual({ '3/24': 0.42 });
    expect(valuesOf(all, metrics.flops)).toEqual({ '3/24': 1e12 });
    expect(valuesOf(all, metrics.executions)).toEqual({ '3/24/completed': 7, '3/24/timed_out': 1 });
    expect(valuesOf(all, metrics.events)).toEqual({ '3/24/success': 7, '3/24/timeout': 1, '3/24/hw_error': 0 });
    expect(valuesOf(all, metrics.modelLoads)).toEqual({ '3/24': 2 });
    expect(valuesOf(all, metrics.resetRequests)).toEqual({ '3/24': 3 });
  });

  it('names the driver and the UltraServer on the resource', () => {
    const data = { neuron_devices: [], driver_version: '2.29.0.0', ultraserver: { node_id_4: '2', ultraserver_mode: '1,2' } };
    expect(group().receive({ data }).resource).toMatchObject({
      'neuron.driver.version': '2.29.0.0',
      'neuron.ultraserver.node_id_4': '2',
      'neuron.ultraserver.mode': '1,2',
    });
  });
});

describe('health', () => {
  it('has one state at a time', () => {
    expect(statesOf({ state: 'healthy', unhealthy_components: [] })).toEqual({ ok: 1, failed: 0, unknown: 0 });
    expect(statesOf({ state: 'unhealthy', reason: 'components', unhealthy_components: ['hbm'] })).toEqual({ ok: 0, failed: 1, unknown: 0 });
    expect(statesOf({ state: 'unknown', reason: 'not_reported', unhealthy_components: [] })).toEqual({ ok: 0, failed: 0, unknown: 1 });
  });

  it('carries the facts of the device', () => {
    const [point] = received({}).points.filter(({ metric }) => metric === 'hw.status');
    expect(point?.attributes).toMatchObject({
      'hw.id': 'neuron3',
      'hw.model': 'Trainium2',
      'hw.serial_number': '00112233445566aa',
      'hw.firmware_version': '1.2',
      'hw.driver_version': '2.30.2.0',
    });
  });

  it.each([
    ['healthy', undefined, {}],
    ['unhealthy', 'components', { components: 1 }],
    ['unhealthy', 'device_unreachable', { device_unreachable: 1 }],
    ['unknown', 'heartbeat_stalled', { heartbeat_stalled: 1 }],
    ['unknown', 'unreadable', { unreadable: 1 }],
    ['unknown', 'not_reported', { not_reported: 1 }],
  ] as const)('%s says why: %s', (state, reason, expected) => {
    const device_health = { state, unhealthy_components: [], ...(reason !== undefined && { reason }) };
    const issues = Object.entries(valuesOf(received({ device_health }), metrics.healthReasons));
    expect(issues).toHaveLength(5);
    expect(Object.fromEntries(issues.filter(([, value]) => value === 1))).toEqual(
      Object.fromEntries(Object.entries(expected).map(([name, value]) => [`3/${name}`, value])),
    );
  });

  it('names each component that fails, known or not, and has no point for a component that is not reported', () => {
    const failing = received({ device_health: { state: 'unhealthy', reason: 'components', unhealthy_components: ['hbm', 'flux'] } });
    const parts = valuesOf(failing, metrics.componentFaults);
    expect(Object.keys(parts)).toHaveLength(11);
    expect(Object.entries(parts).filter(([, value]) => value === 1)).toEqual([
      ['3/hbm', 1],
      ['3/flux', 1],
    ]);
    const unreachable = received({ device_health: { state: 'unhealthy', reason: 'device_unreachable', unhealthy_components: [] } });
    expect(valuesOf(unreachable, metrics.componentFaults)).toEqual({});
  });
});

it('a total that fell begins again and never leads to a negative step', () => {
  const test = group();
  test.receive({ data: { neuron_devices: [DEVICE] } });
  const core = { ...DEVICE.device_cores?.['0'], executions: { completed: 2 }, model_loads: 0 };
  const after = test.receive({ data: { neuron_devices: [{ ...DEVICE, device_cores: { '0': core } }] } });
  expect(after.failures).toEqual([]);
  expect(valuesOf(after, metrics.executions)).toEqual({ '3/24/completed': 2 });
  expect(valuesOf(after, metrics.modelLoads)).toEqual({ '3/24': 0 });
});

it('totals of the driver are totals, whatever neuron-monitor\u2019s counts are said to be', () => {
  const test = new GroupTest('neuron_hw_counters', { context: { ...CONTEXT, eccCounts: 'tally' } });
  test.receive({ data: { neuron_devices: [ERRORS], counts: 'cumulative' } });
  const again = test.receive({ data: { neuron_devices: [ERRORS], counts: 'cumulative' } });
  expect(valuesOf(again, ecc.errors)['neuron3:hbm/memory/neuron3/HBM/corrected/3']).toBe(4);
});

it('rates of a period too short to mean anything are left out', () => {
  const all = group().receive({ data: { neuron_devices: [DEVICE] } }, { ratesAreMeaningful: false });
  expect(valuesOf(all, metrics.utilization)).toEqual({});
  expect(valuesOf(all, metrics.flops)).toEqual({});
});
