import { describe, expect, it } from 'vitest';
import { prometheusLabelName, prometheusName } from '../../exporters/prometheus/naming.ts';
import { ALL_METRICS, RECEIVERS, receiverFor } from '../../receivers/index.ts';
import { defineMetrics, toggleOf } from '../../src/metric-table.ts';
import type { LegacyMapping, MetricDefinition, MetricRow } from '../../src/metric-table.ts';
import { METRIC_GROUPS } from '../../src/readings.ts';
import { SELF_METRICS } from '../../src/self-metrics.ts';

/** The units of UCUM that the tables use; annotations in braces are free, singular and lower case. */
const UNITS = /^(?:1|s|By|(?:\{[a-z]+(?:_[a-z]+)*\})(?:\/s)?)$/;

/** Words that an OpenTelemetry name must not carry: the unit says them. */
const UNIT_WORDS = /(?:^|[._])(?:bytes?|seconds?|percent|ratio|total)(?:$|[._])/;

/** Names of the semantic conventions (1.44.0) that rows take over as they are. */
const STANDARD_NAMES: ReadonlySet<string> = new Set([
  'system.cpu.utilization',
  'system.cpu.time',
  'system.cpu.logical.count',
  'system.memory.limit',
  'system.memory.usage',
  'system.paging.usage',
  'process.cpu.utilization',
  'process.cpu.time',
  'process.memory.usage',
  'process.memory.virtual',
  'process.thread.count',
  'process.uptime',
  'system.memory.linux.available',
  'hw.errors',
  'hw.status',
]);

/** What each row must obey; a rule is true where it is kept. */
const RULES: Readonly<Record<string, (metric: MetricDefinition) => boolean>> = {
  'the unit is UCUM': ({ unit }) => UNITS.test(unit),
  'a conversion names its document, and only a conversion does': ({ scale, source }) => (scale !== 1) === (source.document !== undefined),
  'the description is one sentence': ({ description }) => /^[A-Z][^.]*(?:\.\S[^.]*)*\.$/.test(description),
  'the note ends its sentence': ({ note }) => note === undefined || note.endsWith('.'),
  'the name is lower-case words in namespaces': ({ name }) => /^[a-z][a-z0-9_]*(?:\.[a-z][a-z0-9_]*)+$/.test(name),
  'the name carries no unit': ({ name }) => !UNIT_WORDS.test(name),
  'the name is ours or the semantic conventions': ({ name }) => name.startsWith('neuron.') || STANDARD_NAMES.has(name),
  'a state is not named in the plural': ({ name, instrument }) =>
    instrument !== 'up_down_counter' || !name.endsWith('s') || STANDARD_NAMES.has(name),
  'a share is a utilization or a coverage': ({ name, unit, legacyOnly }) =>
    unit !== '1' || legacyOnly === true || name === 'hw.status' || name.endsWith('.utilization') || name.endsWith('.coverage'),
  'Neuron memory is a gauge': ({ name, instrument }) => !/^neuron\..*memory/.test(name) || instrument === 'gauge',
  'labels stay apart on the Prometheus page': ({ attributeNames }) => isDistinct(attributeNames.map((name) => prometheusLabelName(name))),
  'labels are labels': ({ attributeNames }) => attributeNames.every((name) => /^[a-z][a-z0-9_]*$/.test(prometheusLabelName(name))),
  'closed sets name each value once': ({ attributes }) =>
    Object.values(attributes).every((type) => typeof type === 'string' || isDistinct(type)),
  'a core comes with its device': ({ attributeNames }) =>
    !attributeNames.includes('neuron.core.index') || attributeNames.includes('neuron.device.index'),
  'legacy labels come from attributes and values of the row': (metric) =>
    (metric.legacy ?? []).every((mapping) => isMappable(mapping, metric)),
  'legacy counters end in _total, and only they do': ({ legacy, instrument }) =>
    (legacy ?? []).every(({ name }) => name.endsWith('_total') === (instrument === 'counter')),
  'a row for legacy families alone feeds one, always': ({ legacyOnly, legacy, enabled }) =>
    legacyOnly !== true || (enabled && legacy !== undefined && legacy.length > 0),
};

function isDistinct(values: readonly unknown[]): boolean {
  return new Set(values).size === values.length;
}

function isMappable({ where, labels, constantLabels }: LegacyMapping, { attributes }: MetricDefinition): boolean {
  const legacyLabels = [...Object.values(labels ?? {}).map(({ label }) => label), ...Object.keys(constantLabels ?? {})];
  const used = [
    ...Object.entries(where ?? {}),
    ...Object.entries(labels ?? {}).map(([attribute, { values }]) => [attribute, Object.keys(values ?? {})] as const),
  ];
  return isDistinct(legacyLabels) && used.every(([attribute, values]) => hasValues(attributes[attribute], values));
}

function hasValues(type: MetricDefinition['attributes'][string] | undefined, values: readonly string[]): boolean {
  if (type === undefined) return false;
  return typeof type === 'string' || values.every((value) => type.includes(value));
}

function shape({ name, group, instrument, unit, valueType }: MetricDefinition): readonly string[] {
  return [name, group, instrument, unit, valueType];
}

function keysOf(metrics: readonly MetricDefinition[]): readonly string[] {
  return metrics.map(({ group, key }) => `${group}.${key}`);
}

describe('the list of receivers', () => {
  it('has one receiver for each metric group', () => {
    expect(RECEIVERS.map(({ group }) => group).toSorted()).toEqual([...METRIC_GROUPS].toSorted());
    expect(METRIC_GROUPS.map((group) => receiverFor(group)?.group)).toEqual(METRIC_GROUPS);
  });

  it('has tables whose rows name their group', () => {
    expect(RECEIVERS.flatMap(({ group, metrics }) => Object.values(metrics).filter((metric) => metric.group !== group))).toEqual([]);
  });
});

describe('every row', () => {
  it.each(Object.entries(RULES))('%s', (_title, rule) => {
    expect(keysOf(ALL_METRICS.filter((metric) => !rule(metric)))).toEqual([]);
  });
});

describe('a row that breaks a rule is found:', () => {
  const good = {
    name: 'neuron.test.usage',
    unit: 'By',
    instrument: 'gauge',
    valueType: 'int',
    attributes: { 'neuron.device.index': 'int', state: ['a', 'b'] },
    description: 'Test of neuron.test rows.',
    enabled: true,
    source: { path: 'test' },
  } as const satisfies MetricRow;
  const bad: Readonly<Record<string, Partial<MetricRow>>> = {
    'the unit is UCUM': { unit: 'bytes' },
    'a conversion names its document, and only a conversion does': { source: { path: 'test', scale: 0.01 } },
    'the description is one sentence': { description: 'Two of them. Here.' },
    'the note ends its sentence': { note: 'No end' },
    'the name is lower-case words in namespaces': { name: 'neuron.Test' },
    'the name carries no unit': { name: 'neuron.test_bytes' },
    'the name is ours or the semantic conventions': { name: 'system.neuron.usage' },
    'a state is not named in the plural': { name: 'neuron.test.things', instrument: 'up_down_counter' },
    'a share is a utilization or a coverage': { unit: '1' },
    'Neuron memory is a gauge': { name: 'neuron.memory.usage', instrument: 'up_down_counter' },
    'labels stay apart on the Prometheus page': { attributes: { 'a.b': 'int', a_b: 'int' } },
    'labels are labels': { attributes: { Größe: 'int' } },
    'closed sets name each value once': { attributes: { state: ['a', 'a'] } },
    'a core comes with its device': { attributes: { 'neuron.core.index': 'int' } },
    'legacy labels come from attributes and values of the row': { legacy: [{ name: 'x', help: 'X', where: { state: ['c'] } }] },
    'legacy counters end in _total, and only they do': { legacy: [{ name: 'x_total', help: 'X' }] },
    'a row for legacy families alone feeds one, always': { legacyOnly: true },
  };

  it.each(Object.entries(RULES))('%s', (title, rule) => {
    const { fine, broken } = defineMetrics('vcpu_usage', { fine: good, broken: { ...good, ...bad[title] } });
    expect(rule(fine)).toBe(true);
    expect(rule(broken)).toBe(false);
  });
});

describe('all rows together', () => {
  const self = Object.values(SELF_METRICS);
  const exported = ALL_METRICS.filter(({ legacyOnly }) => legacyOnly !== true);
  const families = ALL_METRICS.flatMap((metric) => metric.legacy ?? []);

  it('have names of their own, the agent\u2019s own metrics included', () => {
    const names = [...ALL_METRICS.filter(({ toggle }) => toggle === undefined), ...self].map(({ name }) => name);
    expect(names.filter((name, index) => names.indexOf(name) !== index)).toEqual([]);
  });

  it('have toggles of their own, and a variant stands in for one row of its group, kind, unit and type', () => {
    expect(isDistinct(ALL_METRICS.map((metric) => toggleOf(metric)))).toBe(true);
    const variants = ALL_METRICS.filter(({ toggle }) => toggle !== undefined);
    const replaced = variants.map(({ name }) => ALL_METRICS.filter((metric) => metric.name === name && metric.toggle === undefined));
    expect(replaced.map((rows) => rows.map((row) => shape(row)))).toEqual(variants.map((variant) => [shape(variant)]));
  });

  it('never use a metric name as a namespace', () => {
    const names = [...ALL_METRICS, ...self].map(({ name }) => name);
    expect(names.filter((name) => names.some((other) => other.startsWith(`${name}.`)))).toEqual([]);
  });

  it('have Prometheus names that clash neither with each other nor with a legacy family', () => {
    const prometheus = new Set([...exported, ...self].map((metric) => prometheusName(metric)));
    expect(prometheus.size).toBe(new Set([...exported, ...self].map(({ name }) => name)).size);
    const endings = ['', '_total', '_bucket', '_sum', '_count', '_created'];
    const taken = families.flatMap(({ name }) =>
      [name, name.replace(/_total$/, '')].flatMap((base) => endings.map((ending) => `${base}${ending}`)),
    );
    expect(taken.filter((name) => prometheus.has(name))).toEqual([]);
  });

  it('give each legacy family one help text, and one row next to those for it alone', () => {
    const facts = new Map(families.map((family) => [family.name, family]));
    expect(families.filter(({ name, help, isInfo }) => facts.get(name)?.help !== help || facts.get(name)?.isInfo !== isInfo)).toEqual([]);
    const rows = new Map(exported.flatMap(({ legacy, key }) => (legacy ?? []).map(({ name }) => [name, key])));
    expect(exported.filter(({ legacy, key }) => (legacy ?? []).some(({ name }) => rows.get(name) !== key))).toEqual([]);
  });

  it('feed exactly the families of the AWS script', () => {
    expect([...new Set(families.map(({ name }) => name))].toSorted()).toEqual(LEGACY_FAMILIES);
  });
});

/** Families of neuron-monitor-prometheus.py, as recorded from its pages and read in public copies of it. */
const LEGACY_FAMILIES = [
  'execution_errors_total',
  'execution_latency_seconds',
  'execution_status_total',
  'hardware_ecc_events_total',
  'instance_info',
  'neuron_hardware_info',
  'neuron_runtime_memory_used_bytes',
  'neuron_runtime_vcpu_usage_ratio',
  'neuroncore_memory_usage_constants',
  'neuroncore_memory_usage_model_code',
  'neuroncore_memory_usage_model_shared_scratchpad',
  'neuroncore_memory_usage_runtime_memory',
  'neuroncore_memory_usage_tensors',
  'neuroncore_utilization_ratio',
  'system_memory_total_bytes',
  'system_memory_used_bytes',
  'system_swap_total_bytes',
  'system_swap_used_bytes',
  'system_vcpu_count',
  'system_vcpu_usage_ratio',
];
