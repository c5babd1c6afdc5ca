/** Synthetic neuron-monitor records of a trn1n.32xlarge (16 devices × 2 cores, 128 vCPUs) in neuron-monitor's member order and number style. */

const DEVICES = 16;
const CORES = 32;
const VCPUS = 128;
const DEFAULT_MODELS = 15;
const PERCENTILES = ['p0', 'p1', 'p100', 'p25', 'p50', 'p75', 'p99'] as const;
const PERCENTILE_SHAPE = { p0: 0.8, p1: 0.85, p25: 0.95, p50: 1, p75: 1.1, p99: 1.6, p100: 2.4 } as const;

export interface LineOptions {
  readonly runtimes: number;
  /** Loaded models per runtime; 15 unless said otherwise, which makes a record of 32 runtimes 440 kB long. */
  readonly modelsPerRuntime?: number;
  /** Values differ from one sequence number to the next and are the same for equal ones. */
  readonly sequence: number;
  /** Process id of the first runtime; the others follow in steps of 7. */
  readonly firstPid?: number;
  /** What the periods say; some 1 s unless said otherwise. */
  readonly periodSeconds?: number;
}

/** One record as one line without its end. */
export function neuronMonitorLine(options: LineOptions): string {
  const random = generator(options.sequence + 1);
  const record = {
    neuron_runtime_data: Array.from({ length: options.runtimes }, (_, index) => runtime(index, options, random)),
    system_data: systemData(options, random),
    instance_info: {
      instance_name: 'synthetic',
      instance_id: 'i-0123456789abcdef0',
      instance_type: 'trn1n.32xlarge',
      instance_availability_zone: 'us-west-2d',
      instance_availability_zone_id: 'usw2-az4',
      instance_region: 'us-west-2',
      ami_id: 'ami-0123456789abcdef0',
      subnet_id: 'subnet-0123456789abcdef0',
      error: '',
    },
    neuron_hardware_info: {
      neuron_device_type: 'trainium',
      neuron_device_version: 'v2',
      neuroncore_version: 'v2',
      neuron_device_count: DEVICES,
      neuron_device_memory_size: 34_359_738_368,
      neuroncore_per_device_count: 2,
      logical_neuroncore_config: 1,
      error: '',
    },
  };
  return JSON.stringify(record);
}

type Random = () => number;

function runtime(index: number, options: LineOptions, random: Random): object {
  const pid = (options.firstPid ?? 4_000) + index * 7;
  const period = options.periodSeconds ?? 0.9995 + random() / 1000;
  return {
    pid,
    neuron_runtime_tag: `train-${pid}`,
    error: '',
    report: {
      execution_stats: executionStats(period, random),
      memory_used: memoryUsed(index, period, options, random),
      neuron_runtime_vcpu_usage: { period, vcpu_usage: { user: round2(random() * 3), system: round2(random()) }, error: '' },
      neuroncore_counters: coreCounters(index, period, random),
    },
  };
}

function executionStats(period: number, random: Random): object {
  const median = 0.005 + random() / 1000;
  const latency = Object.fromEntries(PERCENTILES.map((name) => [name, Math.round(median * PERCENTILE_SHAPE[name] * 2 ** 22) / 2 ** 22]));
  const completed = 150 + Math.floor(random() * 50);
  return {
    period,
    error_summary: { generic: 0, numerical: 0, transient: 0, model: 0, runtime: 0, hardware: 0 },
    execution_summary: {
      completed,
      completed_with_err: 0,
      completed_with_num_err: 0,
      timed_out: 0,
      incorrect_input: 0,
      failed_to_queue: 0,
    },
    latency_stats: { total_latency: latency, device_latency: latency },
    error: '',
  };
}

function memoryUsed(index: number, period: number, options: LineOptions, random: Random): object {
  const host = {
    application_memory: bytes(random, 30),
    constants: bytes(random, 20),
    dma_buffers: bytes(random, 28),
    tensors: bytes(random, 31),
  };
  const cores = byCore((core) => {
    const own = core === index % CORES;
    const size = (power: number): number => (own ? bytes(random, power) : 0);
    return { constants: size(24), model_code: size(27), model_shared_scratchpad: size(29), runtime_memory: size(22), tensors: size(33) };
  });
  const models = Array.from({ length: options.modelsPerRuntime ?? DEFAULT_MODELS }, (_, model) => loadedModel(index, model, random));
  return {
    period,
    neuron_runtime_used_bytes: {
      host: total(Object.values(host)),
      neuron_device: total(Object.values(cores).flatMap((kinds) => Object.values(kinds))),
      usage_breakdown: { host, neuroncore_memory_usage: cores },
    },
    loaded_models: models,
    error: '',
  };
}

function loadedModel(runtimeIndex: number, model: number, random: Random): object {
  const core = runtimeIndex % CORES;
  const host = { application_memory: bytes(random, 20), constants: 0, dma_buffers: bytes(random, 18), tensors: bytes(random, 22) };
  const device = {
    constants: bytes(random, 20),
    model_code: bytes(random, 24),
    runtime_memory: bytes(random, 20),
    tensors: bytes(random, 28),
  };
  return {
    name: `/opt/models/stage-${model}/graph-${runtimeIndex}.neff`,
    uuid: (runtimeIndex * 64 + model).toString(16).padStart(32, '0'),
    model_id: 10_000 + model,
    is_running: false,
    subgraphs: {
      sg_00: {
        memory_used_bytes: {
          host: total(Object.values(host)),
          neuron_device: total(Object.values(device)),
          usage_breakdown: { host, neuron_device: device },
        },
        neuroncore_index: core % 2,
        neuron_device_index: Math.floor(core / 2),
        v2: `nc_v2.${core}`,
      },
    },
  };
}

function coreCounters(index: number, period: number, random: Random): object {
  return {
    period,
    neuroncores_in_use: byCore((core) =>
      core === index % CORES
        ? { neuroncore_utilization: random() * 100, effective_flops: Math.floor(random() * 5e11) }
        : { neuroncore_utilization: 0, effective_flops: 0 },
    ),
    error: '',
  };
}

function systemData(options: LineOptions, random: Random): object {
  const period = options.periodSeconds ?? 0.9995 + random() / 1000;
  return {
    memory_info: {
      period,
      memory_total_bytes: 532_604_227_584,
      memory_used_bytes: bytes(random, 36),
      swap_total_bytes: 0,
      swap_used_bytes: 0,
      error: '',
    },
    neuron_hw_counters: {
      period,
      neuron_devices: Array.from({ length: DEVICES }, (_, index) => ({
        neuron_device_index: index,
        mem_ecc_corrected: 0,
        mem_ecc_uncorrected: 0,
        sram_ecc_uncorrected: 0,
        sram_ecc_corrected: 0,
      })),
      error: '',
    },
    vcpu_usage: {
      period,
      average_usage: cpuModes(random),
      usage_data: byIndex(VCPUS, () => cpuModes(random)),
      context_switch_count: Math.floor(random() * 100_000),
      error: '',
    },
  };
}

function cpuModes(random: Random): object {
  const user = round2(random() * 60);
  const system = round2(random() * 10);
  return { user, nice: 0, system, idle: round2(100 - user - system), io_wait: 0, irq: 0, soft_irq: 0 };
}

function byCore<T>(make: (core: number) => T): Record<string, T> {
  return byIndex(CORES, make);
}

/** Keys rise as numbers, as JavaScript orders them; neuron-monitor sorts them as strings, which no reader may depend on. */
function byIndex<T>(count: number, make: (index: number) => T): Record<string, T> {
  return Object.fromEntries(Array.from({ length: count }, (_, index) => [String(index), make(index)]));
}

function bytes(random: Random, power: number): number {
  return Math.floor(random() * 2 ** power);
}

function round2(value: number): number {
  return Math.round(value * 100) / 100;
}

function total(values: readonly number[]): number {
  return values.reduce((sum, value) => sum + value, 0);
}

/** mulberry32: the same numbers on every machine. */
function generator(seed: number): Random {
  let state = seed;
  return () => {
    state = (state + 0x6d_2b_79_f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}
