import { DataPointType } from '@opentelemetry/sdk-metrics';
import type { MetricData } from '@opentelemetry/sdk-metrics';
import { describe, expect, it } from 'vitest';
import { ALL_METRICS } from '../../receivers/index.ts';
import { fixtureCases } from '../../scripts/fixtures/cases.ts';
import { definitionOf } from '../../src/metric-table.ts';
import type { MetricDefinition } from '../../src/metric-table.ts';
import { Replay, fixtureDocuments } from '../support/replay.ts';

/** Rows that no record of neuron-monitor feeds, and the test that shows them being fed. */
const FED_BY_OTHER_SOURCES: Readonly<Record<string, string>> = {
  'process.cpu.time': 'procfs: test/receivers/host-groups.test.ts',
  'system.cpu.time': 'procfs: test/receivers/host-groups.test.ts',
  'system.memory.linux.available': 'procfs: test/receivers/host-groups.test.ts',
  'process.memory.usage': 'procfs: test/receivers/host-groups.test.ts',
  'process.memory.virtual': 'procfs: test/receivers/host-groups.test.ts',
  'process.thread.count': 'procfs: test/receivers/host-groups.test.ts',
  'process.uptime': 'procfs: test/receivers/host-groups.test.ts',
  'neuron.latency_sampling.coverage': 'nds: test/receivers/host-groups.test.ts',
  'hw.status': 'sysfs: test/receivers/devices.test.ts',
  'neuron.device.health.issue': 'sysfs: test/receivers/devices.test.ts',
  'neuron.device.link': 'sysfs: test/receivers/devices.test.ts',
  'neuron.device.component.fault': 'sysfs: test/receivers/devices.test.ts',
  'neuron.device.error_events': 'sysfs: test/receivers/devices.test.ts',
  'neuron.device.power.utilization': 'sysfs: test/receivers/devices.test.ts',
  'neuron.device.memory.usage': 'sysfs: test/receivers/devices.test.ts',
  'neuron.device.memory.peak': 'sysfs: test/receivers/devices.test.ts',
  'neuron.device.host_memory.usage': 'sysfs: test/receivers/devices.test.ts',
  'neuron.device.host_memory.peak': 'sysfs: test/receivers/devices.test.ts',
  'neuron.device.core.utilization': 'sysfs: test/receivers/devices.test.ts',
  'neuron.device.core.flops': 'sysfs: test/receivers/devices.test.ts',
  'neuron.device.core.executions': 'sysfs: test/receivers/devices.test.ts',
  'neuron.device.core.model_loads': 'sysfs: test/receivers/devices.test.ts',
  'neuron.device.core.reset_requests': 'sysfs: test/receivers/devices.test.ts',
  'neuron.device.reset_failures': 'sysfs: test/receivers/devices.test.ts',
  'neuron.core.events': 'sysfs: test/receivers/devices.test.ts',
};

/** Everything any fixture emits, with every row switched on or with the defaults, legacy rows included. */
async function emitted(isEnabled: (metric: MetricDefinition) => boolean): Promise<readonly MetricData[]> {
  const metrics: MetricData[] = [];
  for (const { name } of fixtureCases()) {
    const replay = new Replay({ isEnabled });
    for (const document of fixtureDocuments(name)) {
      await replay.feed(document);
      for (const { scopeMetrics } of replay.store.collect({ legacy: true })) {
        for (const scope of scopeMetrics)
          for (const data of scope.metrics) metrics.push({ ...data, dataPoints: [...data.dataPoints] } as MetricData);
      }
    }
  }
  return metrics;
}

describe.each([
  ['with the defaults', (metric: MetricDefinition) => metric.enabled],
  ['with every row on', () => true],
] as const)('the fixtures, %s,', (_title, isEnabled) => {
  it('emit every row that is switched on, and no other', async () => {
    const seen = new Set((await emitted(isEnabled)).map(({ descriptor }) => definitionOf(descriptor)));
    const replaced = ALL_METRICS.filter((metric) => metric.toggle !== undefined && isEnabled(metric)).map(({ name }) => name);
    const expected = ALL_METRICS.filter(
      (metric) =>
        isEnabled(metric) && !(metric.name in FED_BY_OTHER_SOURCES) && (metric.toggle !== undefined || !replaced.includes(metric.name)),
    );
    expect(keysOf(ALL_METRICS.filter((metric) => seen.has(metric)))).toEqual(keysOf(expected));
  });

  it('emit metrics with the name, unit, description and type of their rows', async () => {
    const metrics = await emitted(isEnabled);
    const wrong = metrics.filter((data) => !isDescriptionOf(definitionOf(data.descriptor), data));
    expect(wrong.map(({ descriptor }) => descriptor)).toEqual([]);
  });

  it('emit only points that their rows describe', async () => {
    const all = await emitted(isEnabled);
    const points = all.flatMap((data) => data.dataPoints.map((point) => ({ row: definitionOf(data.descriptor), ...point })));
    expect(points.length).toBeGreaterThan(10_000);
    expect(points.filter(({ row, attributes, value }) => row === undefined || !isDescribed(row, attributes, value))).toEqual([]);
  });
});

function keysOf(metrics: readonly MetricDefinition[]): readonly string[] {
  return metrics.map(({ group, key }) => `${group}.${key}`);
}

function isDescriptionOf(row: MetricDefinition | undefined, data: MetricData): boolean {
  const { descriptor } = data;
  return (
    row?.name === descriptor.name &&
    row.unit === descriptor.unit &&
    row.description === descriptor.description &&
    row.instrument === instrumentOf(data)
  );
}

function instrumentOf(data: MetricData): MetricDefinition['instrument'] {
  if (data.dataPointType === DataPointType.GAUGE) return 'gauge';
  if (data.dataPointType === DataPointType.SUM) return data.isMonotonic ? 'counter' : 'up_down_counter';
  return 'histogram';
}

function isDescribed(row: MetricDefinition, attributes: Readonly<Record<string, unknown>>, value: unknown): boolean {
  return undescribed(row, attributes).length === 0 && (row.instrument === 'histogram' || isValue(row, value));
}

function undescribed(row: MetricDefinition, attributes: Readonly<Record<string, unknown>>): readonly string[] {
  return Object.entries(attributes).flatMap(([name, value]) => {
    const type = row.attributes[name];
    if (type === 'int') return Number.isSafeInteger(value) ? [] : [name];
    if (type === 'string') return typeof value === 'string' && value !== '' ? [] : [name];
    return typeof value === 'string' && type?.includes(value) === true ? [] : [name];
  });
}

function isValue(row: MetricDefinition, value: unknown): boolean {
  const fits = row.valueType === 'double' ? Number.isFinite(value) : Number.isSafeInteger(value);
  // Shares of whole things: none of the fixtures has a residue above 1.
  return fits && typeof value === 'number' && value >= 0 && (row.unit !== '1' || value <= 1);
}
