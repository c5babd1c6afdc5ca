import { defineMetrics } from '../../src/metric-table.ts';

const MODE = { 'cpu.mode': ['user', 'nice', 'system', 'idle', 'iowait', 'interrupt', 'softirq'] } as const;
const MODE_AND_STEAL = { 'cpu.mode': [...MODE['cpu.mode'], 'steal'] } as const;
const NOT_STOLEN = 'The modes add up to 1: the whole is the time that was not stolen. `system.cpu.time` has `steal`.';
const PERCENT = { scale: 0.01, document: 'neuron-monitor user guide, vcpu_usage: percentages' } as const;
const ALL_CPUS = 'system.cpu.utilization';

export const metrics = defineMetrics('vcpu_usage', {
  utilization: {
    name: ALL_CPUS,
    unit: '1',
    instrument: 'gauge',
    valueType: 'double',
    attributes: MODE,
    description: 'Share of the period that the vCPUs of the host spent in each mode, all vCPUs together.',
    enabled: true,
    source: { path: 'vcpu_usage.average_usage.*', ...PERCENT },
    note: NOT_STOLEN,
  },
  utilizationPerCpu: {
    name: ALL_CPUS,
    toggle: `${ALL_CPUS}.per_cpu`,
    unit: '1',
    instrument: 'gauge',
    valueType: 'double',
    attributes: { ...MODE, 'cpu.logical_number': 'int' },
    description: 'Share of the period that each vCPU of the host spent in each mode.',
    enabled: false,
    source: { path: 'vcpu_usage.usage_data.*.*', ...PERCENT },
    note: `When switched on it replaces the row over all vCPUs, so that no average mixes the two. ${NOT_STOLEN}`,
  },
  cpuTime: {
    name: 'system.cpu.time',
    unit: 's',
    instrument: 'counter',
    valueType: 'double',
    attributes: MODE_AND_STEAL,
    description: 'Time that the vCPUs of the host have spent in each mode since boot, all vCPUs together.',
    enabled: true,
    source: { path: '/proc/stat cpu' },
  },
  logicalCount: {
    name: 'system.cpu.logical.count',
    unit: '{cpu}',
    instrument: 'up_down_counter',
    valueType: 'int',
    attributes: {},
    description: 'The vCPUs of the host.',
    enabled: true,
    source: { path: 'vcpu_usage.usage_data, number of members' },
    legacy: [{ name: 'system_vcpu_count', help: 'System vCPU count' }],
  },
  contextSwitches: {
    name: 'neuron.host.context_switches',
    unit: '{context_switch}',
    instrument: 'counter',
    valueType: 'int',
    attributes: {},
    description: 'Context switches of the host while the agent watched.',
    enabled: true,
    source: { path: 'vcpu_usage.context_switch_count' },
  },
  legacyUtilization: {
    name: 'neuron.host.vcpu_usage',
    legacyOnly: true,
    unit: '1',
    instrument: 'gauge',
    valueType: 'double',
    attributes: { 'cpu.mode': ['user', 'system'] },
    description: 'Share of the period in which the vCPUs of the host were in use, folded into two modes as the AWS script folds them.',
    enabled: true,
    source: { path: 'vcpu_usage.average_usage: user + nice; system + io_wait + irq + soft_irq; at most 100', ...PERCENT },
    legacy: [
      {
        name: 'system_vcpu_usage_ratio',
        help: 'System CPU utilization ratio',
        labels: { 'cpu.mode': { label: 'usage_type' } },
      },
    ],
  },
});
