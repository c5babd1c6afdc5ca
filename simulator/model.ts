import { jobsWithChurn, RecycledPids } from './churn.ts';
import type { ChurnOptions } from './churn.ts';
import { DeviceState } from './device.ts';
import { HostLoad } from './host-load.ts';
import { identityOf } from './imds-server.ts';
import { INSTANCE_SPECS } from './instances.ts';
import type { InstanceSpec, VirtualInstanceType } from './instances.ts';
import { ProcessSlot } from './job.ts';
import type { LogicalCore, ProcessState } from './process.ts';
import { Random } from './random.ts';
import { Scenario } from './scenario.ts';
import type { Incident } from './scenario.ts';
import { COUNTER } from './truth.ts';
import type { IdentityTruth, Truth } from './truth.ts';

export interface WorkloadModelOptions {
  readonly instanceType: VirtualInstanceType;
  readonly seed: number;
  /** Milliseconds since the epoch at model time 0. */
  readonly originMs?: number;
  /** Short-lived processes; none when absent. */
  readonly churn?: ChurnOptions;
}

/** A virtual host that works. `step` moves its time on; `truth` is what is true of it now. */
export interface WorkloadModel {
  readonly truth: Truth;
  /** Moves on by `dtMs`; the model advances in whole ticks of 100 ms and keeps the rest for the next step. */
  step(dtMs: number): Truth;
  /** With `false` short-lived processes end and no more of them come, until they are wanted again; from the next tick on. */
  setChurn(isOn: boolean): void;
}

const TICK_MS = 100;
const UPTIME_MS = 3_600_000;
const FIRST_PID = 4_100;
const PID_LIMIT = 32_768;
const DEFAULT_ORIGIN_MS = Date.UTC(2026, 0, 1);

/** Same options: the same truth after the same time, however the time is cut into steps. */
export function createWorkloadModel(options: WorkloadModelOptions): WorkloadModel {
  return new VirtualHostModel(INSTANCE_SPECS[options.instanceType], options);
}

class VirtualHostModel implements WorkloadModel, Truth {
  readonly instance: InstanceSpec;
  readonly identity: IdentityTruth;
  readonly originMs: number;
  readonly bootTimeMs: number;
  elapsedMs = 0;
  readonly devices: readonly DeviceState[];
  processes: readonly ProcessState[] = [];
  readonly host: HostLoad;
  readonly #slots: readonly ProcessSlot[];
  readonly #scenario: Scenario;
  readonly #targets: Random;
  readonly #later: { readonly atMs: number; readonly action: () => void }[] = [];
  #leftMs = 0;
  #nextPid = FIRST_PID;
  readonly #recycledPids: RecycledPids;
  #churns = true;
  #weakDevice: DeviceState | undefined;

  constructor(spec: InstanceSpec, { seed, originMs = DEFAULT_ORIGIN_MS, churn }: WorkloadModelOptions) {
    this.instance = spec;
    this.originMs = originMs;
    this.bootTimeMs = originMs - UPTIME_MS;
    this.identity = identityOf(new Random(seed, 'identity'));
    this.devices = Array.from({ length: spec.deviceCount }, (_, i) => new DeviceState(i, spec, new Random(seed, `device ${i}`)));
    this.host = new HostLoad(spec, UPTIME_MS / 1000, new Random(seed, 'host'));
    const jobs = churn === undefined ? spec.jobs : jobsWithChurn(spec, churn);
    this.#recycledPids = new RecycledPids(churn?.pids ?? 0, new Random(seed, 'recycled pids'));
    this.#slots = jobs.flatMap((job, j) =>
      job.processes.map((_, rank) => {
        const random = new Random(seed, `process ${j}/${rank}`);
        return new ProcessSlot({ spec, job, rank, devices: this.devices, random, jobRandom: () => new Random(seed, `job ${j}`) });
      }),
    );
    this.#scenario = new Scenario(new Random(seed, 'scenario'));
    this.#targets = new Random(seed, 'targets');
  }

  get truth(): Truth {
    return this;
  }

  step(dtMs: number): Truth {
    this.#leftMs += dtMs;
    while (this.#leftMs >= TICK_MS) {
      this.#leftMs -= TICK_MS;
      this.#tick();
    }
    return this;
  }

  setChurn(isOn: boolean): void {
    this.#churns = isOn;
  }

  #tick(): void {
    this.elapsedMs += TICK_MS;
    const nowMs = this.elapsedMs;
    for (let i = this.#later.length - 1; i >= 0; i -= 1) {
      if ((this.#later[i]?.atMs ?? Infinity) <= nowMs) this.#later.splice(i, 1)[0]?.action();
    }
    for (const incident of this.#scenario.due(nowMs)) this.#happen(incident);
    this.#endProcesses(nowMs);
    this.#startProcesses(nowMs);
    for (const process of this.processes) process.tick(nowMs, TICK_MS / 1000);
    for (const device of this.devices) device.tick(TICK_MS / 1000, this.originMs + nowMs);
    this.host.tick(TICK_MS / 1000, this.processes, this.#slots.length);
  }

  #endProcesses(nowMs: number): void {
    for (const slot of this.#slots) {
      const isUnwanted = slot.isBrief && slot.process !== undefined && !this.#churns;
      if (isUnwanted || nowMs >= slot.endAtMs) this.#end(slot, slot.nextStartMs(nowMs));
    }
  }

  #startProcesses(nowMs: number): void {
    for (const slot of this.#slots) {
      if (slot.process !== undefined || nowMs < slot.startAtMs || (slot.isBrief && !this.#churns)) continue;
      slot.start(slot.isBrief ? this.#recycledPids.take() : this.#takePid(), nowMs);
    }
    this.#listProcesses();
  }

  #listProcesses(): void {
    this.processes = this.#slots.flatMap((slot) => slot.process ?? []);
  }

  #takePid(): number {
    const used = new Set(this.processes.map((process) => process.pid));
    do {
      this.#nextPid = this.#nextPid + this.#targets.integer(1, 40);
      if (this.#nextPid >= PID_LIMIT) this.#nextPid = FIRST_PID;
    } while (used.has(this.#nextPid));
    return this.#nextPid;
  }

  #happen(incident: Incident): void {
    const slot = this.#targets.integer(0, 1_000_000);
    switch (incident.kind) {
      case 'memory_corrected':
        this.#weak().ecc.memoryCorrected += incident.events;
        return;
      case 'sram_corrected':
        pick(this.devices, slot).ecc.sramCorrected += incident.events;
        return;
      case 'straggler':
        this.#straggle(slot, incident.slowness, incident.durationMs);
        return;
      case 'uncorrectable':
        this.#uncorrectable(incident.recoveryMs);
        return;
      case 'crash':
        this.#crash(incident.restartMs);
        return;
      case 'device_reset':
        this.#reset(slot, incident.durationMs, incident.restartMs);
        return;
      case 'numerical_error':
        this.#running('training')?.fail([COUNTER.completedWithNumError, COUNTER.errorNumerical]);
        return;
      case 'bad_input':
        this.#running('inference')?.fail([COUNTER.incorrectInput]);
        return;
      case 'timeout':
        this.#running('inference')?.fail([COUNTER.timedOut, COUNTER.errorTransient]);
        return;
    }
  }

  /** The device whose memory goes bad: one of the first process's; the same until it was repaired. */
  #weak(): DeviceState {
    const used = this.devices.filter((device) => this.#slots[0]?.uses(device));
    this.#weakDevice ??= pick(used, this.#targets.integer(0, 1_000_000));
    return this.#weakDevice;
  }

  #running(kind: ProcessState['kind']): ProcessState | undefined {
    return this.processes.find((process) => process.kind === kind && process.state === 'running');
  }

  #straggle(draw: number, slowness: number, durationMs: number): void {
    const slots = this.#slots.filter((slot) => slot.job === this.#slots[0]?.job && slot.process !== undefined);
    const cores = slots.flatMap((slot) => slot.process?.logicalCores ?? []);
    if (cores.length === 0) return;
    const core = pick(cores, draw);
    const slow = (factor: number): void => {
      core.slowness = factor;
      for (const slot of slots) if (slot.process !== undefined) slot.process.jobSlowness = factor;
    };
    slow(slowness);
    this.#after(durationMs, () => slow(1));
  }

  #uncorrectable(recoveryMs: number): void {
    const device = this.#weak();
    device.ecc.memoryRepairableUncorrected += 1;
    device.hardwareErrorEvents += 1;
    device.unhealthyComponents = ['hbm'];
    const core = this.#coreOn(device);
    if (core !== undefined) {
      const counters = [
        COUNTER.completedWithError,
        COUNTER.genericFail,
        COUNTER.errorHardware,
        COUNTER.hbmUncorrectable,
        COUNTER.hbmRepairable,
      ];
      this.#slotOf(device)?.process?.fail(counters, core);
    }
    this.#after(recoveryMs, () => {
      device.unhealthyComponents = [];
      this.#weakDevice = undefined;
    });
  }

  /** The process on the weak device dies; its peers wait for it. */
  #crash(restartMs: number): void {
    const slot = this.#slotOf(this.#weak());
    if (slot === undefined) return;
    this.#end(slot, this.elapsedMs + restartMs);
    for (const peer of this.#slots) {
      if (peer.job !== slot.job || peer.process === undefined) continue;
      peer.process.fail([COUNTER.timedOut, COUNTER.errorRuntime]);
      if (slot.job.kind === 'training') peer.process.stalledUntilMs = this.elapsedMs + restartMs + 12_000;
    }
  }

  #reset(draw: number, durationMs: number, restartMs: number): void {
    const last = this.#slots.filter((slot) => slot.job !== this.#slots[0]?.job);
    const victim = last.length === 0 ? this.#slots[0] : pick(last, draw);
    const device = this.devices.find((candidate) => victim?.uses(candidate));
    if (device === undefined) return;
    for (const slot of this.#slots) if (slot.uses(device)) this.#end(slot, this.elapsedMs + restartMs);
    device.reset();
    device.resetting = true;
    this.#after(durationMs, () => {
      device.resetting = false;
    });
  }

  #end(slot: ProcessSlot, startAtMs: number): void {
    const pid = slot.end(startAtMs);
    if (pid !== undefined) {
      this.host.forget(pid);
      if (slot.isBrief) this.#recycledPids.giveBack(pid);
    }
    this.#listProcesses();
  }

  #slotOf(device: DeviceState): ProcessSlot | undefined {
    return this.#slots.find((slot) => slot.process !== undefined && slot.uses(device));
  }

  #coreOn(device: DeviceState): LogicalCore | undefined {
    return this.#slotOf(device)?.process?.logicalCores.find((core) => core.device === device);
  }

  #after(delayMs: number, action: () => void): void {
    this.#later.push({ atMs: this.elapsedMs + delayMs, action });
  }
}

function pick<T>(items: readonly T[], draw: number): T {
  const item = items[draw % items.length];
  if (item === undefined) throw new RangeError('nothing to pick from');
  return item;
}
