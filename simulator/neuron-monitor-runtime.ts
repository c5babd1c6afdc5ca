import { logicalCoresPerDevice } from './instances.ts';
import { COUNTER, COUNTER_COUNT, DEVICE_MEMORY_CATEGORIES, HOST_MEMORY_CATEGORIES } from './truth.ts';
import type { InstanceSpec } from './instances.ts';
import type { ModelTruth, ProcessCoreTruth, ProcessTruth } from './truth.ts';

/** The five kinds neuron-monitor knows; what else sysfs counts is runtime memory to it. */
const CORE_MEMORY_KINDS = ['constants', 'model_code', 'model_shared_scratchpad', 'runtime_memory', 'tensors'] as const;
/** What is not one of these is application memory. */
const HOST_MEMORY_KINDS = ['application_memory', 'constants', 'dma_buffers', 'tensors'] as const;

const PERCENTILES = { p0: 0, p1: 0.01, p25: 0.25, p50: 0.5, p75: 0.75, p99: 0.99, p100: 1 } as const;

const SUMMARY = {
  completed: COUNTER.completed,
  completed_with_err: COUNTER.completedWithError,
  completed_with_num_err: COUNTER.completedWithNumError,
  timed_out: COUNTER.timedOut,
  incorrect_input: COUNTER.incorrectInput,
  failed_to_queue: COUNTER.failedToQueue,
} as const;

const ERRORS = {
  numerical: COUNTER.errorNumerical,
  transient: COUNTER.errorTransient,
  model: COUNTER.errorModel,
  runtime: COUNTER.errorRuntime,
  hardware: COUNTER.errorHardware,
} as const;

const PICOSECONDS_PER_MS = 1_000_000_000;

/** Renders one process as neuron-monitor's runtime entry; remembers what it rendered last. */
export class RuntimeEntryRenderer {
  readonly #process: ProcessTruth;
  readonly #spec: InstanceSpec;
  readonly #before = new Map<ProcessCoreTruth, BigUint64Array>();
  /** Busy picoseconds that did not fit their period: time of a long execution is counted when it ends. */
  readonly #backlog = new Map<ProcessCoreTruth, number>();
  #samplesBefore = 0;
  #userBefore = 0;
  #systemBefore = 0;

  constructor(process: ProcessTruth, spec: InstanceSpec) {
    this.#process = process;
    this.#spec = spec;
  }

  render(periodMs: number): Record<string, unknown> {
    const period = periodMs / 1000;
    const process = this.#process;
    const deltas = new Map(process.cores.map((core) => [core, this.#delta(core)]));
    const report = {
      execution_stats: { period, ...this.#executions(deltas), error: '' },
      memory_used: { period, ...memoryUsed(process, this.#spec), error: '' },
      neuron_runtime_vcpu_usage: { period, vcpu_usage: this.#vcpuUsage(period), error: '' },
      neuroncore_counters: { period, neuroncores_in_use: this.#cores(deltas, periodMs), error: '' },
    };
    return { pid: process.pid, neuron_runtime_tag: process.tag, error: '', report };
  }

  #delta(core: ProcessCoreTruth): number[] {
    const before = this.#before.get(core);
    this.#before.set(core, core.counters.slice());
    return Array.from({ length: COUNTER_COUNT }, (_, i) => Number((core.counters[i] ?? 0n) - (before?.[i] ?? 0n)));
  }

  #executions(deltas: ReadonlyMap<ProcessCoreTruth, readonly number[]>): Record<string, unknown> {
    const sum = (counter: number): number => [...deltas.values()].reduce((tally, delta) => tally + (delta[counter] ?? 0), 0);
    const tallies = (names: Readonly<Record<string, number>>): Record<string, number> =>
      Object.fromEntries(Object.entries(names).map(([name, counter]) => [name, sum(counter)]));
    return { error_summary: tallies(ERRORS), execution_summary: tallies(SUMMARY), latency_stats: this.#latency() };
  }

  #latency(): Record<string, unknown> {
    const { capacity, count, deviceSeconds, totalSeconds } = this.#process.latency;
    const from = Math.max(this.#samplesBefore, count - capacity);
    this.#samplesBefore = count;
    if (from === count) return { total_latency: null, device_latency: null };
    const sorted = (samples: Float64Array): Float64Array =>
      Float64Array.from({ length: count - from }, (_, i) => samples[(from + i) % capacity] ?? NaN).toSorted();
    return { total_latency: percentiles(sorted(totalSeconds)), device_latency: percentiles(sorted(deviceSeconds)) };
  }

  #vcpuUsage(period: number): Record<string, number> {
    const { cpuUserSeconds, cpuSystemSeconds } = this.#process;
    const user = percentOf(cpuUserSeconds - this.#userBefore, period * this.#spec.vcpuCount);
    const system = percentOf(cpuSystemSeconds - this.#systemBefore, period * this.#spec.vcpuCount);
    this.#userBefore = cpuUserSeconds;
    this.#systemBefore = cpuSystemSeconds;
    return { user, system };
  }

  /** Every logical core of the host is listed, zeros included. */
  #cores(deltas: ReadonlyMap<ProcessCoreTruth, readonly number[]>, periodMs: number): Record<string, unknown> {
    const { physicalCoresPerDevice, logicalCoreSize, deviceCount } = this.#spec;
    const utilization = new Map<number, number>();
    const flops = new Map<number, number>();
    for (const [core, delta] of deltas) {
      const physical = core.device * physicalCoresPerDevice + core.physicalCore;
      utilization.set(physical, this.#utilization(core, delta[COUNTER.timeInUse] ?? 0, periodMs));
      flops.set(physical, (2 * (delta[COUNTER.macs] ?? 0)) / (periodMs / 1000));
    }
    const cores: Record<string, unknown> = {};
    for (let logical = 0; logical < (deviceCount * physicalCoresPerDevice) / logicalCoreSize; logical += 1) {
      const physical = Array.from({ length: logicalCoreSize }, (_, i) => logical * logicalCoreSize + i);
      const shares = physical.map((core) => utilization.get(core) ?? 0);
      cores[logical] = {
        neuroncore_utilization: shares.reduce((sum, share) => sum + share, 0) / logicalCoreSize,
        effective_flops: Math.round(physical.reduce((sum, core) => sum + (flops.get(core) ?? 0), 0)),
        ...(logicalCoreSize === 1
          ? {}
          : { v3d: Object.fromEntries(physical.map((core, i) => [`nc_v3.${core}`, { neuroncore_utilization: shares[i] }])) }),
      };
    }
    return cores;
  }

  #utilization(core: ProcessCoreTruth, busy: number, periodMs: number): number {
    const backlog = (this.#backlog.get(core) ?? 0) + busy;
    const used = Math.min(backlog, periodMs * PICOSECONDS_PER_MS);
    this.#backlog.set(core, backlog - used);
    return (100 * used) / (periodMs * PICOSECONDS_PER_MS);
  }
}

function percentiles(sorted: Float64Array): Record<string, number> {
  return Object.fromEntries(
    Object.entries(PERCENTILES).map(([name, quantile]) => [name, sorted[Math.floor((sorted.length - 1) * quantile)] ?? NaN]),
  );
}

function memoryUsed(process: ProcessTruth, spec: InstanceSpec): Record<string, unknown> {
  const host = Object.fromEntries(HOST_MEMORY_KINDS.map((kind) => [kind, 0]));
  for (const bytes of process.hostMemoryBytes.values()) fold(host, HOST_MEMORY_CATEGORIES, bytes, 'application_memory');
  const cores: Record<string, Record<string, number>> = {};
  for (const core of process.cores) {
    const logical = core.device * logicalCoresPerDevice(spec) + Math.floor(core.physicalCore / spec.logicalCoreSize);
    const usage = (cores[logical] ??= Object.fromEntries(CORE_MEMORY_KINDS.map((kind) => [kind, 0])));
    fold(usage, DEVICE_MEMORY_CATEGORIES, core.memoryBytes, 'runtime_memory');
  }
  return {
    neuron_runtime_used_bytes: {
      host: total(host),
      neuron_device: Object.values(cores).reduce((sum, usage) => sum + total(usage), 0),
      usage_breakdown: { host, neuroncore_memory_usage: cores },
    },
    loaded_models: process.models.map((model) => loadedModel(model, spec)),
  };
}

function total(usage: Readonly<Record<string, number>>): number {
  return Object.values(usage).reduce((sum, bytes) => sum + bytes, 0);
}

/** Adds bytes by category to the kinds of `usage`; categories it does not know go to `rest`. */
function fold(usage: Record<string, number>, categories: readonly string[], bytes: Float64Array, rest: string): void {
  categories.forEach((category, i) => {
    const kind = category in usage ? category : rest;
    usage[kind] = (usage[kind] ?? 0) + (bytes[i] ?? 0);
  });
}

function loadedModel(model: ModelTruth, spec: InstanceSpec): Record<string, unknown> {
  const none = { application_memory: 0, constants: 0, dma_buffers: 0, tensors: 0 };
  const device = { constants: model.constantBytes, model_code: model.codeBytes, runtime_memory: 0, tensors: 0 };
  const coreVersion = spec.coreArch.slice(2);
  return {
    name: model.name,
    uuid: model.uuid,
    model_id: model.id,
    is_running: false,
    subgraphs: {
      sg_00: {
        memory_used_bytes: {
          host: 0,
          neuron_device: model.constantBytes + model.codeBytes,
          usage_breakdown: { host: none, neuron_device: device },
        },
        neuroncore_index: model.logicalCore,
        [coreVersion]: `nc_${coreVersion}.${model.device * logicalCoresPerDevice(spec) + model.logicalCore}`,
        neuron_device_index: model.device,
      },
    },
  };
}

function percentOf(share: number, whole: number): number {
  return whole > 0 ? Math.round((10_000 * share) / whole) / 100 : 0;
}
