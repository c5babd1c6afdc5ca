import { COUNTER, CPU_MODES, DEVICE_MEMORY_CATEGORIES, HOST_MEMORY_CATEGORIES } from '../../../simulator/truth.ts';
import type { ProcessCoreTruth, ProcessTruth, Truth } from '../../../simulator/truth.ts';
import { seriesKey } from './series.ts';
import type { ExpectedValue, MetricName, Owner } from './series.ts';

/** Outcomes of executions, and where they are counted. */
export const OUTCOMES = {
  completed: COUNTER.completed,
  completed_with_err: COUNTER.completedWithError,
  completed_with_num_err: COUNTER.completedWithNumError,
  timed_out: COUNTER.timedOut,
  incorrect_input: COUNTER.incorrectInput,
  failed_to_queue: COUNTER.failedToQueue,
} as const;

const ERRORS = {
  generic: COUNTER.errorGeneric,
  numerical: COUNTER.errorNumerical,
  model: COUNTER.errorModel,
  transient: COUNTER.errorTransient,
  hardware: COUNTER.errorHardware,
  runtime: COUNTER.errorRuntime,
} as const;

/** Kinds of memory that a datastore tells apart; everything else is the rest. */
const CORE_KINDS = ['model_code', 'tensors', 'constants', 'model_shared_scratchpad'];
const HOST_KINDS = ['dma_buffers', 'tensors', 'constants'];

/** Carrying over rounds once in each period. */
const SHARE_TOLERANCE = 1e-9;
/** procfs gives CPU shares as neuron-monitor does: percent with two decimals. */
const CPU_SHARE_TOLERANCE = 0.000_050_001;
/** Two clocks that are rounded to hundredths of a second. */
const UPTIME_TOLERANCE = 1e-6;

/** The owner of a process's series, as the kernel's clock ticks tell its start. */
export function ownerOf(process: ProcessTruth, { originMs, bootTimeMs }: Truth): Owner {
  return {
    pid: process.pid,
    // The kernel tells its boot in whole seconds.
    startedAt: new Date(Math.floor(bootTimeMs / 1000) * 1000 + startTicks(process, originMs, bootTimeMs) * 10).toISOString(),
    tag: process.tag,
  };
}

function startTicks(process: ProcessTruth, originMs: number, bootTimeMs: number): number {
  return Math.floor((originMs + process.startedAtMs - bootTimeMs) / 10);
}

export interface ExpectedPoint extends ExpectedValue {
  readonly metric: MetricName;
  readonly owner?: Owner;
  readonly attributes: Readonly<Record<string, string | number>>;
  /** What a counter counted since the sample before. */
  readonly tally?: number;
}

export function keyed(points: readonly ExpectedPoint[]): ReadonlyMap<string, ExpectedPoint> {
  return new Map(points.map((point) => [seriesKey(point.metric, point.owner, point.attributes), point]));
}

/** What of one process has to be in the outputs, sample by sample. */
export class ProcessLedger {
  readonly process: ProcessTruth;
  readonly #truth: Truth;
  readonly #owner: Owner;
  readonly #cores: readonly CoreLedger[];
  #samples = 0;
  #cpuBefore: { readonly user: number; readonly system: number; readonly host: number } | undefined;

  constructor(process: ProcessTruth, truth: Truth) {
    this.process = process;
    this.#truth = truth;
    this.#owner = ownerOf(process, truth);
    this.#cores = process.cores.map((core) => new CoreLedger(core));
  }

  get cores(): readonly CoreLedger[] {
    return this.#cores;
  }

  /** Samples it was there at, the first one being the baseline. */
  get samples(): number {
    return this.#samples;
  }

  /** What the process is now. Who it is comes to procfs from the datastores: in time for the next sample, or by a look at everything. */
  sample(periodMs: number, isKnownToProcfs: boolean): readonly ExpectedPoint[] {
    this.#samples += 1;
    for (const core of this.#cores) core.sample(periodMs);
    const counted = this.#samples > 1 ? [...this.#executions(), ...this.#rates(periodMs)] : [];
    const usage = isKnownToProcfs ? this.#procfs() : [];
    return [...this.#memory(), ...counted, ...usage];
  }

  #point(metric: MetricName, attributes: ExpectedPoint['attributes'], value: number, more: Partial<ExpectedPoint> = {}): ExpectedPoint {
    return { metric, owner: this.#owner, attributes, value, ...more };
  }

  #executions(): readonly ExpectedPoint[] {
    const counter = (metric: MetricName, attribute: string, ids: Readonly<Record<string, number>>): readonly ExpectedPoint[] =>
      Object.entries(ids).map(([name, id]) =>
        this.#point(
          metric,
          { [attribute]: name },
          sum(this.#cores, (core) => core.sinceFirst(id)),
          {
            tally: sum(this.#cores, (core) => core.sinceLast(id)),
          },
        ),
      );
    const completed = sum(this.#cores, (core) => core.sinceFirst(COUNTER.completed));
    return [
      ...counter('neuron.executions', 'neuron.execution.outcome', OUTCOMES),
      ...counter('neuron.execution.errors', 'error.type', ERRORS),
      ...['total', 'device'].map((type) => this.#point('neuron.execution.duration', { 'neuron.latency.type': type }, completed)),
    ];
  }

  #rates(periodMs: number): readonly ExpectedPoint[] {
    return this.#logicalCores().flatMap(([attributes, cores, firstPhysical]) => {
      const size = this.#truth.instance.logicalCoreSize;
      const share = (core: CoreLedger | undefined): number => core?.utilization ?? 0;
      const macs = sum(cores, (core) => core?.sinceLast(COUNTER.macs) ?? 0);
      const physical = cores.map((core, i) =>
        this.#point('neuron.physical_core.utilization', { ...attributes, 'neuron.physical_core.index': firstPhysical + i }, share(core), {
          tolerance: SHARE_TOLERANCE,
        }),
      );
      return [
        this.#point('neuron.core.flops', attributes, (2 * macs * 1000) / periodMs),
        this.#point('neuron.core.utilization', attributes, sum(cores, share) / size, { tolerance: SHARE_TOLERANCE }),
        ...(size > 1 ? physical : []),
      ];
    });
  }

  #memory(): readonly ExpectedPoint[] {
    const { process } = this;
    const host = new Map<string, number>();
    for (const bytes of process.hostMemoryBytes.values()) fold(host, HOST_MEMORY_CATEGORIES, bytes, HOST_KINDS, 'application_memory');
    const ofCores = this.#logicalCores().flatMap(([attributes, cores]) => {
      const kinds = new Map([...CORE_KINDS, 'runtime_memory'].map((kind) => [kind, 0]));
      for (const core of cores)
        if (core !== undefined) fold(kinds, DEVICE_MEMORY_CATEGORIES, core.core.memoryBytes, CORE_KINDS, 'runtime_memory');
      return [...kinds].map(([kind, bytes]) =>
        this.#point('neuron.core.memory.usage', { ...attributes, 'neuron.memory.category': kind }, bytes),
      );
    });
    const location = (name: string, bytes: number): ExpectedPoint =>
      this.#point('neuron.runtime.memory.usage', { 'neuron.memory.location': name }, bytes);
    return [
      location(
        'host',
        sum([...host.values()], (bytes) => bytes),
      ),
      location(
        'device',
        sum(ofCores, ({ value }) => value),
      ),
      ...[...host].map(([kind, bytes]) => this.#point('neuron.runtime.host_memory.usage', { 'neuron.memory.category': kind }, bytes)),
      ...ofCores,
      this.#point('neuron.model.count', { 'neuron.model.state': 'running' }, 0),
      this.#point('neuron.model.count', { 'neuron.model.state': 'loaded' }, process.models.length),
    ];
  }

  /** Every logical core of the process's devices, those included that it does not use. */
  #logicalCores(): readonly (readonly [attributes: Record<string, number>, cores: readonly (CoreLedger | undefined)[], first: number])[] {
    const { physicalCoresPerDevice: perDevice, logicalCoreSize: size } = this.#truth.instance;
    return this.process.devices.flatMap((device) =>
      Array.from({ length: perDevice / size }, (_, logical) => {
        const cores = Array.from({ length: size }, (__, i) =>
          this.#cores.find(({ core }) => core.device === device && core.physicalCore === logical * size + i),
        );
        const attributes = { 'neuron.device.index': device, 'neuron.core.index': (device * perDevice) / size + logical };
        return [attributes, cores, device * perDevice + logical * size] as const;
      }),
    );
  }

  #procfs(): readonly ExpectedPoint[] {
    const { process } = this;
    const { originMs, elapsedMs, bootTimeMs } = this.#truth;
    const now = { user: ticks(process.cpuUserSeconds), system: ticks(process.cpuSystemSeconds), host: hostTicks(this.#truth) };
    const before = this.#cpuBefore;
    this.#cpuBefore = now;
    const uptime = Number(((originMs + elapsedMs - bootTimeMs) / 1000).toFixed(2)) - startTicks(process, originMs, bootTimeMs) / 100;
    return [
      this.#point('process.cpu.time', { 'cpu.mode': 'user' }, now.user / 100),
      this.#point('process.cpu.time', { 'cpu.mode': 'system' }, now.system / 100),
      this.#point('process.memory.usage', {}, Math.floor(process.residentBytes / 4096) * 4096),
      this.#point('process.memory.virtual', {}, Math.floor(process.residentBytes) * 3),
      this.#point('process.thread.count', {}, process.threadCount),
      this.#point('process.uptime', {}, uptime, { tolerance: UPTIME_TOLERANCE }),
      ...(before === undefined
        ? []
        : (['user', 'system'] as const).map((mode) =>
            this.#point('process.cpu.utilization', { 'cpu.mode': mode }, (now[mode] - before[mode]) / (now.host - before.host), {
              tolerance: CPU_SHARE_TOLERANCE,
            }),
          )),
    ];
  }
}

/** One physical core as one process uses it. */
export class CoreLedger {
  readonly core: ProcessCoreTruth;
  /** Busy and shown time since the first sample, milliseconds. */
  busyMs = 0;
  shownMs = 0;
  /** Share of the last period. */
  utilization = 0;
  #first: BigUint64Array | undefined;
  #before: BigUint64Array | undefined;
  #now: BigUint64Array | undefined;

  constructor(core: ProcessCoreTruth) {
    this.core = core;
  }

  sample(periodMs: number): void {
    this.#before = this.#now;
    this.#now = this.core.counters.slice();
    this.#first ??= this.#now;
    if (this.#before === undefined) return;
    this.busyMs += this.sinceLast(COUNTER.timeInUse) / 1e9;
    // Time that does not fit a period is shown in the next ones.
    const dueMs = Math.min(periodMs, this.busyMs - this.shownMs);
    this.shownMs += dueMs;
    this.utilization = dueMs / periodMs;
  }

  sinceFirst(counter: number): number {
    return difference(this.#now, this.#first, counter);
  }

  sinceLast(counter: number): number {
    return difference(this.#now, this.#before, counter);
  }
}

function difference(now: BigUint64Array | undefined, before: BigUint64Array | undefined, counter: number): number {
  return Number((now?.[counter] ?? 0n) - (before?.[counter] ?? 0n));
}

function fold(into: Map<string, number>, categories: readonly string[], bytes: Float64Array, kinds: readonly string[], rest: string): void {
  for (const [i, category] of categories.entries()) {
    const kind = kinds.includes(category) ? category : rest;
    into.set(kind, (into.get(kind) ?? 0) + (bytes[i] ?? 0));
  }
}

export function sum<T>(items: readonly T[], value: (item: T) => number): number {
  return items.reduce((total, item) => total + value(item), 0);
}

/** A hundredth of a second, as the kernel counts. */
export function ticks(seconds: number): number {
  return Math.floor(seconds * 100);
}

/** Ticks of all vCPUs that neuron-monitor knows of: stolen ones are not counted. */
function hostTicks(truth: Truth): number {
  const known = CPU_MODES.slice(0, -1);
  return sum(truth.host.vcpuSeconds, (modes) => sum([...known.keys()], (mode) => ticks(modes[mode] ?? 0)));
}
