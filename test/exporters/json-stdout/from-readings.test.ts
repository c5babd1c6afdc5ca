import { readFileSync, readdirSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { describe, expect, it } from 'vitest';
import { documentFromReadings } from '../../../exporters/json-stdout/from-readings.ts';
import { decodeRecord } from '../../../sources/neuron-monitor/decode.ts';
import { parseLine } from '../../../sources/neuron-monitor/document.ts';
import type { AnyGroupReading } from '../../../src/readings.ts';
import { fullRecord } from '../../support/neuron-monitor-record.ts';
import { hasSamples, sampleLines } from '../../support/samples.ts';

function parse(text: string): Readonly<Record<string, unknown>> {
  const parsed = parseLine(Buffer.from(text));
  if (parsed.outcome === 'malformed') throw parsed.error;
  return parsed.document;
}

/** To readings and back. */
function roundTrip(text: string): string {
  const { readings, runtimes, failures } = decodeRecord(parse(text));
  expect(failures).toEqual([]);
  return JSON.stringify(documentFromReadings(readings, runtimes ?? []));
}

/** The record without what readings do not carry: the core's second name of a subgraph. */
function carried(text: string): unknown {
  return JSON.parse(text.replaceAll(/,"v\d+d?":"nc_v[\d.d]+"/g, ''));
}

describe('a document from readings', () => {
  const folder = resolve(import.meta.dirname, '../../fixtures/neuron-monitor');
  const streams = readdirSync(folder, { recursive: true, encoding: 'utf8' }).filter((name) => name.endsWith('.ndjson'));

  it('is the record the readings came from', () => {
    expect(JSON.parse(roundTrip(fullRecord()))).toEqual(carried(fullRecord()));
  });

  it.each(streams)('means the same as the record the readings came from: fixture %s', (name) => {
    for (const line of readFileSync(join(folder, name), 'utf8').trimEnd().split('\n')) {
      const before = decodeRecord(parse(line));
      const after = decodeRecord(parse(roundTrip(line)));
      expect(after.readings).toEqual(before.readings);
      expect(after.runtimes).toEqual(before.runtimes);
    }
  });

  it.runIf(hasSamples)('is the captured record (left out where ../shared/samples is absent)', () => {
    const lines = sampleLines().filter(({ name }) => !name.includes('edited'));
    expect(lines.length).toBeGreaterThan(9);
    for (const { bytes } of lines) expect(JSON.parse(roundTrip(bytes.toString('utf8')))).toEqual(carried(bytes.toString('utf8')));
  });

  it('says what is not known as neuron-monitor does', () => {
    expect(JSON.stringify(documentFromReadings([], []))).toBe(
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
    expect(JSON.parse(JSON.stringify(documentFromReadings(readings, runtimes)))['neuron_runtime_data']).toEqual([
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
    const text = JSON.stringify(documentFromReadings(readings, [{ pid: 1, tag: 'a' }]));
    for (const member of ['cpu_time', 'memory_available_bytes', 'thread_count', 'pid_start']) expect(text).not.toContain(member);
  });
});
