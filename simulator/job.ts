import { createPattern } from './activity.ts';
import type { DeviceState } from './device.ts';
import { logicalCoresPerDevice } from './instances.ts';
import type { InstanceSpec, JobSpec } from './instances.ts';
import { deviceMemoryTarget } from './memory.ts';
import { ProcessCore, ProcessState } from './process.ts';
import type { LogicalCore } from './process.ts';
import type { Random } from './random.ts';
import { DEVICE_MEMORY_CATEGORIES } from './truth.ts';
import type { ModelTruth } from './truth.ts';

const MODEL_NAMES = {
  training: ['forward_backward', 'optimizer_step'],
  inference: ['context_encoding', 'token_generation'],
  batch: ['encoder'],
  task: ['kernel'],
} as const;

const CODE = DEVICE_MEMORY_CATEGORIES.indexOf('model_code');
const CONSTANTS = DEVICE_MEMORY_CATEGORIES.indexOf('constants');
const FIRST_MODEL_ID = 10_001;

/** Tags of short-lived processes: some have one in common, some have none. */
const BRIEF_TAGS = ['prepare', 'evaluate', 'sweep', undefined] as const;
/** Everything that happens to short-lived processes happens at a multiple of this. */
const BRIEF_STEP_MS = 100;
/** Their models load in no time, or in this many steps. */
const LONGEST_BRIEF_LOAD = 2;
/** Between two of them a slot is empty for this many steps at most. */
const LONGEST_BRIEF_GAP = 2;

/** `ProcessSlot` is one slot of a job: a process runs in it, or waits to be started again. */
export class ProcessSlot {
  readonly job: JobSpec;
  readonly rank: number;
  process: ProcessState | undefined;
  /** Model time at which the next process starts. */
  startAtMs: number;
  /** Model time at which the process ends by itself. */
  endAtMs = Number.POSITIVE_INFINITY;
  readonly #spec: InstanceSpec;
  readonly #devices: readonly DeviceState[];
  readonly #logicalCores: readonly number[];
  readonly #random: Random;
  readonly #jobRandom: () => Random;
  readonly #uuids: readonly string[];
  readonly #podUid: string | undefined;

  constructor(options: {
    readonly spec: InstanceSpec;
    readonly job: JobSpec;
    readonly rank: number;
    readonly devices: readonly DeviceState[];
    readonly random: Random;
    /** The same for every process of the job. */
    readonly jobRandom: () => Random;
  }) {
    const { spec, job, rank, devices, random } = options;
    const slot = job.processes[rank];
    if (slot === undefined) throw new RangeError('the job has no such process');
    this.job = job;
    this.rank = rank;
    this.startAtMs = job.lifetimeMs === undefined ? 300 * rank : 0;
    this.#spec = spec;
    this.#devices = devices.filter((device) => slot.devices.includes(device.index));
    this.#logicalCores = slot.logicalCores ?? Array.from({ length: logicalCoresPerDevice(spec) }, (_, i) => i);
    this.#random = random;
    this.#jobRandom = options.jobRandom;
    this.#uuids = MODEL_NAMES[job.kind].map(() => random.hex(32));
    this.#podUid = job.containerized ? uuidText(random) : undefined;
  }

  uses(device: DeviceState): boolean {
    return this.#devices.includes(device);
  }

  /** Its processes do not stay. */
  get isBrief(): boolean {
    return this.job.lifetimeMs !== undefined;
  }

  /** When the next process follows one that ends now. */
  nextStartMs(nowMs: number): number {
    return nowMs + this.#random.integer(0, LONGEST_BRIEF_GAP) * BRIEF_STEP_MS;
  }

  start(pid: number, nowMs: number): void {
    const random = this.#random;
    const { lifetimeMs } = this.job;
    if (lifetimeMs !== undefined) {
      const { shortest, longest } = lifetimeMs;
      this.endAtMs = nowMs + random.integer(shortest / BRIEF_STEP_MS, longest / BRIEF_STEP_MS) * BRIEF_STEP_MS;
    }
    const logicalCores = this.#devices.flatMap((device) => this.#logicalCores.map((index) => this.#logicalCore(device, index)));
    this.process = new ProcessState({
      spec: this.#spec,
      job: this.isBrief ? briefJob(this.job, random) : this.job,
      rank: this.rank,
      pid,
      nowMs,
      logicalCores,
      pattern: createPattern(this.job.kind, this.job.kind === 'training' ? this.#jobRandom() : random),
      random,
      models: this.#models(logicalCores),
      containerId: this.job.containerized ? random.hex(64) : undefined,
      podUid: this.#podUid,
      ...(this.isBrief && { loadMs: random.integer(0, LONGEST_BRIEF_LOAD) * BRIEF_STEP_MS }),
    });
  }

  /** Ends the process; the next one starts at `startAtMs`. Returns the pid that is free now. */
  end(startAtMs: number): number | undefined {
    const pid = this.process?.pid;
    this.process?.end();
    this.process = undefined;
    this.startAtMs = Math.max(this.startAtMs, startAtMs);
    this.endAtMs = Number.POSITIVE_INFINITY;
    return pid;
  }

  #logicalCore(device: DeviceState, index: number): LogicalCore {
    const size = this.#spec.logicalCoreSize;
    const physical = Array.from({ length: size }, (_, i) => new ProcessCore(device, index * size + i));
    return { device, index, physical, slowness: 1 };
  }

  #models(logicalCores: readonly LogicalCore[]): ModelTruth[] {
    const spec = this.#spec;
    const memory = deviceMemoryTarget(this.job.kind, spec.deviceMemoryBytes / spec.physicalCoresPerDevice, 1, 0);
    const names = MODEL_NAMES[this.job.kind];
    return logicalCores.flatMap((core, c) =>
      names.map((name, n) => ({
        id: FIRST_MODEL_ID + c * names.length + n,
        name: `/var/cache/neuron/${this.job.name}/${name}.neff`,
        uuid: this.#uuids[n] ?? '',
        device: core.device.index,
        logicalCore: core.index,
        codeBytes: ((memory[CODE] ?? 0) * spec.logicalCoreSize) / names.length,
        constantBytes: ((memory[CONSTANTS] ?? 0) * spec.logicalCoreSize) / names.length,
      })),
    );
  }
}

/** The job under the tag of one of its processes. */
function briefJob(job: JobSpec, random: Random): JobSpec {
  const tag = BRIEF_TAGS[random.integer(0, BRIEF_TAGS.length - 1)];
  return tag === undefined ? job : { ...job, tag };
}

function uuidText(random: Random): string {
  return [8, 4, 4, 4, 12].map((digits) => random.hex(digits)).join('-');
}
