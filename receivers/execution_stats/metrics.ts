import { defineMetrics } from '../../src/metric-table.ts';

const LATENCY_KIND = { 'neuron.latency.type': ['total', 'device'] } as const;
const LATENCY_PATH = 'execution_stats.latency_stats.{total_latency,device_latency}';
const MEANING = 'total is the whole execution as the runtime sees it, device the part on the NeuronCore.';

/** The percentiles of neuron-monitor, as quantiles. */
const PERCENTILE_OF_QUANTILE = { '0': 'p0', '0.01': 'p1', '0.25': 'p25', '0.5': 'p50', '0.75': 'p75', '0.99': 'p99', '1': 'p100' } as const;

export const metrics = defineMetrics('execution_stats', {
  errors: {
    name: 'neuron.execution.errors',
    unit: '{error}',
    instrument: 'counter',
    valueType: 'int',
    attributes: { 'error.type': 'string' },
    description: 'Execution errors by type, as the Neuron runtime counts them.',
    enabled: true,
    source: { path: 'execution_stats.error_summary.*' },
    note: 'error.type "generic" is no alarm by itself: older releases count thousands a second while every execution succeeds.',
    legacy: [{ name: 'execution_errors_total', help: 'Execution errors total', labels: { 'error.type': { label: 'error_type' } } }],
  },
  executions: {
    name: 'neuron.executions',
    unit: '{execution}',
    instrument: 'counter',
    valueType: 'int',
    attributes: { 'neuron.execution.outcome': 'string' },
    description: 'Executions on NeuronCores, by outcome; a model that spans several cores counts once for each core.',
    enabled: true,
    source: { path: 'execution_stats.execution_summary.*' },
    legacy: [
      {
        name: 'execution_status_total',
        help: 'Execution status total',
        labels: { 'neuron.execution.outcome': { label: 'status_type' } },
      },
    ],
  },
  duration: {
    name: 'neuron.execution.duration',
    unit: 's',
    instrument: 'histogram',
    valueType: 'double',
    attributes: LATENCY_KIND,
    description: 'Latency of executions as a distribution that can be added up over cores, hosts and time.',
    enabled: true,
    source: { path: `${LATENCY_PATH} with execution_summary.completed` },
    note: `Rebuilt from the percentiles and the count of each period: exact at every percentile reported, spread in between. ${MEANING}`,
  },
  latency: {
    name: 'neuron.execution.latency',
    unit: 's',
    instrument: 'gauge',
    valueType: 'double',
    attributes: { ...LATENCY_KIND, 'neuron.latency.quantile': 'string' },
    description: 'Latency percentiles of the executions of the last period.',
    enabled: true,
    source: { path: `${LATENCY_PATH}.p*` },
    note: `Absent while nothing runs. Percentiles cannot be averaged: use neuron.execution.duration over several processes. ${MEANING}`,
    legacy: [
      {
        name: 'execution_latency_seconds',
        help: 'Execution latency in seconds',
        where: { 'neuron.latency.type': ['total'], 'neuron.latency.quantile': Object.keys(PERCENTILE_OF_QUANTILE) },
        labels: { 'neuron.latency.quantile': { label: 'percentile', values: PERCENTILE_OF_QUANTILE } },
      },
    ],
  },
  latencyCoverage: {
    name: 'neuron.latency_sampling.coverage',
    unit: '1',
    instrument: 'gauge',
    valueType: 'double',
    attributes: {},
    description: 'Share of the executions of the period whose latency was seen, where latencies are sampled.',
    enabled: true,
    source: { path: 'datastore: latencies seen ÷ executions completed' },
  },
});
