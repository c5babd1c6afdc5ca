import { describe, expect, it } from 'vitest';
import { escapeName, prometheusLabelName, prometheusName, unitWord } from '../../../exporters/prometheus/naming.ts';
import { TRANSLATION_STRATEGIES } from '../../../exporters/prometheus/settings.ts';
import type { MetricIdentity } from '../../../exporters/prometheus/naming.ts';

type Row = readonly [name: string, unit: string, instrument: MetricIdentity['instrument'], ...names: readonly string[]];

/** Columns in the order of TRANSLATION_STRATEGIES. */
const ROWS: readonly Row[] = [
  ['neuron.core.utilization', '1', 'gauge', 'neuron_core_utilization_ratio', 'neuron_core_utilization', 'neuron.core.utilization_ratio'],
  ['hw.status', '1', 'up_down_counter', 'hw_status', 'hw_status', 'hw.status'],
  ['neuron.executions', '{execution}', 'counter', 'neuron_executions_total', 'neuron_executions', 'neuron.executions_total'],
  [
    'neuron.execution.latency',
    's',
    'histogram',
    'neuron_execution_latency_seconds',
    'neuron_execution_latency',
    'neuron.execution.latency_seconds',
  ],
  ['system.memory.usage', 'By', 'up_down_counter', 'system_memory_usage_bytes', 'system_memory_usage', 'system.memory.usage_bytes'],
  ['process.cpu.time', 's', 'counter', 'process_cpu_time_seconds_total', 'process_cpu_time', 'process.cpu.time_seconds_total'],
  ['neuron.core.flops', '{flop}/s', 'gauge', 'neuron_core_flops_per_second', 'neuron_core_flops', 'neuron.core.flops_per_second'],
  ['io.rate', 'By/s', 'gauge', 'io_rate_bytes_per_second', 'io_rate', 'io.rate_bytes_per_second'],
  ['requests.total', '1', 'counter', 'requests_total', 'requests_total', 'requests_total'],
  ['body.bytes', 'By', 'gauge', 'body_bytes', 'body_bytes', 'body.bytes'],
  ['a..b--c__d', '', 'gauge', 'a_b_c_d', 'a_b_c_d', 'a..b--c__d'],
  ['2xx.rate', '', 'gauge', '_2xx_rate', '_2xx_rate', '2xx.rate'],
  ['temperature', 'Cel', 'gauge', 'temperature_celsius', 'temperature', 'temperature_celsius'],
  ['share', '%', 'gauge', 'share_percent', 'share', 'share_percent'],
];

describe('prometheusName', () => {
  it.each(ROWS.map((row) => [row[0], row] as const))('%s', (_name, [name, unit, instrument, ...names]) => {
    const expected = [...names, name];
    for (const [index, strategy] of TRANSLATION_STRATEGIES.entries()) {
      expect(prometheusName({ name, unit, instrument }, strategy)).toBe(expected[index]);
    }
  });

  it.each([
    ['neuron.device.count', '{device}', 'neuron_device_count_devices'],
    ['system.cpu.logical.count', '{cpu}', 'system_cpu_logical_count_cpus'],
    ['neuron.series.count', '{series}', 'neuron_series_count_series'],
    ['some.sum', '', 'some_sum_value'],
  ])('%s keeps clear of the endings of histograms', (name, unit, expected) => {
    expect(prometheusName({ name, unit, instrument: 'up_down_counter' })).toBe(expected);
  });

  it('leaves such an ending to histograms and takes it from counters', () => {
    expect(prometheusName({ name: 'a.count', unit: '', instrument: 'histogram' })).toBe('a_count');
    expect(prometheusName({ name: 'a.count', unit: '{a}', instrument: 'counter' })).toBe('a_count_total');
  });
});

it('names labels', () => {
  expect(prometheusLabelName('neuron.core.index')).toBe('neuron_core_index');
  expect(prometheusLabelName('0.weird..é')).toBe('key_0_weird_');
  expect(prometheusLabelName('neuron.core.index', 'NoTranslation')).toBe('neuron.core.index');
});

it('spells units', () => {
  expect(['s', 'By', '1', '{flop}/s', 'By/s', ''].map((unit) => unitWord(unit))).toEqual([
    'seconds',
    'bytes',
    '',
    'per_second',
    'bytes_per_second',
    '',
  ]);
});

describe('escapeName', () => {
  it.each([
    ['underscores', 'neuron.core_é', 'neuron_core__'],
    ['dots', 'neuron.core_é', 'neuron_dot_core____'],
    ['dots', 'plain_name', 'plain__name'],
    ['values', 'neuron.core_é', 'U__neuron_2e_core___e9_'],
    ['values', 'plain_name', 'plain_name'],
    ['allow-utf-8', 'neuron.core_é', 'neuron.core_é'],
    ['values', '0a\ud800', 'U___30_a_FFFD_'],
  ] as const)('%s of %s', (scheme, name, expected) => {
    expect(escapeName(name, scheme)).toBe(expected);
  });
});
