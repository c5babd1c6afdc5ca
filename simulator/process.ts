import { IDLE } from './activity.ts';
import type { Activity, ActivityPattern } from './activity.ts';
import type { DeviceState, SlabCounts } from './device.ts';
import { logicalCoresPerDevice } from './instances.ts';
import type { InstanceSpec, JobKind, JobSpec } from './instances.ts';
import { deviceMemoryTarget, hostMemoryTarget } from './memory.ts';
import type { Random } from './random.ts';
import { COUNTER, COUNTER_COUNT, DEVICE_MEMORY_CATEGORIES, HOST_MEMORY_CATEGORIES } from './truth.ts';
import type { ModelTruth, ProcessCoreTruth, ProcessTruth } from './truth.ts';
import { LatencyRing, quantized } from './latency-ring.ts';

/** Physical cores that work as one; completions are counted on the first, time and arithmetic on each. */
export interface LogicalCore {
  readonly device: DeviceState;
  /** Index within the device. */
  readonly index: number;
  readonly physical: readonly ProcessCore[];
  /** 1, or more while this core lags behind its peers. */
  slowness: number;
}

export class ProcessCore implements ProcessCoreTruth {
  readonly device: number;
  readonly physicalCore: number;
  readonly counters = new BigUint64Array(COUNTER_COUNT);
  readonly memoryBytes = new Float64Array(DEVICE_MEMORY_CATEGORIES.length);
  lastDeviceSeconds = 0;
  lastTotalSeconds = 0;
  readonly #state: DeviceState['cores'][number];

  constructor(device: DeviceState, physicalCore: number) {
    const state = device.cores[physicalCore];
    if (state === undefined) throw new RangeError('no such core');
    this.device = device.index;
    this.physicalCore = physicalCore;
    this.#state = state;
  }

  count(counter: number, amount: bigint): void {
    this.counters[counter] = (this.counters[counter] ?? 0n) + amount;
    this.#state.counters[counter] = (this.#state.counters[counter] ?? 0n) + amount;
  }

  /** Moves memory to `target`, here and in the account of the core. */
  setMemory(target: Float64Array): void {
    target.forEach((bytes, category) => {
      const delta = bytes - (this.memoryBytes[category] ?? 0);
      if (delta === 0) return;
      this.memoryBytes[category] = bytes;
      this.#state.memory.change(category, delta);
    });
  }

  /** Does what the driver does when the owner is gone: memory is freed, counters become the kernel's. */
  release(): void {
    this.setMemory(new Float64Array(DEVICE_MEMORY_CATEGORIES.length));
    this.counters.forEach((value, counter) => {
      this.#state.releasedCounters[counter] = (this.#state.releasedCounters[counter] ?? 0n) + value;
    });
  }
}

export interface ProcessOptions {
  readonly spec: InstanceSpec;
  readonly job: JobSpec;
  readonly rank: number;
  readonly pid: number;
  readonly nowMs: number;
  readonly logicalCores: readonly LogicalCore[];
  readonly pattern: ActivityPattern;
  readonly random: Random;
  readonly models: readonly ModelTruth[];
  readonly containerId: string | undefined;
  readonly podUid: string | undefined;
  /** Time until its models are loaded; 6 to 12 s when absent. */
  readonly loadMs?: number;
}

const MEMORY_STEP_MS = 500;

/** One Neuron process from start to end. */
export class ProcessState implements ProcessTruth {
  readonly pid: number;
  readonly startedAtMs: number;
  readonly kind: JobKind;
  readonly command: readonly string[];
  readonly tag: string;
  readonly environment: Readonly<Record<string, string>>;
  readonly containerId: string | undefined;
  readonly podUid: string | undefined;
  readonly devices: readonly number[];
  readonly cores: readonly ProcessCore[];
  readonly logicalCores: readonly LogicalCore[];
  readonly hostMemoryBytes: ReadonlyMap<number, Float64Array>;
  readonly inherited: ReadonlyMap<number, SlabCounts>;
  readonly latency = new LatencyRing();
  models: readonly ModelTruth[] = [];
  state: 'loading' | 'running' | 'stalled' = 'loading';
  cpuUserSeconds = 0;
  cpuSystemSeconds = 0;
  residentBytes: number;
  threadCount = 4;
  /** Peers are gone: nothing completes until this model time. */
  stalledUntilMs = 0;
  /** Slowest core of the whole job; everyone waits for it. */
  jobSlowness = 1;
  readonly #options: ProcessOptions;
  readonly #loadMs: number;
  readonly #deviceStates: readonly DeviceState[];
  #due = 0;
  #memoryAtMs: number;

  constructor(options: ProcessOptions) {
    const { job, random, logicalCores } = options;
    this.#options = options;
    this.pid = options.pid;
    this.startedAtMs = options.nowMs;
    this.kind = job.kind;
    this.tag = job.tag ?? String(options.pid);
    this.command = ['python3', `/opt/app/${job.name}.py`, `--rank=${options.rank}`];
    this.environment = environmentOf(options);
    this.containerId = options.containerId;
    this.podUid = options.podUid;
    this.logicalCores = logicalCores;
    this.cores = logicalCores.flatMap((core) => core.physical);
    this.#deviceStates = [...new Set(logicalCores.map((core) => core.device))];
    this.devices = this.#deviceStates.map((device) => device.index);
    this.hostMemoryBytes = new Map(this.devices.map((device) => [device, new Float64Array(HOST_MEMORY_CATEGORIES.length)]));
    this.inherited = new Map(this.#deviceStates.map((device) => [device.index, device.slabs.take()]));
    this.residentBytes = 180 * 1024 ** 2;
    this.#loadMs = options.loadMs ?? random.integer(60, 120) * 100;
    this.#memoryAtMs = options.nowMs;
  }

  tick(nowMs: number, dtSeconds: number): void {
    const ageMs = nowMs - this.startedAtMs;
    if (this.state === 'loading' && ageMs >= this.#loadMs) this.#finishLoading();
    if (this.state !== 'loading') this.state = nowMs < this.stalledUntilMs ? 'stalled' : 'running';
    const activity = this.#activity(nowMs);
    this.cpuUserSeconds += activity.cpuUser * dtSeconds;
    this.cpuSystemSeconds += activity.cpuSystem * dtSeconds;
    if (nowMs >= this.#memoryAtMs) {
      this.#memoryAtMs = nowMs + MEMORY_STEP_MS;
      this.#adjustMemory(this.state === 'loading' ? ageMs / this.#loadMs : 1, activity.cacheFill);
    }
    this.#execute(activity, dtSeconds);
  }

  /** Executions that did not end well, on the first core. */
  fail(counters: readonly number[], core: LogicalCore | undefined = this.logicalCores[0]): void {
    for (const counter of counters) core?.physical[0]?.count(counter, 1n);
  }

  end(): void {
    for (const core of this.cores) core.release();
    this.#setHostMemory(new Float64Array(HOST_MEMORY_CATEGORIES.length));
    for (const { index, slabs } of this.#deviceStates) {
      const cores = this.cores.filter(({ device }) => device === index);
      slabs.giveBack(this.inherited.get(index) ?? new Map(), cores);
    }
  }

  #activity(nowMs: number): Activity {
    if (this.state === 'loading') return { ...IDLE, cpuUser: 3.2, cpuSystem: 1.4 };
    if (this.state === 'stalled') return { ...IDLE, cpuUser: 1 };
    return this.#options.pattern.at(nowMs);
  }

  #finishLoading(): void {
    this.state = 'running';
    this.models = this.#options.models;
    this.threadCount = 24 + 2 * this.logicalCores.length;
    const modelsPerCore = BigInt(Math.round(this.models.length / this.logicalCores.length));
    for (const core of this.logicalCores) core.physical[0]?.count(COUNTER.modelLoads, modelsPerCore);
  }

  #adjustMemory(loaded: number, cacheFill: number): void {
    const { spec } = this.#options;
    const target = deviceMemoryTarget(this.kind, spec.deviceMemoryBytes / spec.physicalCoresPerDevice, loaded, cacheFill);
    for (const core of this.cores) core.setMemory(target);
    this.#setHostMemory(hostMemoryTarget(this.kind, loaded));
    const checkpointing = this.state === 'running' && cacheFill === 0 && this.kind === 'training';
    const gib = residentGib(this.kind, cacheFill) * loaded + (checkpointing ? 4 : 0);
    this.residentBytes = Math.min(0.2 * spec.hostMemoryBytes, (0.18 + gib) * 1024 ** 3);
  }

  #setHostMemory(target: Float64Array): void {
    for (const device of this.#deviceStates) {
      const bytes = this.hostMemoryBytes.get(device.index);
      if (bytes === undefined) continue;
      target.forEach((wanted, category) => {
        device.hostMemory.change(category, wanted - (bytes[category] ?? 0));
        bytes[category] = wanted;
      });
    }
  }

  #execute(activity: Activity, dtSeconds: number): void {
    const rate = activity.executionsPerSecond / this.jobSlowness;
    this.#demandPower(rate * activity.deviceSeconds * activity.efficiency);
    this.#due += rate * dtSeconds;
    const executions = Math.floor(this.#due);
    this.#due -= executions;
    if (executions > 0) this.#complete(executions, activity);
  }

  #complete(executions: number, activity: Activity): void {
    const { random, spec } = this.#options;
    const medians = Array.from({ length: executions }, () => {
      const tail = activity.tailShare > 0 && random.next() < activity.tailShare ? random.between(2, 4) : 1;
      return activity.deviceSeconds * tail * Math.exp(activity.spread * random.normal());
    });
    const macs = BigInt(Math.round(activity.deviceSeconds * activity.efficiency * spec.peakMacsPerSecond)) * BigInt(executions);
    for (const core of this.logicalCores) this.#completeOn(core, medians, macs, activity);
  }

  #completeOn(core: LogicalCore, medians: readonly number[], macs: bigint, activity: Activity): void {
    const { random } = this.#options;
    let busyMicroseconds = 0;
    let deviceSeconds = 0;
    let totalSeconds = 0;
    for (const median of medians) {
      deviceSeconds = quantized(median * core.slowness * (1 + 0.004 * random.normal()));
      totalSeconds = quantized(deviceSeconds + random.exponential(activity.queueSeconds));
      busyMicroseconds += Math.round(deviceSeconds * 1e6);
      this.latency.add(deviceSeconds, totalSeconds);
    }
    const picoseconds = BigInt(busyMicroseconds) * 1_000_000n;
    core.physical.forEach((physical, i) => {
      physical.count(COUNTER.timeInUse, picoseconds);
      physical.count(COUNTER.macs, macs);
      physical.lastDeviceSeconds = deviceSeconds;
      physical.lastTotalSeconds = totalSeconds;
      if (i > 0) return;
      physical.count(COUNTER.completed, BigInt(medians.length));
      physical.count(COUNTER.inferences, BigInt(medians.length));
    });
  }

  #demandPower(busyEfficiency: number): void {
    const perLogicalCore = (busyEfficiency * 1.6) / logicalCoresPerDevice(this.#options.spec);
    for (const core of this.logicalCores) core.device.demand += perLogicalCore;
  }
}

/** Beside what a process has before it loads anything. */
function residentGib(kind: JobKind, cacheFill: number): number {
  switch (kind) {
    case 'training':
      return 9;
    case 'inference':
    case 'batch':
      return 3;
    case 'task':
      return 0.2 + cacheFill;
  }
}

function environmentOf({ job, rank, spec, logicalCores }: ProcessOptions): Record<string, string> {
  const perDevice = logicalCoresPerDevice(spec);
  const cores = logicalCores.map((core) => core.device.index * perDevice + core.index);
  return {
    PATH: '/usr/local/bin:/usr/bin:/bin',
    HOME: '/root',
    RANK: String(rank),
    NEURON_RT_VISIBLE_CORES: `${Math.min(...cores)}-${Math.max(...cores)}`,
    ...(job.tag === undefined ? {} : { NEURON_PROCESS_TAG: job.tag }),
    ...(spec.logicalCoreSize === 1 ? {} : { NEURON_LOGICAL_NC_CONFIG: String(spec.logicalCoreSize) }),
  };
}
