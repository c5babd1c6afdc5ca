import { describe, expect, test } from 'vitest';
import { readingsOf } from '../../../sources/nds/readings.ts';
import type { ModelRecord } from '../../../sources/nds/records.ts';
import type { ProcessWork } from '../../../sources/nds/work.ts';

const RUNTIME = { pid: 42, tag: 'train' };
const NONE = { code: 0, tensors: 0, constants: 0, scratchpad: 0, misc: 0 };
const kinds = (base: number) => ({ code: base + 1, tensors: base + 2, constants: base + 3, scratchpad: base + 4, misc: base + 5 });

const MODEL: ModelRecord = {
  modelId: 10_004,
  name: 'model.neff',
  uuid: '10a3f4abbdde4249a67a37d95663ebd1',
  core: 1,
  subgraph: 0,
  host: { code: 1, tensors: 2, constants: 3, scratchpad: 4, misc: 5 },
  device: { code: 100, tensors: 200, constants: 300, scratchpad: 400, misc: 500 },
};

describe('neuroncore_counters', () => {
  test('one physical core is one logical core: host-wide index, zeros included', () => {
    const work: ProcessWork = {
      pid: 42,
      devices: [
        {
          device: 3,
          rates: {
            periodSeconds: 5,
            cores: [
              { utilization: 48, flopsPerSecond: 4e11 },
              { utilization: 0, flopsPerSecond: 0 },
            ],
          },
        },
      ],
    };
    expect(readingsOf(work, RUNTIME, { coresPerDevice: 2, logicalCoreConfig: 1 })).toStrictEqual([
      {
        group: 'neuroncore_counters',
        runtime: RUNTIME,
        periodSeconds: 5,
        data: {
          neuroncores_in_use: {
            6: { neuroncore_utilization: 48, effective_flops: 4e11 },
            7: { neuroncore_utilization: 0, effective_flops: 0 },
          },
        },
      },
    ]);
  });

  test('two physical cores are one logical core: the guide’s example of Trn2', () => {
    const rates = (a: number, b: number) => [
      { utilization: a, flopsPerSecond: 1 },
      { utilization: b, flopsPerSecond: 2 },
    ];
    const work: ProcessWork = {
      pid: 42,
      devices: [
        { device: 1, rates: { periodSeconds: 5, cores: [...rates(21.01, 63.01), ...rates(0, 0), ...rates(0, 0), ...rates(100, 100)] } },
      ],
    };
    const [reading] = readingsOf(work, RUNTIME, { coresPerDevice: 8, logicalCoreConfig: 2 });
    expect(reading?.data).toEqual({
      neuroncores_in_use: {
        4: { neuroncore_utilization: expect.closeTo(42.01, 9), effective_flops: 3, physical_cores: { 8: 21.01, 9: 63.01 } },
        5: { neuroncore_utilization: 0, effective_flops: 3, physical_cores: { 10: 0, 11: 0 } },
        6: { neuroncore_utilization: 0, effective_flops: 3, physical_cores: { 12: 0, 13: 0 } },
        7: { neuroncore_utilization: 100, effective_flops: 3, physical_cores: { 14: 100, 15: 100 } },
      },
    });
  });

  test('half of a logical core unknown: its utilization is absent', () => {
    const work: ProcessWork = {
      pid: 42,
      devices: [{ device: 0, rates: { periodSeconds: 1, cores: [{ utilization: 0, flopsPerSecond: 1 }, { flopsPerSecond: 1 }] } }],
    };
    expect(readingsOf(work, RUNTIME, { coresPerDevice: 2, logicalCoreConfig: 2 })[0]?.data).toStrictEqual({
      neuroncores_in_use: { 0: { effective_flops: 2 } },
    });
  });
});

describe('memory_used', () => {
  test('kinds in neuron-monitor’s words; totals are the sums of what is shown', () => {
    const work: ProcessWork = {
      pid: 42,
      devices: [
        { device: 0, memory: { host: kinds(0), cores: [kinds(10), NONE], models: [] } },
        { device: 1, memory: { host: kinds(20), cores: [kinds(30), NONE], models: [] } },
      ],
    };
    expect(readingsOf(work, RUNTIME, { coresPerDevice: 2, logicalCoreConfig: 1 })).toStrictEqual([
      {
        group: 'memory_used',
        runtime: RUNTIME,
        data: {
          host: 130,
          neuron_device: 230,
          host_breakdown: { application_memory: 25 + 24 + 5 + 4, constants: 26, dma_buffers: 22, tensors: 24 },
          neuroncore_memory_usage: {
            0: { constants: 13, model_code: 11, model_shared_scratchpad: 14, runtime_memory: 15, tensors: 12 },
            1: { constants: 0, model_code: 0, model_shared_scratchpad: 0, runtime_memory: 0, tensors: 0 },
            2: { constants: 33, model_code: 31, model_shared_scratchpad: 34, runtime_memory: 35, tensors: 32 },
            3: { constants: 0, model_code: 0, model_shared_scratchpad: 0, runtime_memory: 0, tensors: 0 },
          },
          loaded_models: [],
        },
      },
    ]);
  });

  test('physical cores of a logical one are added', () => {
    const work: ProcessWork = { pid: 42, devices: [{ device: 0, memory: { host: NONE, cores: [kinds(0), kinds(0)], models: [] } }] };
    expect(readingsOf(work, RUNTIME, { coresPerDevice: 2, logicalCoreConfig: 2 })[0]?.data).toMatchObject({
      neuron_device: 30,
      neuroncore_memory_usage: { 0: { tensors: 4 } },
    });
  });

  test('subgraphs of one model are together, copies of a model are apart', () => {
    const models = [MODEL, { ...MODEL, subgraph: 1 }, MODEL, { ...MODEL, modelId: 7 }];
    const work: ProcessWork = { pid: 42, devices: [{ device: 5, memory: { host: NONE, cores: [], models } }] };
    const [reading] = readingsOf(work, RUNTIME, { coresPerDevice: 2, logicalCoreConfig: 1 });
    expect(reading?.data).toMatchObject({
      loaded_models: [
        { model_id: 10_004, subgraphs: [{ name: 'sg_00' }, { name: 'sg_01' }] },
        { model_id: 10_004, subgraphs: [{ name: 'sg_00' }] },
        { model_id: 7, subgraphs: [{ name: 'sg_00' }] },
      ],
    });
    expect(reading?.data).toMatchObject({
      loaded_models: expect.arrayContaining([
        {
          name: 'model.neff',
          uuid: '10a3f4abbdde4249a67a37d95663ebd1',
          model_id: 7,
          subgraphs: [
            {
              name: 'sg_00',
              host: 11,
              neuron_device: 1_100,
              host_breakdown: { application_memory: 5, constants: 3, dma_buffers: 1, tensors: 2 },
              device_breakdown: { constants: 300, model_code: 100, runtime_memory: 500, tensors: 200 },
              neuroncore_index: 1,
              neuron_device_index: 5,
            },
          ],
        },
      ]),
    });
  });
});

describe('execution_stats', () => {
  test('tallies, errors, latencies and how much of them was seen', () => {
    const work: ProcessWork = {
      pid: 42,
      devices: [],
      executions: {
        periodSeconds: 5,
        summary: { completed: 3 },
        errors: { hardware: 1 },
        latency: { coverage: 0.5, device: { p50: 1 }, total: { p50: 2 } },
      },
    };
    expect(readingsOf(work, RUNTIME, { coresPerDevice: 2, logicalCoreConfig: 1 })).toStrictEqual([
      {
        group: 'execution_stats',
        runtime: RUNTIME,
        periodSeconds: 5,
        data: {
          execution_summary: { completed: 3 },
          error_summary: { hardware: 1 },
          latency_stats: { total_latency: { p50: 2 }, device_latency: { p50: 1 } },
          latency_coverage: 0.5,
        },
      },
    ]);
  });

  test('nothing ran: no percentiles, and the distribution so far stays in view', () => {
    const work: ProcessWork = { pid: 42, devices: [], executions: { periodSeconds: 5, summary: { completed: 0 }, errors: {} } };
    const [reading] = readingsOf(work, RUNTIME, { coresPerDevice: 2, logicalCoreConfig: 1 });
    expect(reading?.data).toStrictEqual({ execution_summary: { completed: 0 }, error_summary: {}, latency_stats: {} });
  });
});
