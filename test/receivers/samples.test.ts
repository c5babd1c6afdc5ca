import { existsSync, readFileSync, readdirSync } from 'node:fs';
import { resolve } from 'node:path';
import { describe, expect, it } from 'vitest';
import { isJsonObject } from '../../src/json-object.ts';
import type { JsonObject } from '../../src/json-object.ts';
import { flatten } from '../support/metrics.ts';
import type { FlatPoint } from '../support/metrics.ts';
import { Replay } from '../support/replay.ts';

/** Captures of real hosts, where they lie beside the project; they are not part of it. */
const SAMPLES = resolve(import.meta.dirname, '../../../shared/samples');
const names = existsSync(SAMPLES)
  ? readdirSync(SAMPLES).filter((name) => /^(?:json|ndjson)-.*(?<!\.source)\.(?:json|txt)$/.test(name))
  : [];

describe.skipIf(names.length === 0)('captures in ../shared/samples (skipped where that folder is absent)', () => {
  it.each(names)('%s: every number that a record states becomes a point', async (name) => {
    const replay = new Replay({ isEnabled: (metric) => metric.name !== 'neuron.model.memory.usage' && metric.enabled });
    for (const document of documentsOf(name)) {
      const points = flatten(await replay.feed(document));
      expect(counts(points)).toEqual(expected(document));
    }
    expect(replay.failures.map(({ message }) => message)).toEqual([]);
  });

  it('the load run: tallies of nine records add up, and latency comes and goes with the load', async () => {
    const replay = new Replay();
    const withLatency: boolean[] = [];
    let completed: unknown;
    for (const document of documentsOf('ndjson-trn1.2xlarge-idle-load-idle-tools2.25.145-2026.txt')) {
      const points = flatten(await replay.feed(document));
      withLatency.push(points.some(({ metric }) => metric === 'neuron.execution.latency'));
      completed = points.find(({ attributes }) => attributes['neuron.execution.outcome'] === 'completed')?.value;
    }
    expect(withLatency).toEqual([false, false, false, true, true, true, true, false, false]);
    expect(completed).toBe(150 + 1180 + 1122 + 1150);
  });
});

/** Metrics whose points follow one for one from members of the record. */
const COUNTED = [
  'neuron.core.utilization',
  'neuron.core.flops',
  'neuron.executions',
  'neuron.execution.errors',
  'neuron.execution.latency',
  'neuron.runtime.memory.usage',
  'neuron.runtime.host_memory.usage',
  'neuron.core.memory.usage',
  'hw.errors',
] as const;

function counts(points: readonly FlatPoint[]): Readonly<Record<string, number>> {
  return Object.fromEntries(COUNTED.map((name) => [name, points.filter(({ metric }) => metric === name).length]));
}

/** What the record itself says must be there: counted on the raw document, without the decoder. */
function expected(document: JsonObject): Readonly<Record<string, number>> {
  const sums: Record<string, number> = Object.fromEntries(COUNTED.map((name) => [name, 0]));
  const add = (name: (typeof COUNTED)[number], count: number): void => {
    sums[name] = (sums[name] ?? 0) + count;
  };
  for (const runtime of listOf(document['neuron_runtime_data'])) {
    const report = objectOf(runtime['report']);
    const counters = objectOf(report['neuroncore_counters']);
    const cores = Object.values(objectOf(counters['neuroncores_in_use']));
    const isMeasured = Number(counters['period']) >= 0.02;
    if (isMeasured) add('neuron.core.utilization', cores.length);
    if (isMeasured)
      add('neuron.core.flops', cores.filter((core) => 'effective_flops' in objectOf(core) || 'flops' in objectOf(core)).length);
    const stats = objectOf(report['execution_stats']);
    add('neuron.executions', numbersIn(stats['execution_summary']));
    add('neuron.execution.errors', numbersIn(stats['error_summary']));
    for (const latency of Object.values(objectOf(stats['latency_stats']))) add('neuron.execution.latency', numbersIn(latency));
    const used = objectOf(objectOf(report['memory_used'])['neuron_runtime_used_bytes']);
    const breakdown = objectOf(used['usage_breakdown']);
    add('neuron.runtime.memory.usage', numbersIn(used));
    add('neuron.runtime.host_memory.usage', numbersIn(breakdown['host']));
    for (const kinds of Object.values(objectOf(breakdown['neuroncore_memory_usage']))) add('neuron.core.memory.usage', numbersIn(kinds));
  }
  const hardware = objectOf(objectOf(document['system_data'])['neuron_hw_counters']);
  for (const device of listOf(hardware['neuron_devices']))
    add('hw.errors', Object.keys(device).filter((key) => key.includes('_ecc_')).length);
  return sums;
}

function documentsOf(name: string): readonly JsonObject[] {
  const text = readFileSync(resolve(SAMPLES, name), 'utf8');
  const documents: unknown[] = name.startsWith('ndjson')
    ? text.split('\n').flatMap((line) => (line.startsWith('{') ? [JSON.parse(line)] : []))
    : [JSON.parse(text)];
  return documents.filter((document) => isJsonObject(document));
}

function objectOf(value: unknown): JsonObject {
  return isJsonObject(value) ? value : {};
}

function listOf(value: unknown): readonly JsonObject[] {
  return Array.isArray(value) ? value.filter((item) => isJsonObject(item)) : [];
}

function numbersIn(value: unknown): number {
  return Object.values(objectOf(value)).filter((member) => typeof member === 'number').length;
}
