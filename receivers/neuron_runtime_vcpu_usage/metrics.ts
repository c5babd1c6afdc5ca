import { defineMetrics } from '../../src/metric-table.ts';
import type { LegacyMapping } from '../../src/metric-table.ts';

const MODE = { 'cpu.mode': ['user', 'system'] } as const;

const PERCENT = {
  path: 'neuron_runtime_vcpu_usage.vcpu_usage.{user,system}',
  scale: 0.01,
  document: 'neuron-monitor user guide, neuron_runtime_vcpu_usage: percentage; verified against /proc ticks, of all vCPUs together',
} as const;

const LEGACY_UTILIZATION = {
  name: 'neuron_runtime_vcpu_usage_ratio',
  help: 'Runtime vCPU utilization ratio',
  labels: { 'cpu.mode': { label: 'usage_type' } },
} as const satisfies LegacyMapping;

export const metrics = defineMetrics('neuron_runtime_vcpu_usage', {
  utilization: {
    name: 'process.cpu.utilization',
    unit: '1',
    instrument: 'gauge',
    valueType: 'double',
    attributes: MODE,
    description: 'Share of all vCPUs of the host that a Neuron process used during the period, by mode.',
    enabled: true,
    source: PERCENT,
    legacy: [LEGACY_UTILIZATION],
  },
  legacyShortUtilization: {
    name: 'neuron.process.short_vcpu_usage',
    legacyOnly: true,
    unit: '1',
    instrument: 'gauge',
    valueType: 'double',
    attributes: MODE,
    description: 'Share of a period too short to say anything, such as that of the first record, which the AWS script shows all the same.',
    enabled: true,
    source: PERCENT,
    legacy: [LEGACY_UTILIZATION],
  },
  cpuTime: {
    name: 'process.cpu.time',
    unit: 's',
    instrument: 'counter',
    valueType: 'double',
    attributes: MODE,
    description: 'CPU time that a Neuron process has used since it started, by mode.',
    enabled: true,
    source: { path: '/proc/<pid>/stat utime, stime' },
  },
  memory: {
    name: 'process.memory.usage',
    unit: 'By',
    instrument: 'up_down_counter',
    valueType: 'int',
    attributes: {},
    description: 'Physical memory that a Neuron process occupies.',
    enabled: true,
    source: { path: '/proc/<pid>/stat rss, pages' },
  },
  virtualMemory: {
    name: 'process.memory.virtual',
    unit: 'By',
    instrument: 'up_down_counter',
    valueType: 'int',
    attributes: {},
    description: 'Address space of a Neuron process.',
    enabled: true,
    source: { path: '/proc/<pid>/stat vsize' },
  },
  threads: {
    name: 'process.thread.count',
    unit: '{thread}',
    instrument: 'up_down_counter',
    valueType: 'int',
    attributes: {},
    description: 'Threads of a Neuron process.',
    enabled: true,
    source: { path: '/proc/<pid>/stat num_threads' },
  },
  uptime: {
    name: 'process.uptime',
    unit: 's',
    instrument: 'gauge',
    valueType: 'double',
    attributes: {},
    description: 'Time since a Neuron process started.',
    enabled: true,
    source: { path: '/proc/<pid>/stat starttime' },
  },
});
