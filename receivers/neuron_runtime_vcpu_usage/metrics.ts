import { defineMetrics } from '../../src/metric-table.ts';

const MODE = { 'cpu.mode': ['user', 'system'] } as const;

export const metrics = defineMetrics('neuron_runtime_vcpu_usage', {
  utilization: {
    name: 'process.cpu.utilization',
    unit: '1',
    instrument: 'gauge',
    valueType: 'double',
    attributes: MODE,
    description: 'Share of all vCPUs of the host that a Neuron process used during the period, by mode.',
    enabled: true,
    source: {
      path: 'neuron_runtime_vcpu_usage.vcpu_usage.{user,system}',
      scale: 0.01,
      document: 'neuron-monitor user guide, neuron_runtime_vcpu_usage: percentage; verified against /proc ticks, of all vCPUs together',
    },
    legacy: [
      {
        name: 'neuron_runtime_vcpu_usage_ratio',
        help: 'Runtime vCPU utilization ratio',
        labels: { 'cpu.mode': { label: 'usage_type' } },
      },
    ],
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
});
