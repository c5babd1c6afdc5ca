import { existsSync } from 'node:fs';
import { join } from 'node:path';
import type { Host, Timer } from '../../src/host.ts';
import type { RuntimeRef } from '../../src/readings.ts';
import { bootTimeMs, startTimeMs } from '../procfs/boot-time.ts';
import type { PidStat } from '../procfs/pid-stat.ts';
import { inheritsDescriptors, mapsDevice, scanHolders } from './device-holders.ts';
import type { DeviceHolder } from './device-holders.ts';
import { readIdentity, readPidStat } from './identity.ts';
import type { ProcessIdentity } from './identity.ts';

export interface ProcessInspectorOptions {
  readonly host: Host;
}

/** Who processes are, and which of them use Neuron devices. Synchronous; never throws; remembers at most 4,096 processes. */
export interface ProcessInspector {
  /**
   * Who a process is; undefined when there is none with this pid. A process that has just ended keeps its identity for a minute,
   * unless its pid was given to another one: the last report about it still comes.
   */
  identify(pid: number): ProcessIdentity | undefined;
  /** The runtime with start time and attributes from procfs; the runtime itself when it has a start time or nothing is known. */
  enrich(runtime: RuntimeRef): RuntimeRef;
  /**
   * Neuron processes that are alive: those a better witness named lately (`learn`), else those that `scan` found.
   * A process that ended is left out at once.
   */
  discover(nowMonotonicMs: number): readonly RuntimeRef[];
  /** Processes that have `/dev/neuron<N>` open, by pid. Looks at all processes of the host every 15 s, in the background. */
  scan(nowMonotonicMs: number): readonly RuntimeRef[];
  /**
   * The datastore names the Neuron processes, and knows their tags better than procfs does. Trusted until it falls silent. When it could
   * not look everywhere there may be more: those it named before, and those that `scan` finds.
   */
  learn(runtimes: readonly RuntimeRef[], nowMonotonicMs: number, options?: { readonly isComplete: boolean }): void;
  /** Processes whose descriptors could not be seen in the last scan. */
  readonly denied: number;
  [Symbol.dispose](): void;
}

export function createProcessInspector(options: ProcessInspectorOptions): ProcessInspector {
  return new Inspector(options.host);
}

const MAX_REMEMBERED = 4096;
const ENDED_RETENTION_MS = 60_000;

const SCAN_INTERVAL_MS = 15_000;
/** A scan may use at most this share of one core over time; on a crowded host scans become rarer. */
const MAX_SCAN_SHARE = 0.01;
/** The first scan may hold up the start this long, a later one holds up other work this long at a time. */
const FIRST_STEP_MS = 100;
const STEP_MS = 4;
const PAUSE_MS = 20;
/** A witness counts as silent after this many of its intervals; the first interval is not known yet. */
const LEARNED_INTERVALS = 2.5;
const LEARNED_FIRST_INTERVAL_MS = 60_000;
const LEARNED_SHORTEST_MS = 15_000;
/** A process without a mapping is looked at again after this time: it may have opened the device just before. */
const RECHECK_MS = 60_000;

interface Remembered {
  readonly startTicks: number;
  readonly identity: ProcessIdentity;
  endedAtMs?: number;
  mapping?: { readonly isMapped: boolean | undefined; readonly checkedAtMs: number };
}

interface Learned {
  readonly runtimes: readonly RuntimeRef[];
  readonly isComplete: boolean;
  readonly atMs: number;
  readonly intervalMs: number;
}

interface Scan {
  readonly steps: Generator<undefined, readonly Remembered[]>;
  busyMs: number;
}

class Inspector implements ProcessInspector {
  readonly #host: Host;
  readonly #bootTimeMs: number | undefined;
  readonly #remembered = new Map<number, Remembered>();
  #runtimes: readonly Remembered[] = [];
  #learned: Learned | undefined;
  #scan: Scan | undefined;
  #timer: Timer | undefined;
  #nextScanMs: number | undefined;
  #denied = 0;

  constructor(host: Host) {
    this.#host = host;
    this.#bootTimeMs = bootTimeMs(host);
  }

  get denied(): number {
    return this.#denied;
  }

  identify(pid: number): ProcessIdentity | undefined {
    const stat = readPidStat(this.#host, pid);
    if (stat !== undefined) return this.#remember(pid, stat)?.identity;
    const remembered = this.#remembered.get(pid);
    if (remembered === undefined) return undefined;
    const nowMs = this.#host.clock.monotonicMs();
    remembered.endedAtMs ??= nowMs;
    if (nowMs - remembered.endedAtMs <= ENDED_RETENTION_MS) return remembered.identity;
    this.#remembered.delete(pid);
    return undefined;
  }

  enrich(runtime: RuntimeRef): RuntimeRef {
    if (runtime.startTimeMs !== undefined) return runtime;
    const identity = this.identify(runtime.pid);
    if (identity === undefined) return runtime;
    return {
      ...runtime,
      ...(identity.startTimeMs !== undefined && { startTimeMs: identity.startTimeMs }),
      attributes: { ...identity.attributes, ...runtime.attributes },
    };
  }

  discover(nowMonotonicMs: number): readonly RuntimeRef[] {
    const learned = this.#learned;
    if (learned === undefined || nowMonotonicMs - learned.atMs > Math.max(LEARNED_SHORTEST_MS, LEARNED_INTERVALS * learned.intervalMs))
      return this.scan(nowMonotonicMs);
    const alive = learned.runtimes.filter((runtime) => this.#mayBeAlive(runtime));
    return learned.isComplete ? alive : withOthers(alive, this.scan(nowMonotonicMs));
  }

  learn(runtimes: readonly RuntimeRef[], nowMonotonicMs: number, { isComplete } = { isComplete: true }): void {
    const before = this.#learned;
    const intervalMs = before === undefined ? LEARNED_FIRST_INTERVAL_MS : nowMonotonicMs - before.atMs;
    const known = isComplete ? runtimes : withOthers(runtimes, this.#stillAlive(before?.runtimes ?? []));
    this.#learned = { runtimes: known, isComplete, atMs: nowMonotonicMs, intervalMs };
  }

  scan(nowMonotonicMs: number): readonly RuntimeRef[] {
    if (this.#scan === undefined && nowMonotonicMs >= (this.#nextScanMs ?? nowMonotonicMs) && this.#hasDevices()) {
      this.#scan = { steps: this.#scanRuntimes(), busyMs: 0 };
      this.#step(this.#nextScanMs === undefined ? FIRST_STEP_MS : STEP_MS);
    }
    this.#runtimes = this.#runtimes.filter(({ identity, startTicks }) => readPidStat(this.#host, identity.pid)?.startTicks === startTicks);
    return this.#runtimes.map(({ identity }) => identity);
  }

  [Symbol.dispose](): void {
    this.#timer?.[Symbol.dispose]();
    this.#scan = undefined;
  }

  /** Those that procfs shows; others would be carried along for ever. */
  #stillAlive(runtimes: readonly RuntimeRef[]): readonly RuntimeRef[] {
    return runtimes.filter((runtime) => runtime.startTimeMs !== undefined && this.#mayBeAlive(runtime));
  }

  /** What cannot be seen in procfs is believed. */
  #mayBeAlive({ pid, startTimeMs: startedMs }: RuntimeRef): boolean {
    if (startedMs === undefined || this.#bootTimeMs === undefined) return true;
    const stat = readPidStat(this.#host, pid);
    return stat !== undefined && startTimeMs(this.#bootTimeMs, stat.startTicks) === startedMs;
  }

  #hasDevices(): boolean {
    const { sysRoot, devRoot } = this.#host;
    const places = [join(sysRoot, 'class/neuron_device'), join(sysRoot, 'devices/virtual/neuron_device'), join(devRoot, 'neuron0')];
    return places.some((place) => existsSync(place));
  }

  /** Goes on with the scan for a while; the rest follows after a pause. */
  #step(budgetMs: number): void {
    const scan = this.#scan;
    if (scan === undefined) return;
    const { clock } = this.#host;
    const startedMs = clock.monotonicMs();
    for (;;) {
      const { done, value } = scan.steps.next();
      const elapsedMs = clock.monotonicMs() - startedMs;
      if (done === true) {
        this.#finish(value, scan.busyMs + elapsedMs);
        return;
      }
      if (elapsedMs < budgetMs) continue;
      scan.busyMs += elapsedMs;
      this.#timer = clock.setTimer(() => this.#step(STEP_MS), PAUSE_MS, { background: true });
      return;
    }
  }

  #finish(runtimes: readonly Remembered[], busyMs: number): void {
    this.#scan = undefined;
    this.#nextScanMs = this.#host.clock.monotonicMs() + Math.max(SCAN_INTERVAL_MS, busyMs / MAX_SCAN_SHARE);
    this.#runtimes = runtimes.toSorted((a, b) => a.identity.pid - b.identity.pid);
  }

  *#scanRuntimes(): Generator<undefined, readonly Remembered[]> {
    const { holders, denied } = yield* scanHolders(this.#host);
    this.#denied = denied;
    const byPid = new Map(holders.map((holder) => [holder.pid, holder]));
    const runtimes: Remembered[] = [];
    for (const holder of holders) {
      const remembered = this.#remember(holder.pid, holder.stat);
      if (remembered !== undefined && this.#isRuntime(holder, byPid.get(holder.stat.parentPid), remembered)) runtimes.push(remembered);
      yield;
    }
    return runtimes;
  }

  #isRuntime(holder: DeviceHolder, parent: DeviceHolder | undefined, remembered: Remembered): boolean {
    const nowMs = this.#host.clock.monotonicMs();
    const known = remembered.mapping;
    if (known === undefined || (known.isMapped !== true && nowMs - known.checkedAtMs >= RECHECK_MS))
      remembered.mapping = { isMapped: mapsDevice(this.#host, holder.pid), checkedAtMs: nowMs };
    return remembered.mapping?.isMapped ?? (parent === undefined || !inheritsDescriptors(holder, parent));
  }

  /** Reads an identity once for each process; undefined when the pid changed hands meanwhile. */
  #remember(pid: number, stat: PidStat): Remembered | undefined {
    const known = this.#remembered.get(pid);
    this.#remembered.delete(pid);
    if (known !== undefined && known.startTicks === stat.startTicks) {
      this.#remembered.set(pid, known);
      return known;
    }
    const identity = readIdentity(this.#host, pid, stat, this.#bootTimeMs);
    if (readPidStat(this.#host, pid)?.startTicks !== stat.startTicks) return undefined;
    const remembered: Remembered = { startTicks: stat.startTicks, identity };
    this.#remembered.set(pid, remembered);
    this.#forgetOldest();
    return remembered;
  }

  /** The map is ordered by last use. */
  #forgetOldest(): void {
    for (const pid of this.#remembered.keys()) {
      if (this.#remembered.size <= MAX_REMEMBERED) return;
      this.#remembered.delete(pid);
    }
  }
}

/** Those, and of the others whoever is not among them. */
function withOthers(runtimes: readonly RuntimeRef[], others: readonly RuntimeRef[]): readonly RuntimeRef[] {
  const pids = new Set(runtimes.map(({ pid }) => pid));
  return [...runtimes, ...others.filter(({ pid }) => !pids.has(pid))];
}
