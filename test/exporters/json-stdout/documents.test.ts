import { readFileSync, readdirSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { describe, expect, it } from 'vitest';
import { encodeDocument } from '../../../exporters/json-stdout/encode.ts';
import { filterDocument } from '../../../exporters/json-stdout/filter.ts';
import { documentFromReadings } from '../../../exporters/json-stdout/from-readings.ts';
import { decodeRecord } from '../../../sources/neuron-monitor/decode.ts';
import { parseLine } from '../../../sources/neuron-monitor/document.ts';
import { RUNTIME_GROUPS, SYSTEM_GROUPS } from '../../../src/readings.ts';
import type { AnyGroupReading, RuntimeGroup, SystemGroup } from '../../../src/readings.ts';
import { firstDifference } from '../../support/first-difference.ts';
import { fullRecord } from '../../support/neuron-monitor-record.ts';
import { hasSamples, sampleLines } from '../../support/samples.ts';

function parse(text: string): Readonly<Record<string, unknown>> {
  const parsed = parseLine(Buffer.from(text));
  if (parsed.outcome === 'malformed') throw parsed.error;
  return parsed.document;
}

/** Selects by tag: groups of the tags that are named, nothing of others. */
function selection(runtimes: Readonly<Record<string, readonly RuntimeGroup[]>>, system: readonly SystemGroup[]) {
  return {
    runtimeGroups: ({ tag }: { readonly tag: string }) => (runtimes[tag] === undefined ? undefined : new Set(runtimes[tag])),
    systemGroups: new Set(system),
  };
}

describe('a document without what the configuration leaves out', () => {
  const document = parse(fullRecord({ tag: 'train' }));

  it('is the document itself when everything is selected', () => {
    const filtered = filterDocument(document, selection({ train: RUNTIME_GROUPS }, SYSTEM_GROUPS));
    expect(filtered.removed).toBe(false);
    expect(filtered.document).toBe(document);
  });

  it('loses groups', () => {
    const filtered = filterDocument(document, selection({ train: ['memory_used'] }, ['vcpu_usage']));
    expect(filtered.removed).toBe(true);
    expect(Object.keys(Object(filtered.document['system_data']))).toEqual(['vcpu_usage']);
    expect(filtered.document['neuron_runtime_data']).toMatchObject([{ pid: 4242, report: { memory_used: {} } }]);
    expect(JSON.stringify(filtered.document)).not.toContain('neuroncore_counters');
    expect(filtered.document['instance_info']).toBe(document['instance_info']);
  });

  it('loses processes whose tag is not selected', () => {
    const filtered = filterDocument(document, selection({ other: RUNTIME_GROUPS }, SYSTEM_GROUPS));
    expect(filtered).toMatchObject({ removed: true, document: { neuron_runtime_data: [] } });
  });

  it('has system_data null when no system group is selected, as neuron-monitor prints it', () => {
    expect(filterDocument(document, selection({ train: RUNTIME_GROUPS }, [])).document['system_data']).toBeNull();
  });

  it('does not change its input', () => {
    const before = JSON.stringify(document);
    filterDocument(document, selection({}, []));
    expect(JSON.stringify(document)).toBe(before);
  });

  it.each([
    ['everything null', '{"neuron_runtime_data":null,"system_data":null}'],
    ['a report null', '{"neuron_runtime_data":[{"pid":1,"neuron_runtime_tag":"train","report":null}],"system_data":null}'],
    [
      'unknown groups',
      '{"neuron_runtime_data":[{"pid":1,"neuron_runtime_tag":"train","report":{"next":{}}}],"system_data":{"self_stats":{}}}',
    ],
    ['entries that are no processes', '{"neuron_runtime_data":[null,5,{"pid":"x"}],"system_data":"none"}'],
    ['the empty report of a tick without runtime groups', '{"neuron_runtime_data":[{"pid":1,"neuron_runtime_tag":"train","report":{}}]}'],
  ])('is the same with %s', (_name, text) => {
    const input = parse(text);
    const filtered = filterDocument(input, selection({ train: ['memory_used'] }, []));
    expect(filtered.document).toBe(input);
    expect(filtered.removed).toBe(false);
  });
});

/** To readings and back. */
function roundTrip(text: string): string {
  const { readings, runtimes, failures } = decodeRecord(parse(text));
  expect(failures).toEqual([]);
  return encodeDocument(documentFromReadings(readings, runtimes ?? []));
}

/** What readings do not carry: the core's second name of a subgraph. Numbers as Go prints them where a capture went through Python. */
function carried(text: string): string {
  return text.replaceAll(/,"v\d+d?":"nc_v[\d.d]+"/g, '').replaceAll(/\d\.\d+e-0[1-6]\b/g, (number) => String(Number(number)));
}

describe('a document from readings', () => {
  const folder = resolve(import.meta.dirname, '../../fixtures/neuron-monitor');
  const streams = readdirSync(folder, { recursive: true, encoding: 'utf8' }).filter((name) => name.endsWith('.ndjson'));

  it('is the record the readings came from', () => {
    expect(firstDifference(roundTrip(fullRecord()), carried(fullRecord()))).toBeUndefined();
  });

  it.each(streams)('means the same as the record the readings came from: fixture %s', (name) => {
    for (const line of readFileSync(join(folder, name), 'utf8').trimEnd().split('\n')) {
      const before = decodeRecord(parse(line));
      const after = decodeRecord(parse(roundTrip(line)));
      expect(after.readings).toEqual(before.readings);
      expect(after.runtimes).toEqual(before.runtimes);
    }
  });

  it.runIf(hasSamples)('is, byte for byte, the captured record (left out where ../shared/samples is absent)', () => {
    const lines = sampleLines().filter(({ name }) => !name.includes('edited'));
    expect(lines.length).toBeGreaterThan(9);
    for (const { bytes } of lines)
      expect(firstDifference(roundTrip(bytes.toString('utf8')), carried(bytes.toString('utf8')))).toBeUndefined();
  });

  it('says what is not known as neuron-monitor does', () => {
    expect(encodeDocument(documentFromReadings([], []))).toBe(
      '{"neuron_runtime_data":[],"system_data":null,"instance_info":{"instance_name":"","instance_id":"","instance_type":"","instance_availability_zone":"","instance_availability_zone_id":"","instance_region":"","ami_id":"","subnet_id":"","error":""},"neuron_hardware_info":{"error":""}}',
    );
    const readings: AnyGroupReading[] = [
      { group: 'neuron_hw_counters', data: {}, periodSeconds: 5 },
      { group: 'execution_stats', data: { latency_stats: {} }, runtime: { pid: 1, tag: 'a' } },
    ];
    expect(documentFromReadings(readings, [{ pid: 1, tag: 'a' }])).toMatchObject({
      neuron_runtime_data: [{ report: { execution_stats: { latency_stats: { total_latency: null, device_latency: null } } } }],
      system_data: { neuron_hw_counters: { neuron_devices: null } },
    });
  });

  it('lists every process that is alive, with its error, and no other', () => {
    const readings: AnyGroupReading[] = [
      { group: 'neuron_runtime_vcpu_usage', data: { user: 1 }, runtime: { pid: 1, tag: 't', startTimeMs: 10 } },
      { group: 'neuron_runtime_vcpu_usage', data: { user: 2 }, runtime: { pid: 1, tag: 't', startTimeMs: 99 } },
    ];
    const runtimes = [
      { pid: 1, tag: 't', startTimeMs: 99 },
      { pid: 7, tag: 'idle', error: 'no counters' },
    ];
    expect(JSON.parse(encodeDocument(documentFromReadings(readings, runtimes)))['neuron_runtime_data']).toEqual([
      { pid: 1, neuron_runtime_tag: 't', error: '', report: { neuron_runtime_vcpu_usage: { vcpu_usage: { user: 2 }, error: '' } } },
      { pid: 7, neuron_runtime_tag: 'idle', error: 'no counters', report: {} },
    ]);
  });

  it('leaves out what neuron-monitor does not print', () => {
    const readings: AnyGroupReading[] = [
      { group: 'vcpu_usage', data: { context_switch_count: 1, cpu_time: { user: 5 } }, periodSeconds: 1 },
      { group: 'memory_info', data: { memory_used_bytes: 1, memory_available_bytes: 2 }, periodSeconds: 1 },
      {
        group: 'neuron_runtime_vcpu_usage',
        data: { user: 1, cpu_time: { user: 1, system: 1 }, thread_count: 9 },
        runtime: { pid: 1, tag: 'a' },
      },
    ];
    expect(documentFromReadings(readings, [{ pid: 1, tag: 'a' }])).toMatchObject({
      neuron_runtime_data: [{ report: { neuron_runtime_vcpu_usage: { vcpu_usage: { user: 1 } } } }],
      system_data: { vcpu_usage: { context_switch_count: 1 }, memory_info: { memory_used_bytes: 1 } },
    });
    const text = encodeDocument(documentFromReadings(readings, [{ pid: 1, tag: 'a' }]));
    for (const member of ['cpu_time', 'memory_available_bytes', 'thread_count', 'pid_start']) expect(text).not.toContain(member);
  });
});
