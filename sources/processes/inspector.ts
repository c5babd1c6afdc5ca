import type { Host, Timer } from '../../src/host.ts';
import type { RuntimeRef } from '../../src/readings.ts';
import { bootTimeMs, startTimeMs } from '../procfs/pid-stat.ts';
import type { PidStat } from '../procfs/pid-stat.ts';
import { hasNeuronDevices, inheritsDescriptors, mapsDevice, scanHolders } from './device-holders.ts';
import type { DeviceHolder } from './device-holders.ts';
import { lacksNothing, readIdentity, readPidStat } from './identity.ts';
import type { ProcessIdentity } from './identity.ts';
import { hiddenProcesses } from '../visibility.ts';
import type { Finding } from '../visibility.ts';

export interface ProcessInspectorOptions {
  readonly host: Host;
}

/**
 * `ProcessInspector` finds the processes that use Neuron devices and reads their identities. It is synchronous, never throws, and
 * remembers at most 4,096 processes.
 */
export interface ProcessInspector {
  /**
   * Returns the identity of a process; undefined when no process has this pid. A process that has just ended keeps its identity for a
   * minute, unless its pid has another owner: the last report about it arrives after its end.
   */
  identify(pid: number): ProcessIdentity | undefined;
  /** Returns the runtime with start time and attributes from procfs, or unchanged when it has a start time or procfs has nothing. */
  enrich(runtime: RuntimeRef): RuntimeRef;
  /**
   * Returns the Neuron processes that are alive: those that the datastore named lately (`learn`), else those that `scan` found.
   * A process that ended is left out at once.
   */
  discover(nowMonotonicMs: number): readonly RuntimeRef[];
  /** Returns the processes that have `/dev/neuron<N>` open, by pid. All processes are scanned every 15 s, in the background. */
  scan(nowMonotonicMs: number): readonly RuntimeRef[];
  /**
   * Takes the Neuron processes that the datastore names, with tags that are better than those of procfs. They count until the datastore
   * has been silent for 2.5 of its intervals. When the datastore was not read on every device (`isComplete` is false), the processes that
   * it named before and those that `scan` finds count as well.
   */
  learn(runtimes: readonly RuntimeRef[], nowMonotonicMs: number, options?: { readonly isComplete: boolean }): void;
  /** How many scans ended, and what the last one could not look at. */
  readonly scans: ScanResult;
  [Symbol.dispose](): void;
}

export interface ScanResult {
  readonly count: number;
  /** Processes that the agent has no right to look at. */
  readonly denied: number;
  /** Processes that are not even listed. */
  readonly hidden?: Finding | undefined;
}

export function createProcessInspector(options: ProcessInspectorOptions): ProcessInspector {
  return new Inspector(options.host);
}

const MAX_REMEMBERED = 4096;
const ENDED_RETENTION_MS = 60_000;

const SCAN_INTERVAL_MS = 15_000;
/** A scan may use at most this share of one core over time, so on a host with many processes scans become rarer. */
const MAX_SCAN_SHARE = 0.01;
/** The first scan may delay the start by the first figure; a later scan delays other work by the second at a time. */
const FIRST_STEP_MS = 100;
const STEP_MS = 4;
const PAUSE_MS = 20;
/** The datastore counts as silent after this many of its intervals; until it was read twice its interval is not known. */
const LEARNED_INTERVALS = 2.5;
const LEARNED_FIRST_INTERVAL_MS = 60_000;
const LEARNED_SHORTEST_MS = 15_000;
/**
 * A process without a mapping, and one whose identity lacks something, is looked at again after this time: it may have opened the
 * device just before, and it may have got its control group or its program since.
 */
const RECHECK_MS = 60_000;

interface Remembered {
  readonly startTicks: number;
  identity: ProcessIdentity;
  readAtMs: number;
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
  #scans: ScanResult = { count: 0, denied: 0 };

  constructor(host: Host) {
    this.#host = host;
    this.#bootTimeMs = bootTimeMs(host);
  }

  get scans(): ScanResult {
    return this.#scans;
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
    if (this.#scan === undefined && nowMonotonicMs >= (this.#nextScanMs ?? nowMonotonicMs) && hasNeuronDevices(this.#host)) {
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

  /** Keeps the runtimes that procfs shows: one without a start time could never be seen to end. */
  #stillAlive(runtimes: readonly RuntimeRef[]): readonly RuntimeRef[] {
    return runtimes.filter((runtime) => runtime.startTimeMs !== undefined && this.#mayBeAlive(runtime));
  }

  /** Returns true for a runtime that procfs shows, and for one that procfs cannot show. */
  #mayBeAlive({ pid, startTimeMs: startedMs }: RuntimeRef): boolean {
    if (startedMs === undefined || this.#bootTimeMs === undefined) return true;
    const stat = readPidStat(this.#host, pid);
    return stat !== undefined && startTimeMs(this.#bootTimeMs, stat.startTicks) === startedMs;
  }

  /** Runs the scan for `budgetMs`; a timer runs the rest after a pause. */
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
    this.#scans = { count: this.#scans.count + 1, denied, hidden: hiddenProcesses(this.#host) };
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
    if (holder.isMapped === true) return true;
    const known = remembered.mapping;
    if (known === undefined || (known.isMapped !== true && nowMs - known.checkedAtMs >= RECHECK_MS)) {
      const mapping = mapsDevice(this.#host, holder.pid);
      remembered.mapping = { isMapped: mapping.is === 'seen' ? mapping.value : undefined, checkedAtMs: nowMs };
    }
    return remembered.mapping?.isMapped ?? (parent === undefined || !inheritsDescriptors(holder, parent));
  }

  /**
   * Reads the identity of a process, and again every minute while something is missing in it; undefined when the pid got another owner
   * meanwhile.
   */
  #remember(pid: number, stat: PidStat): Remembered | undefined {
    const nowMs = this.#host.clock.monotonicMs();
    const before = this.#remembered.get(pid);
    this.#remembered.delete(pid);
    const known = before?.startTicks === stat.startTicks ? before : undefined;
    if (known !== undefined && (lacksNothing(known.identity) || nowMs - known.readAtMs < RECHECK_MS)) {
      this.#remembered.set(pid, known);
      return known;
    }
    const identity = readIdentity(this.#host, { pid, stat, bootMs: this.#bootTimeMs, known: known?.identity });
    if (readPidStat(this.#host, pid)?.startTicks !== stat.startTicks) return undefined;
    const remembered: Remembered = known ?? { startTicks: stat.startTicks, identity, readAtMs: nowMs };
    remembered.identity = identity;
    remembered.readAtMs = nowMs;
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

/** Returns `runtimes` and those of `others` whose pid is not among them. */
function withOthers(runtimes: readonly RuntimeRef[], others: readonly RuntimeRef[]): readonly RuntimeRef[] {
  const pids = new Set(runtimes.map(({ pid }) => pid));
  return [...runtimes, ...others.filter(({ pid }) => !pids.has(pid))];
}
