import { describe, expect, it } from 'vitest';
import { metrics as instance } from '../../receivers/instance_info/metrics.ts';
import { metrics as memory } from '../../receivers/memory_info/metrics.ts';
import { metrics as executions } from '../../receivers/execution_stats/metrics.ts';
import { metrics as processUsage } from '../../receivers/neuron_runtime_vcpu_usage/metrics.ts';
import { metrics as hardware } from '../../receivers/neuron_hardware_info/metrics.ts';
import { metrics as ecc } from '../../receivers/neuron_hw_counters/metrics.ts';
import { metrics as k8s } from '../../receivers/neuron_k8s_info/metrics.ts';
import { metrics as vcpu } from '../../receivers/vcpu_usage/metrics.ts';
import { RECEIVERS } from '../../receivers/index.ts';
import { METRIC_GROUPS } from '../../src/readings.ts';
import type { DeviceErrors, PodPlacement } from '../../src/readings.ts';
import { T0_MS } from '../support/metrics.ts';
import { CONTEXT, GroupTest, TWO_CORES_PER_DEVICE, valuesOf } from '../support/receive.ts';

describe('an empty reading', () => {
  it.each(METRIC_GROUPS)('of %s gives no points, no failures and no resource', (group) => {
    for (const error of ['', 'failed']) {
      const { points, ...rest } = new GroupTest(group, { isEnabled: () => true }).receive({ data: {}, error });
      expect(rest).toEqual({ failures: [], resource: { 'service.name': 'test' } });
      // Every host has its row of instance_info on the legacy page.
      expect(points.map(({ metric }) => metric)).toEqual(group === 'instance_info' ? ['neuron.instance.info'] : []);
    }
  });

  it('covers every receiver', () => {
    expect(RECEIVERS).toHaveLength(METRIC_GROUPS.length);
  });
});

describe('memory_info', () => {
  const data = { memory_total_bytes: 100, memory_used_bytes: 60, swap_total_bytes: 10, swap_used_bytes: 4 };

  it('has states that add up to the limit', () => {
    const received = new GroupTest('memory_info').receive({ data });
    expect(valuesOf(received, memory.limit)).toEqual({ '': 100 });
    expect(valuesOf(received, memory.usage)).toEqual({ used: 60, free: 40 });
    expect(valuesOf(received, memory.paging)).toEqual({ used: 4, free: 6 });
  });

  it('has no free state where the total is missing or smaller than what is used', () => {
    const received = new GroupTest('memory_info').receive({ data: { memory_used_bytes: 60, swap_total_bytes: 3, swap_used_bytes: 4 } });
    expect(valuesOf(received, memory.usage)).toEqual({ used: 60 });
    expect(valuesOf(received, memory.paging)).toEqual({ used: 4 });
  });

  it.each([
    ['total', { memory_total_bytes: -100 }, { used: 60 }],
    ['used', { memory_used_bytes: -60 }, {}],
    ['used, more than the total', { memory_used_bytes: -1e6 }, {}],
  ])('has neither a negative size nor one that is made from it: %s', (_name, bad, usage) => {
    const received = new GroupTest('memory_info').receive({ data: { ...data, ...bad } });
    expect(valuesOf(received, memory.usage)).toEqual(usage);
    expect(received.failures.map(({ code }) => code)).toEqual(['source_malformed']);
  });

  it('takes zeros next to an error for no measurement', () => {
    const zeros = { memory_total_bytes: 0, memory_used_bytes: 0, swap_total_bytes: 0, swap_used_bytes: 0 };
    expect(new GroupTest('memory_info').receive({ data: zeros, error: 'failed' }).points).toEqual([]);
    expect(new GroupTest('memory_info').receive({ data, error: 'failed' }).points).toHaveLength(5);
  });
});

describe('a reading of a native source', () => {
  it('has the memory that the kernel calls available', () => {
    const received = new GroupTest('memory_info').receive({
      data: { memory_total_bytes: 100, memory_used_bytes: 60, memory_available_bytes: 70 },
    });
    expect(valuesOf(received, memory.available)).toEqual({ '': 70 });
  });

  it('has the memory, the threads and the age of a process', () => {
    const data = { thread_count: 3, memory_resident_bytes: 4096, memory_virtual_bytes: 8192, uptime_seconds: 12.5 };
    const received = new GroupTest('neuron_runtime_vcpu_usage').receive({ data });
    expect(valuesOf(received, processUsage.threads)).toEqual({ '': 3 });
    expect(valuesOf(received, processUsage.memory)).toEqual({ '': 4096 });
    expect(valuesOf(received, processUsage.virtualMemory)).toEqual({ '': 8192 });
    expect(valuesOf(received, processUsage.uptime)).toEqual({ '': 12.5 });
  });

  it('has the share of latencies that were seen', () => {
    const received = new GroupTest('execution_stats').receive({ data: { latency_coverage: 0.25 } });
    expect(valuesOf(received, executions.latencyCoverage)).toEqual({ '': 0.25 });
  });
});

describe('vcpu_usage', () => {
  const average = { user: 10.34, nice: 0.5, system: 3.45, idle: 85.21, io_wait: 0.25, irq: 0.15, soft_irq: 0.1 };
  const perCpu = { '0': average, '1': { ...average, user: 0, idle: 95.55 } };

  it('names modes as the semantic conventions do', () => {
    const received = new GroupTest('vcpu_usage').receive({ data: { average_usage: average, usage_data: perCpu } });
    expect(valuesOf(received, vcpu.utilization)).toEqual({
      user: 10.34 / 100,
      nice: 0.005,
      system: 0.0345,
      idle: 0.8521,
      iowait: 0.0025,
      interrupt: 0.0015,
      softirq: 0.001,
    });
    expect(valuesOf(received, vcpu.logicalCount)).toEqual({ '': 2 });
  });

  it('folds modes for the legacy family as the AWS script does, capped', () => {
    const received = new GroupTest('vcpu_usage').receive({ data: { average_usage: average } });
    expect(valuesOf(received, vcpu.legacyUtilization)).toEqual({ user: (10.34 + 0.5) / 100, system: (3.45 + 0.25 + 0.15 + 0.1) / 100 });
    const over = new GroupTest('vcpu_usage').receive({ data: { average_usage: { user: 60, nice: 60 } } });
    expect(valuesOf(over, vcpu.legacyUtilization)).toEqual({ user: 1 });
  });

  it('shows each vCPU instead of the average when asked, and still feeds the legacy family', () => {
    const received = new GroupTest('vcpu_usage', { isEnabled: () => true }).receive({
      data: { average_usage: average, usage_data: perCpu },
    });
    const points = received.points.filter(({ metric }) => metric === 'system.cpu.utilization');
    expect(points).toHaveLength(14);
    expect(points.every(({ attributes }) => attributes['cpu.logical_number'] !== undefined)).toBe(true);
    expect(valuesOf(received, vcpu.utilizationPerCpu)).toMatchObject({ 'user/0': 10.34 / 100, 'user/1': 0, 'idle/1': 0.9555 });
    expect(Object.keys(valuesOf(received, vcpu.legacyUtilization))).toEqual(['user', 'system']);
  });

  it('takes modes that are all zero for no measurement, idle included', () => {
    const zeros = { user: 0, nice: 0, system: 0, idle: 0, io_wait: 0, irq: 0, soft_irq: 0 };
    const received = new GroupTest('vcpu_usage', { isEnabled: () => true }).receive({
      data: { average_usage: zeros, usage_data: { '0': zeros }, context_switch_count: 299 },
    });
    expect(received.points.map(({ metric }) => metric)).toEqual([
      'neuron.host.vcpu_usage',
      'neuron.host.vcpu_usage',
      'system.cpu.logical.count',
      'neuron.host.context_switches',
    ]);
    expect(valuesOf(received, vcpu.legacyUtilization)).toEqual({ user: 0, system: 0 });
  });

  it('takes modes that are all zero next to an error for nothing at all', () => {
    const zeros = { user: 0, nice: 0, system: 0, idle: 0, io_wait: 0, irq: 0, soft_irq: 0 };
    expect(new GroupTest('vcpu_usage').receive({ data: { average_usage: zeros }, error: 'failed' }).points).toEqual([]);
  });

  it('adds context switches of every period, however short, but not zeros next to an error', () => {
    const group = new GroupTest('vcpu_usage');
    group.receive({ data: { average_usage: average, context_switch_count: 299 } }, { ratesAreMeaningful: false });
    group.receive({ data: { context_switch_count: 0 }, error: 'failed' });
    const received = group.receive({ data: { average_usage: average, context_switch_count: 1000 } });
    expect(valuesOf(received, vcpu.contextSwitches)).toEqual({ '': 1299 });
  });

  it('records no share for a period that is too short, but for the legacy family', () => {
    const received = new GroupTest('vcpu_usage').receive({ data: { average_usage: average } }, { ratesAreMeaningful: false });
    expect(new Set(received.points.map(({ metric }) => metric))).toEqual(new Set(['neuron.host.vcpu_usage']));
  });

  it.each([{ user: -10 }, { io_wait: -3, system: 50 }, { user: -200, nice: 300 }])(
    'has no share that is negative, and no legacy share that is made from one: %j',
    (bad) => {
      const usage = { user: 10, nice: 0, system: 5, idle: 85, io_wait: 0, irq: 0, soft_irq: 0, ...bad };
      const received = new GroupTest('vcpu_usage').receive({ data: { average_usage: usage } });
      expect(Object.values(valuesOf(received, vcpu.utilization)).filter((share) => Number(share) < 0)).toEqual([]);
      expect(Object.keys(valuesOf(received, vcpu.utilization))).toHaveLength(6);
      expect(Object.keys(valuesOf(received, vcpu.legacyUtilization))).toEqual(['io_wait' in bad ? 'user' : 'system']);
      expect(received.failures.length).toBeGreaterThan(0);
    },
  );

  it('counts CPU time from boot', () => {
    const group = new GroupTest('vcpu_usage', { context: { ...CONTEXT, bootTimeMs: T0_MS - 90_000 } });
    const received = group.receive({ data: { cpu_time: { user: 80.5, io_wait: 1, steal: 2, guest: 3 } } });
    expect(valuesOf(received, vcpu.cpuTime)).toEqual({ user: 80.5, iowait: 1, steal: 2 });
    expect(received.points.map(({ startSecond }) => startSecond)).toEqual([-90, -90, -90]);
  });
});

function device(index: number, corrected: number): DeviceErrors {
  return { neuron_device_index: index, ecc: { mem_ecc_corrected: corrected, mem_ecc_uncorrected: 1, sram_ecc_uncorrected: 0 } };
}

describe('neuron_hw_counters', () => {
  it('names the memory, its device and the kind of error', () => {
    const received = new GroupTest('neuron_hw_counters').receive({ data: { neuron_devices: [device(3, 2)] } });
    expect(valuesOf(received, ecc.errors)).toEqual({
      'neuron3:hbm/memory/neuron3/HBM/corrected/3': 2,
      'neuron3:hbm/memory/neuron3/HBM/uncorrected/3': 1,
      'neuron3:sram/memory/neuron3/SRAM/uncorrected/3': 0,
    });
  });

  it('calls the device memory of Inf1 DDR, by device or by instance type', () => {
    const inf1 = [{ neuron_hardware_info: { neuron_device_type: 'inferentia' } }, { instance_info: { instance_type: 'inf1.24xlarge' } }];
    for (const facts of inf1) {
      const received = new GroupTest('neuron_hw_counters').receive({ data: { neuron_devices: [device(0, 2)] } }, { facts });
      expect(Object.keys(valuesOf(received, ecc.errors))[0]).toBe('neuron0:ddr/memory/neuron0/DDR/corrected/0');
    }
    const facts = { neuron_hardware_info: { neuron_device_type: 'inferentia2' }, instance_info: { instance_type: 'inf2.xlarge' } };
    const received = new GroupTest('neuron_hw_counters').receive({ data: { neuron_devices: [device(0, 2)] } }, { facts });
    expect(Object.keys(valuesOf(received, ecc.errors))[0]).toBe('neuron0:hbm/memory/neuron0/HBM/corrected/0');
  });

  it('keeps repairable errors apart and leaves out what is no ECC counter', () => {
    const received = new GroupTest('neuron_hw_counters').receive({
      data: { neuron_devices: [{ neuron_device_index: 0, ecc: { mem_ecc_repairable_uncorrected: 4, temperature: 80 } }] },
    });
    expect(valuesOf(received, ecc.errors)).toEqual({ 'neuron0:hbm/memory/neuron0/HBM/repairable_uncorrected/0': 4 });
  });

  it('takes values as running totals since boot, and a decrease as a reset', () => {
    const group = new GroupTest('neuron_hw_counters', { context: { ...CONTEXT, bootTimeMs: T0_MS - 90_000 } });
    const corrected = (count: number): unknown => {
      const { points } = group.receive({ data: { neuron_devices: [device(0, count)] } });
      const { value, startSecond } = points[0] ?? {};
      return { value, startSecond };
    };
    expect([5, 5, 8, 1, 2].map((count) => corrected(count))).toEqual([
      { value: 5, startSecond: -90 },
      { value: 5, startSecond: -90 },
      { value: 8, startSecond: -90 },
      { value: 1, startSecond: 3 },
      { value: 2, startSecond: 3 },
    ]);
  });

  it('adds values where they are tallies of the period', () => {
    const group = new GroupTest('neuron_hw_counters', { context: { ...CONTEXT, eccCounts: 'tally' } });
    group.receive({ data: { neuron_devices: [device(0, 5)] } });
    const received = group.receive({ data: { neuron_devices: [device(0, 5)] } });
    expect(valuesOf(received, ecc.errors)['neuron0:hbm/memory/neuron0/HBM/corrected/0']).toBe(10);
  });

  it('does not take zeros next to an error for a reset', () => {
    const group = new GroupTest('neuron_hw_counters');
    group.receive({ data: { neuron_devices: [device(0, 5)] } });
    expect(
      group.receive({ data: { neuron_devices: [{ neuron_device_index: 0, ecc: { mem_ecc_corrected: 0 } }] }, error: 'failed' }).points,
    ).toEqual([]);
    const { points } = group.receive({ data: { neuron_devices: [device(0, 6)] } });
    expect(points[0]).toMatchObject({ value: 6, startSecond: 0 });
  });

  it('takes a device that is listed twice once, and counts a failure', () => {
    const received = new GroupTest('neuron_hw_counters').receive({ data: { neuron_devices: [device(0, 1), device(0, 2)] } });
    expect(received.points).toHaveLength(3);
    expect(received.failures.map(({ code }) => code)).toEqual(['source_malformed']);
  });
});

describe('instance_info', () => {
  it('becomes the resource; what is empty stays absent', () => {
    const received = new GroupTest('instance_info').receive({
      data: {
        instance_name: '',
        instance_id: 'i-1',
        instance_type: 'trn1.2xlarge',
        instance_region: 'us-east-1',
        instance_availability_zone: 'us-east-1d',
        instance_availability_zone_id: 'use1-az6',
        ami_id: 'ami-1',
        subnet_id: 'subnet-1',
        ultraserver_id: 'u-1',
      },
    });
    expect(received.resource).toEqual({
      'service.name': 'test',
      'cloud.provider': 'aws',
      'cloud.platform': 'aws_ec2',
      'cloud.region': 'us-east-1',
      'cloud.availability_zone': 'us-east-1d',
      'host.id': 'i-1',
      'host.type': 'trn1.2xlarge',
      'host.image.id': 'ami-1',
      'neuron.instance.availability_zone_id': 'use1-az6',
      'neuron.instance.subnet_id': 'subnet-1',
      'neuron.instance.ultraserver_id': 'u-1',
    });
    expect(valuesOf(received, instance.legacyInfo)).toEqual({ '': 1 });
  });

  it('follows the metadata when it arrives late', () => {
    const group = new GroupTest('instance_info');
    expect(group.receive({ data: { instance_id: '', instance_region: 'us-east-1' } }).resource).not.toHaveProperty('cloud.provider');
    expect(group.receive({ data: { instance_id: 'i-1', instance_name: 'node-a' } }).resource).toEqual({
      'service.name': 'test',
      'cloud.provider': 'aws',
      'cloud.platform': 'aws_ec2',
      'host.id': 'i-1',
      'ec2.tag.Name': 'node-a',
    });
  });
});

describe('neuron_hardware_info', () => {
  const data = {
    neuron_device_type: 'trainium2',
    neuron_device_version: 'v4',
    neuroncore_version: 'v3d',
    neuron_device_count: 2,
    neuron_device_memory_size: 96,
    neuroncore_per_device_count: 4,
    logical_neuroncore_config: 2,
  };

  it('counts devices and logical cores, and states the memory of each device', () => {
    const received = new GroupTest('neuron_hardware_info').receive({ data });
    expect(valuesOf(received, hardware.deviceCount)).toEqual({ '': 2 });
    expect(valuesOf(received, hardware.coreCount)).toEqual({ '': 8 });
    expect(valuesOf(received, hardware.deviceMemory)).toEqual({ '0': 96, '1': 96 });
    expect(valuesOf(received, hardware.legacyInfo)).toEqual({ '2/4/96': 1 });
    expect(received.resource).toEqual({
      'service.name': 'test',
      'neuron.device.type': 'trainium2',
      'neuron.device.version': 'v4',
      'neuron.device.core_count': 4,
      'neuron.core.version': 'v3d',
      'neuron.core.logical_config': 2,
    });
  });

  it.each([
    ['by the source', { neuron_device_indexes: [0, 3] }, undefined, ['0', '3']],
    ['by the latest device counters', {}, [1, 2], ['1', '2']],
    ['by the source rather than by older device counters', { neuron_device_indexes: [0, 3] }, [0, 1], ['0', '3']],
    ['by nothing that has as many, so the first ones are taken', { neuron_device_indexes: [0, 2, 3] }, [5], ['0', '1']],
  ] as const)('has a memory limit for the devices that are named %s', (_title, indexes, deviceIndexes, expected) => {
    const facts = deviceIndexes === undefined ? {} : { deviceIndexes };
    const received = new GroupTest('neuron_hardware_info').receive({ data: { ...data, ...indexes } }, { facts });
    expect(Object.keys(valuesOf(received, hardware.deviceMemory))).toEqual(expected);
  });

  it('takes releases that state the two counts only', () => {
    const received = new GroupTest('neuron_hardware_info').receive({ data: { neuron_device_count: 1, neuroncore_per_device_count: 4 } });
    expect(received.points.map(({ metric, value }) => [metric, value])).toEqual([
      ['neuron.hardware.info', 1],
      ['neuron.device.count', 1],
      ['neuron.core.count', 4],
    ]);
  });

  it('has zero devices where the source reports zero, and only in the legacy family where it reports an error as well', () => {
    const none = { neuron_device_count: 0, neuroncore_per_device_count: 0 };
    expect(valuesOf(new GroupTest('neuron_hardware_info').receive({ data: none }), hardware.deviceCount)).toEqual({ '': 0 });
    const failed = new GroupTest('neuron_hardware_info').receive({ data: none, error: 'no neuron device found' });
    expect(valuesOf(failed, hardware.legacyInfo)).toEqual({ '0/0/-': 1 });
    expect(failed.points).toHaveLength(1);
  });

  it.each([
    { neuron_device_count: -2 },
    { neuron_device_count: -2, neuroncore_per_device_count: -4 },
    { neuron_device_memory_size: -96, neuroncore_per_device_count: -1 },
  ])('takes no negative number, and makes nothing from one: %j', (bad) => {
    const received = new GroupTest('neuron_hardware_info').receive({ data: { ...data, ...bad } });
    const numbers = [
      ...received.points.map(({ value }) => value),
      ...received.points.flatMap(({ attributes }) => Object.values(attributes)),
    ];
    expect(numbers.filter((value) => Number(value) < 0)).toEqual([]);
    expect(valuesOf(received, hardware.coreCount)).toEqual({});
    expect(received.resource['neuron.device.core_count']).toBe('neuroncore_per_device_count' in bad ? undefined : 4);
    expect(received.failures.map(({ code }) => code)).toEqual(['source_malformed']);
  });

  it('refuses a billion devices', () => {
    const received = new GroupTest('neuron_hardware_info').receive({ data: { ...data, neuron_device_count: 1e9 } });
    expect(received.points).toEqual([]);
    expect(received.failures.map(({ code }) => code)).toEqual(['source_malformed']);
  });
});

function pod(name: string, containers: readonly string[]): PodPlacement {
  return { pod_name: name, namespace: 'ml', container_names: containers };
}

describe('neuron_k8s_info', () => {
  it('has 1 for each core and device that a pod holds; a container only where there is one', () => {
    const received = new GroupTest('neuron_k8s_info', { context: TWO_CORES_PER_DEVICE }).receive({
      data: {
        neuroncores_k8s_info: { '2': pod('a', ['main']), '3': pod('b', ['init', 'main']) },
        neurondevices_k8s_info: { '1': pod('c', []) },
      },
    });
    expect(valuesOf(received, k8s.coreAllocation)).toEqual({ '1/2/a/ml/main': 1, '1/3/b/ml/-': 1 });
    expect(valuesOf(received, k8s.deviceAllocation)).toEqual({ '1/c/ml/-': 1 });
  });

  it('loses one placement to a member that is no index, and counts a failure', () => {
    const received = new GroupTest('neuron_k8s_info').receive({
      data: { neurondevices_k8s_info: { neuron0: pod('a', []), '1': pod('b', []) } },
    });
    expect(received.points).toHaveLength(1);
    expect(received.failures.map(({ code }) => code)).toEqual(['source_malformed']);
  });
});
