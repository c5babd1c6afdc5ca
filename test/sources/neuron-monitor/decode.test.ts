import { readdirSync, readFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { describe, expect, it } from 'vitest';
import { decodeRecord } from '../../../sources/neuron-monitor/decode.ts';
import type { DecodedRecord } from '../../../sources/neuron-monitor/decode.ts';
import { parseLine } from '../../../sources/neuron-monitor/lines.ts';
import type { AnyGroupReading, MetricGroup } from '../../../src/readings.ts';
import { expectGolden } from '../../support/golden.ts';
import { EMPTY_RECORD, fullRecord } from '../../support/neuron-monitor-record.ts';
import { hasSamples, sampleLines, samples } from '../../support/samples.ts';

/** Parses and decodes; failures of both, as the batch would carry them. */
function decode(text: string | Uint8Array): DecodedRecord {
  const parsed = parseLine(typeof text === 'string' ? Buffer.from(text) : text);
  if (parsed.outcome === 'malformed') throw parsed.error;
  const record = decodeRecord(parsed.document);
  return { ...record, failures: [...parsed.failures, ...record.failures] };
}

function readingOf<G extends MetricGroup>(record: DecodedRecord, group: G): Extract<AnyGroupReading, { group: G }> | undefined {
  return record.readings.find((reading): reading is Extract<AnyGroupReading, { group: G }> => reading.group === group);
}

/** A record with one process and this report. */
function withReport(report: unknown): string {
  return JSON.stringify({ neuron_runtime_data: [{ pid: 1, neuron_runtime_tag: 't', error: '', report }] });
}

function messages(record: DecodedRecord): string[] {
  return record.failures.map(({ error, group }) => `${group ?? '-'} ${error.code} ${error.message}`);
}

describe('a whole record', () => {
  it('becomes one reading for each group, with its period and its process', () => {
    const record = decode(fullRecord());
    expect(record.failures).toEqual([]);
    expect(record.runtimes).toEqual([{ pid: 4242, tag: 'train' }]);
    expectGolden('neuron-monitor/full-record.readings.json', record.readings);
  });

  it('is not lost when it says nothing', () => {
    expect(decode(EMPTY_RECORD)).toEqual({
      readings: [
        { group: 'instance_info', data: {} },
        { group: 'neuron_hardware_info', data: {} },
      ],
      runtimes: [],
      failures: [],
    });
  });
});

describe('what must be tolerated', () => {
  it.each([
    ['system_data null', '{"neuron_runtime_data":[],"system_data":null}', []],
    ['no runtimes: null says nothing about processes', '{"neuron_runtime_data":null,"system_data":null}', []],
    ['a report null', '{"neuron_runtime_data":[{"pid":1,"neuron_runtime_tag":"t","error":"","report":null}]}', []],
    ['no report', '{"neuron_runtime_data":[{"pid":1,"neuron_runtime_tag":"t"}]}', []],
    ['a process entry null', '{"neuron_runtime_data":[null]}', []],
    ['every runtime group null', withReport({ execution_stats: null, memory_used: null, neuroncore_counters: null }), []],
    ['every system group null', '{"system_data":{"memory_info":null,"vcpu_usage":null,"neuron_hw_counters":null}}', []],
    ['facts null', '{"instance_info":null,"neuron_hardware_info":null,"neuron_k8s_info":null}', []],
    ['an unknown system group', '{"system_data":{"self_stats":{"period":1,"anything":[1,"x"]}}}', []],
    ['unknown top-level members', '{"system_data":null,"version":3,"next":{"a":[]}}', []],
    [
      'neuron_devices null without a driver, error empty',
      '{"system_data":{"neuron_hw_counters":{"period":5,"neuron_devices":null,"error":""}}}',
      [{ group: 'neuron_hw_counters', data: {}, periodSeconds: 5 }],
    ],
    [
      'no sram_ecc_corrected, and a kind nobody knows',
      '{"system_data":{"neuron_hw_counters":{"neuron_devices":[{"neuron_device_index":3,"mem_ecc_uncorrected":1,"mem_ecc_repairable_uncorrected":2,"serial":"x"}]}}}',
      [
        {
          group: 'neuron_hw_counters',
          data: { neuron_devices: [{ neuron_device_index: 3, ecc: { mem_ecc_uncorrected: 1, mem_ecc_repairable_uncorrected: 2 } }] },
        },
      ],
    ],
    [
      'period 0, whole numbers where fractions are usual and the other way round',
      '{"system_data":{"memory_info":{"period":0,"memory_total_bytes":1.5e10,"memory_used_bytes":7.0}}}',
      [{ group: 'memory_info', data: { memory_total_bytes: 15_000_000_000, memory_used_bytes: 7 }, periodSeconds: 0 }],
    ],
    [
      'members in another order, error first',
      '{"system_data":{"memory_info":{"error":"boom","memory_used_bytes":7,"period":1}}}',
      [{ group: 'memory_info', data: { memory_used_bytes: 7 }, periodSeconds: 1, error: 'boom' }],
    ],
    [
      'a member twice: the last one counts',
      '{"system_data":{"memory_info":{"memory_used_bytes":7,"memory_used_bytes":8}}}',
      [{ group: 'memory_info', data: { memory_used_bytes: 8 } }],
    ],
    [
      'empty identity strings: absent',
      '{"instance_info":{"instance_name":"","instance_id":"","instance_type":"trn1.2xlarge","error":""}}',
      [{ group: 'instance_info', data: { instance_type: 'trn1.2xlarge' } }],
    ],
    [
      'hardware facts before 2.18.3',
      '{"neuron_hardware_info":{"neuron_device_count":1,"neuroncore_per_device_count":4,"error":""}}',
      [{ group: 'neuron_hardware_info', data: { neuron_device_count: 1, neuroncore_per_device_count: 4 } }],
    ],
    [
      'Kubernetes placements: several containers, a free core',
      '{"neuron_k8s_info":{"period":15.03,"neuroncores_k8s_info":{"0":{"pod_name":"p","namespace":"n","container_name":["a","b"]},"1":{"pod_name":"","namespace":"","container_name":null}},"error":""}}',
      [
        {
          group: 'neuron_k8s_info',
          data: { neuroncores_k8s_info: { 0: { pod_name: 'p', namespace: 'n', container_names: ['a', 'b'] } } },
          periodSeconds: 15.03,
        },
      ],
    ],
  ] satisfies [string, string, unknown[]][])('%s', (_name, text, readings) => {
    const record = decode(text);
    expect(messages(record)).toEqual([]);
    expect(record.readings).toEqual(readings);
  });

  it.each([
    [
      'latency null when nothing ran',
      { execution_stats: { period: 5, latency_stats: { total_latency: null, device_latency: null } } },
      { latency_stats: {} },
    ],
    ['latency stats null', { execution_stats: { latency_stats: null } }, {}],
    [
      'no generic and no model errors, unknown kinds of errors and outcomes',
      { execution_stats: { error_summary: { numerical: 1, collectives: 2 }, execution_summary: { completed: 3, preempted: 4 } } },
      { error_summary: { numerical: 1, collectives: 2 }, execution_summary: { completed: 3, preempted: 4 } },
    ],
    [
      'numeric, as the text of the user guide has it',
      { execution_stats: { error_summary: { numeric: 3, hardware: 1 } } },
      { error_summary: { numerical: 3, hardware: 1 } },
    ],
    [
      'both spellings: the usual one counts',
      { execution_stats: { error_summary: { numeric: 3, numerical: 4 } } },
      { error_summary: { numerical: 4 } },
    ],
    ['a kind of error null', { execution_stats: { error_summary: { model: null, runtime: 1 } } }, { error_summary: { runtime: 1 } }],
    [
      'memory without a breakdown, before 2.5.16',
      { memory_used: { neuron_runtime_used_bytes: { host: 1, neuron_device: 2 } } },
      { host: 1, neuron_device: 2 },
    ],
    ['device, the old spelling', { memory_used: { neuron_runtime_used_bytes: { host: 1, device: 2 } } }, { host: 1, neuron_device: 2 }],
    ['no memory at all', { memory_used: { neuron_runtime_used_bytes: null, loaded_models: null } }, {}],
    [
      'a new kind of core memory',
      { memory_used: { neuron_runtime_used_bytes: { usage_breakdown: { neuroncore_memory_usage: { 10: { collectives: 9 } } } } } },
      { neuroncore_memory_usage: { 10: { collectives: 9 } } },
    ],
    [
      'a model without subgraphs, a subgraph in the old spelling',
      {
        memory_used: {
          loaded_models: [
            { name: 'a', uuid: '', model_id: 1, is_running: true, subgraphs: null },
            { name: 'b', subgraphs: { sg_00: { memory_used_bytes: { device: 5 }, neuroncore_index: 1, v2: 'nc_v2.1' } } },
          ],
        },
      },
      {
        loaded_models: [
          { name: 'a', model_id: 1, is_running: true, subgraphs: [] },
          { name: 'b', subgraphs: [{ name: 'sg_00', neuron_device: 5, neuroncore_index: 1 }] },
        ],
      },
    ],
    [
      'zeros next to an error',
      { neuron_runtime_vcpu_usage: { vcpu_usage: { user: 0, system: 0 }, error: 'open /proc/1/stat' } },
      { user: 0, system: 0 },
    ],
    ['no vcpu shares', { neuron_runtime_vcpu_usage: { vcpu_usage: null } }, {}],
    ['cores null', { neuroncore_counters: { neuroncores_in_use: null } }, {}],
    [
      'a core without flops, a core null',
      { neuroncore_counters: { neuroncores_in_use: { 0: { neuroncore_utilization: 1.6e-10 }, 1: null } } },
      { neuroncores_in_use: { 0: { neuroncore_utilization: 1.6e-10 } } },
    ],
    [
      'physical cores with host-wide names',
      {
        neuroncore_counters: {
          neuroncores_in_use: {
            1: {
              neuroncore_utilization: 42,
              v3d: { 'nc_v3.2': { neuroncore_utilization: 21 }, 'nc_v3.3': { neuroncore_utilization: 63 } },
            },
          },
        },
      },
      { neuroncores_in_use: { 1: { neuroncore_utilization: 42, physical_cores: { 2: 21, 3: 63 } } } },
    ],
    [
      'physical cores within their logical core',
      {
        neuroncore_counters: {
          neuroncores_in_use: {
            0: { v3d: { nc_v3: { 0: { neuroncore_utilization: 20 }, 1: { neuroncore_utilization: 60 } } } },
            1: { v3d: { nc_v3: { 0: { neuroncore_utilization: 21 }, 1: { neuroncore_utilization: 63 } } } },
            2: { v3d: { nc_v3: { 4: { neuroncore_utilization: 22 }, 5: { neuroncore_utilization: 64 } } } },
          },
        },
      },
      {
        neuroncores_in_use: {
          0: { physical_cores: { 0: 20, 1: 60 } },
          1: { physical_cores: { 2: 21, 3: 63 } },
          2: { physical_cores: { 4: 22, 5: 64 } },
        },
      },
    ],
    [
      'no physical cores',
      { neuroncore_counters: { neuroncores_in_use: { 0: { flops: 1, v3d: null } } } },
      { neuroncores_in_use: { 0: { flops: 1 } } },
    ],
  ] satisfies [string, unknown, unknown][])('%s', (_name, report, data) => {
    const record = decode(withReport(report));
    expect(messages(record)).toEqual([]);
    expect(record.readings.map((reading) => reading.data)).toEqual([data]);
  });
});

/** An entry of the process list with one share, by which it can be told from another. */
function entry(pid: number, tag: string, user: number): object {
  return { pid, neuron_runtime_tag: tag, error: '', report: { neuron_runtime_vcpu_usage: { vcpu_usage: { user } } } };
}

describe('processes', () => {
  it('keeps processes with the same tag apart', () => {
    const record = decode(JSON.stringify({ neuron_runtime_data: [10, 11, 12, 13].map((pid) => entry(pid, '1', pid)) }));
    expect(messages(record)).toEqual([]);
    expect(record.runtimes?.map(({ pid, tag }) => `${pid}/${tag}`)).toEqual(['10/1', '11/1', '12/1', '13/1']);
    expect(record.readings.map((reading) => reading.runtime?.pid)).toEqual([10, 11, 12, 13]);
  });

  it('keeps the first of two entries for one process and counts the other', () => {
    const record = decode(JSON.stringify({ neuron_runtime_data: [entry(10, 'a', 1), entry(10, 'a', 2)] }));
    expect(record.readings.map((reading) => reading.data)).toEqual([{ user: 1 }]);
    expect(messages(record)).toEqual([
      '- source_malformed $.neuron_runtime_data[1].pid: another process than in an earlier entry expected',
    ]);
  });

  it('carries the error of an entry and leaves the tag empty where there is none', () => {
    const record = decode('{"neuron_runtime_data":[{"pid":7,"error":"cannot attach"}]}');
    expect(record).toEqual({ readings: [], runtimes: [{ pid: 7, tag: '', error: 'cannot attach' }], failures: [] });
  });

  it('takes a bounded number of processes', () => {
    const entries = Array.from({ length: 3000 }, (_, pid) => ({ pid, neuron_runtime_tag: 't' }));
    const record = decode(JSON.stringify({ neuron_runtime_data: entries }));
    expect(record.runtimes).toHaveLength(1024);
    expect(messages(record)).toHaveLength(1);
    expect(record.failures[0]?.count).toBe(entries.length - 1024);
  });
});

describe('what is wrong is refused alone, with its path', () => {
  it.each([
    [
      'a number as text',
      '{"system_data":{"memory_info":{"memory_used_bytes":"7","memory_total_bytes":8}}}',
      'memory_info $.system_data.memory_info.memory_used_bytes: finite number',
    ],
    [
      'infinity',
      '{"system_data":{"memory_info":{"memory_used_bytes":1e400,"memory_total_bytes":8}}}',
      'memory_info $.system_data.memory_info.memory_used_bytes: finite number',
    ],
    [
      'infinity in an open map',
      '{"system_data":{"vcpu_usage":{"average_usage":{"user":1,"idle":-1e999}}}}',
      'vcpu_usage $.system_data.vcpu_usage.average_usage.idle: finite number',
    ],
    [
      'a negative period',
      '{"system_data":{"memory_info":{"period":-1,"memory_total_bytes":8}}}',
      'memory_info $.system_data.memory_info.period: zero or more seconds',
    ],
    ['a group as a list', '{"system_data":{"memory_info":[],"vcpu_usage":{}}}', 'memory_info $.system_data.memory_info: object'],
    ['system_data as text', '{"system_data":"none"}', '- $.system_data: object'],
    ['runtimes as an object', '{"neuron_runtime_data":{}}', '- $.neuron_runtime_data: list'],
    ['a process as a number', '{"neuron_runtime_data":[5]}', '- $.neuron_runtime_data[0]: object'],
    ['no pid', '{"neuron_runtime_data":[{"neuron_runtime_tag":"t"}]}', '- $.neuron_runtime_data[0].pid: whole number'],
    ['a pid as text', '{"neuron_runtime_data":[{"pid":"1"}]}', '- $.neuron_runtime_data[0].pid: finite number'],
    ['half a pid', '{"neuron_runtime_data":[{"pid":1.5}]}', '- $.neuron_runtime_data[0].pid: whole number'],
    [
      'a tag as a number',
      '{"neuron_runtime_data":[{"pid":1,"neuron_runtime_tag":5}]}',
      '- $.neuron_runtime_data[0].neuron_runtime_tag: text of at most 4096 characters',
    ],
    [
      'a tag without end',
      `{"neuron_runtime_data":[{"pid":1,"neuron_runtime_tag":"${'x'.repeat(5000)}"}]}`,
      '- $.neuron_runtime_data[0].neuron_runtime_tag: text of at most 4096 characters',
    ],
    [
      'a core that is no index',
      withReport({ neuroncore_counters: { neuroncores_in_use: { '01': {}, 1: {} } } }),
      'neuroncore_counters $.neuron_runtime_data[0].report.neuroncore_counters.neuroncores_in_use.01: key like ^(?:0|[1-9]\\d{0,5})$',
    ],
    [
      'a percentile that is none',
      withReport({ execution_stats: { latency_stats: { total_latency: { p50: 1, mean: 1 } } } }),
      'execution_stats $.neuron_runtime_data[0].report.execution_stats.latency_stats.total_latency.mean: key like ^p(?:100|\\d{1,2}(?:\\.\\d{1,6})?)$',
    ],
    [
      'a model without a name',
      withReport({ memory_used: { loaded_models: [{ uuid: 'x' }, { name: 'ok' }] } }),
      'memory_used $.neuron_runtime_data[0].report.memory_used.loaded_models[0].name: text',
    ],
    [
      'is_running as a number',
      withReport({ memory_used: { loaded_models: [{ name: 'ok', is_running: 1 }] } }),
      'memory_used $.neuron_runtime_data[0].report.memory_used.loaded_models[0].is_running: true or false',
    ],
    [
      'a device without an index',
      '{"system_data":{"neuron_hw_counters":{"neuron_devices":[{"mem_ecc_corrected":1},{"neuron_device_index":1}]}}}',
      'neuron_hw_counters $.system_data.neuron_hw_counters.neuron_devices[0].neuron_device_index: whole number',
    ],
    [
      'a pod without a namespace',
      '{"neuron_k8s_info":{"neuroncores_k8s_info":{"0":{"pod_name":"p"}}}}',
      'neuron_k8s_info $.neuron_k8s_info.neuroncores_k8s_info.0.namespace: text',
    ],
    [
      'containers as one text',
      '{"neuron_k8s_info":{"neuroncores_k8s_info":{"0":{"pod_name":"p","namespace":"n","container_name":"c"}}}}',
      'neuron_k8s_info $.neuron_k8s_info.neuroncores_k8s_info.0.container_name: list of texts',
    ],
  ] satisfies [string, string, string][])('%s', (_name, text, failure) => {
    const [expected, group] = [failure.slice(failure.indexOf(' ') + 1), failure.slice(0, failure.indexOf(' '))];
    expect(messages(decode(text))).toEqual([`${group} source_malformed ${expected} expected`]);
  });

  it('keeps everything next to the refused field', () => {
    const record = decode('{"system_data":{"memory_info":{"period":1,"memory_used_bytes":"7","memory_total_bytes":8}}}');
    expect(readingOf(record, 'memory_info')).toEqual({ group: 'memory_info', data: { memory_total_bytes: 8 }, periodSeconds: 1 });
  });

  it('keeps what is right in an open map', () => {
    const record = decode('{"system_data":{"vcpu_usage":{"usage_data":{"0":{"user":1,"idle":true},"x":{},"1":5,"2":{"user":3}}}}}');
    expect(readingOf(record, 'vcpu_usage')?.data).toEqual({ usage_data: { 0: { user: 1 }, 2: { user: 3 } } });
    expect(record.failures).toHaveLength(3);
  });

  it('counts the fields of one kind together', () => {
    const usage = Object.fromEntries(Array.from({ length: 5000 }, (_, index) => [index, 'x']));
    const record = decode(JSON.stringify({ system_data: { vcpu_usage: { usage_data: usage } } }));
    expect(record.failures.map(({ count }) => count)).toEqual([5000]);
  });

  it('lists a bounded number of failures and counts the others', () => {
    const words = Array.from({ length: 500 }, (_, index) => String.fromCodePoint(0x4e00 + index));
    const usage = Object.fromEntries(words.map((word) => [word, 'x']));
    const record = decode(JSON.stringify({ system_data: { vcpu_usage: { average_usage: usage } } }));
    expect(record.failures).toHaveLength(65);
    expect(record.failures.at(-1)?.error.message).toBe('more fields than can be listed were refused');
    expect(record.failures.at(-1)?.count).toBe(436);
  });
});

describe('lines that are no report', () => {
  it.each([
    ['no JSON', 'neuron-monitor: cannot open device', 'line is not JSON'],
    ['NaN', '{"system_data":{"memory_info":{"period":NaN}}}', 'line is not JSON'],
    ['two documents', '{"system_data":null}{"system_data":null}', 'line is not JSON'],
    ['a number', '5', 'line is not a JSON object'],
    ['null', 'null', 'line is not a JSON object'],
    ['a list', '[1]', 'line is not a JSON object'],
    ['another program’s JSON', '{"level":"error","msg":"x"}', 'line is not a neuron-monitor report'],
    ['an empty object', '{}', 'line is not a neuron-monitor report'],
    ['text that is not UTF-8', Buffer.from([0x7b, 0x22, 0xff, 0x22, 0x7d]), 'line is not UTF-8'],
    ['a surrogate in UTF-8', Buffer.from('7b2261223a22eda080227d', 'hex'), 'line is not UTF-8'],
  ] satisfies [string, string | Uint8Array, string][])('%s', (_name, text, message) => {
    const parsed = parseLine(typeof text === 'string' ? Buffer.from(text) : text);
    expect(parsed.outcome === 'malformed' && `${parsed.error.code}: ${parsed.error.message}`).toBe(`source_malformed: ${message}`);
  });

  it.each([
    ['the first line of a pretty-printed record', '{', 'part of a document'],
    ['an indented member that opens an object', ' "neuron_runtime_data": [', 'part of a document'],
    ['an indented member with a value', '     "period": 5.0,', 'part of a document'],
    ['the last line of a pretty-printed record', '}', 'part of a document'],
    ['a list of reports', '[{"system_data":null},{"system_data":null}]', 'a list of reports'],
    ['a report wrapped in a key', '{"1":{"neuron_runtime_data":[]}}', 'wraps a report'],
    ['a report wrapped beside a time stamp', '{"time":"2026-11-28T12:00:00Z","report":{"system_data":null}}', 'wraps a report'],
    ['a record of the first beta', '{"runtimes":[],"cpu_usage":{}}', 'early release'],
    ['a record of release 1', '{"neuron_runtimes":[],"instance_data":{}}', 'early release'],
  ])('%s gets a message that names the expected form', (_name, text, words) => {
    const parsed = parseLine(Buffer.from(text));
    expect(parsed.outcome === 'malformed' && parsed.error.message).toContain(words);
  });

  it('refuses a process of release 1, which has an address in place of a pid, and names the release that is read', () => {
    const record = decode('{"neuron_runtime_data":[{"address":"unix:/run/neuron.sock","neuron_runtime_index":0,"report":{}}]}');
    expect(messages(record)).toEqual([
      '- source_malformed $.neuron_runtime_data[0].pid: pid (release 1 prints an address; release 2 or newer is read) expected',
    ]);
  });
});

describe('limits of one line', () => {
  const FILL = 64 * 1024;

  it.each([
    ['lists within lists', `{"system_data":null,"x":${'['.repeat(FILL)}${']'.repeat(FILL)}}`, 'line nests more than 64 levels deep'],
    ['objects within objects', `${'{"a":'.repeat(FILL)}1${'}'.repeat(FILL)}`, 'line nests more than 64 levels deep'],
    ['brackets that never close', `{"system_data":${'['.repeat(FILL)}`, 'line nests more than 64 levels deep'],
    ['empty objects', `[${'{},'.repeat(600_000)}{}]`, 'line holds more than 500000 values'],
    ['empty lists in an unknown member', `{"system_data":null,"x":[${'[],'.repeat(600_000)}[]]}`, 'line holds more than 500000 values'],
    ['numbers', `{"system_data":null,"x":[${'1,'.repeat(600_000)}1]}`, 'line holds more than 500000 values'],
    [
      'objects with a key of their own each',
      `{"system_data":null,"x":[${Array.from({ length: 100_000 }, (_, key) => `{"k${key}":1}`).join(',')}]}`,
      'line holds more than 20000 different keys',
    ],
    [
      'an object with many keys and spaces before the colons',
      `{"system_data":null,"x":{${Array.from({ length: 100_000 }, (_, key) => `"k${key}"  : 1`).join(',')}}}`,
      'line holds more than 20000 different keys',
    ],
  ])('refuse %s before they are parsed', (_name, text, message) => {
    const parsed = parseLine(Buffer.from(text));
    expect(parsed.outcome === 'malformed' && parsed.error.message).toBe(message);
  });

  it.each([
    ['brackets and commas within a string', `{"system_data":null,"x":"${'[,'.repeat(600_000)}"}`],
    ['escaped quotes within a string', String.raw`{"system_data":null,"x":"${'\\"['.repeat(100_000)}"}`],
    ['a string that ends in a backslash', String.raw`{"system_data":null,"x":"${'['.repeat(FILL)}\\","y":1}`],
    ['64 levels', `{"system_data":null,"y":"${' '.repeat(FILL)}","x":${'['.repeat(63)}${']'.repeat(63)}}`],
  ])('let %s pass', (_name, text) => {
    expect(parseLine(Buffer.from(text)).outcome).toBe('document');
  });

  it('let a record of 128 processes that each list 128 cores pass', () => {
    const cores = Object.fromEntries(Array.from({ length: 128 }, (_, core) => [core, { neuroncore_utilization: 1.5, effective_flops: 1 }]));
    const runtimes = Array.from({ length: 128 }, (_, pid) => ({
      pid: pid + 1,
      report: { neuroncore_counters: { period: 1, neuroncores_in_use: cores } },
    }));
    expect(parseLine(Buffer.from(JSON.stringify({ neuron_runtime_data: runtimes }))).outcome).toBe('document');
  });
});

describe('members named __proto__', () => {
  it.each([
    ['at the top', '{"__proto__":{"polluted":1},"system_data":null}'],
    ['in a map of numbers', '{"system_data":{"vcpu_usage":{"average_usage":{"__proto__":{"polluted":1},"user":1}}}}'],
    ['in a map of objects', '{"system_data":{"vcpu_usage":{"usage_data":{"__proto__":{"polluted":1},"0":{"user":1}}}}}'],
    ['in a list', '{"neuron_runtime_data":[{"pid":1,"__proto__":{"polluted":1}}]}'],
    ['where nobody looks', '{"system_data":null,"later":[[{"__proto__":{"polluted":1}}]]}'],
    ['with an escape', '{"\\u005f_proto_\\u005F":{"polluted":1},"system_data":null}'],
  ])('%s: removed, counted once, and no prototype changes', (_name, text) => {
    const parsed = parseLine(Buffer.from(text));
    const record = decode(text);
    expect(messages(record)).toEqual(['- source_malformed members named __proto__ were left out']);
    expect(JSON.stringify(parsed)).not.toContain('polluted');
    expect(Object.hasOwn(Object.prototype, 'polluted')).toBe(false);
    for (const reading of record.readings) expect(Reflect.get(reading.data, 'polluted')).toBeUndefined();
  });

  it('does not take the word in a text for a member', () => {
    expect(messages(decode('{"system_data":null,"neuron_runtime_data":[{"pid":1,"neuron_runtime_tag":"__proto__"}]}'))).toEqual([]);
  });
});

describe('recorded and synthetic streams', () => {
  const folder = resolve(import.meta.dirname, '../../fixtures/neuron-monitor');
  const streams = readdirSync(folder, { recursive: true, encoding: 'utf8' }).filter((name) => name.endsWith('.ndjson'));

  it.each(streams)('fixture %s decodes without a failure', (name) => {
    const lines = readFileSync(join(folder, name), 'utf8').trimEnd().split('\n');
    for (const line of lines) expect(messages(decode(line))).toEqual([]);
  });

  it.runIf(hasSamples)('captures of ../shared/samples decode without a failure (left out where the folder is absent)', () => {
    const documents = samples('json-').filter(({ name }) => !name.includes('ultraserver'));
    expect(documents.length + sampleLines().length).toBeGreaterThan(10);
    for (const { name, bytes } of [...documents, ...sampleLines()]) {
      const record = decode(bytes);
      expect({ name, failures: messages(record) }).toEqual({ name, failures: [] });
      expect(record.readings.length).toBeGreaterThan(2);
    }
  });

  it.runIf(hasSamples)('the captured fragment with an ultraserver decodes (left out where ../shared/samples is absent)', () => {
    const [fragment] = samples('json-').filter(({ name }) => name.includes('ultraserver'));
    const record = decode(`{"instance_info":${fragment?.bytes.toString('utf8') ?? ''}}`);
    expect(messages(record)).toEqual([]);
    expect(readingOf(record, 'instance_info')?.data.ultraserver_id).toMatch(/^u-/);
  });
});
