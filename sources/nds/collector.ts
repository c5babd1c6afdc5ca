import { AgentError } from '../../src/errors.ts';
import type { DatastoreAccess, DatastoreLocation, OpenDevice } from './access.ts';
import { UnitFromLatency } from '../busy-time.ts';
import { DeviceSession, failureOf } from './device-session.ts';
import { byProcess } from './work.ts';
import type { Found, NdsGroup, WorkFailure, WorkSample } from './work.ts';
import { TrackedDatastore } from './tracked-datastore.ts';
import { emptyView } from './layout.ts';

export interface CollectorOptions {
  readonly access: DatastoreAccess;
  readonly monotonicMs: () => number;
  /** Start of a process in ticks since boot; undefined where it cannot be seen. */
  readonly startTicksOf: (pid: number) => number | undefined;
}

export interface CollectRequest {
  readonly groups: readonly NdsGroup[];
  /** Physical cores of one device. */
  readonly coresPerDevice: number;
  /** Processes that are known otherwise to use a device. */
  readonly knownPids: readonly number[];
}

/** More versions than anyone runs at once. */
const MAX_CALIBRATIONS = 64;

interface Tracked {
  readonly device: number;
  readonly pid: number;
  readonly startTicks: number | undefined;
  readonly datastore: TrackedDatastore;
  seenInRound: number;
}

/** The state of one round. */
interface Round {
  readonly groups: ReadonlySet<NdsGroup>;
  readonly coreCount: number;
  /** Processes hold many devices: each is looked at once in a round. */
  readonly startTicks: Map<number, number | undefined>;
  readonly found: Found[];
  readonly failures: WorkFailure[];
}

/** Reads all datastores of a host, round by round. Lives in the worker; blocks where the driver blocks. */
export class DatastoreCollector {
  readonly #options: CollectorOptions;
  readonly #sessions = new Map<number, DeviceSession>();
  /** By device and pid. */
  readonly #tracked = new Map<string, Tracked>();
  readonly #calibrations = new Map<string, UnitFromLatency>();
  readonly #scratch = emptyView();
  #knownPids: ReadonlySet<number> = new Set();
  #round = 0;

  constructor(options: CollectorOptions) {
    this.#options = options;
  }

  /** One round. Never throws: what could not be read is in `failures`. */
  collect(request: CollectRequest): WorkSample {
    this.#round += 1;
    const failures: WorkFailure[] = [];
    const round = {
      groups: new Set(request.groups),
      coreCount: request.coresPerDevice,
      startTicks: new Map<number, number | undefined>(),
      found: [],
      failures,
    } satisfies Round;
    const hasNewProcesses = request.knownPids.some((pid) => !this.#knownPids.has(pid));
    this.#knownPids = new Set(request.knownPids);
    for (const [index, session] of this.#currentSessions(failures)) {
      const attended = session.attend(this.#options.monotonicMs(), hasNewProcesses, failures);
      if (attended === undefined) this.#forget((tracked) => tracked.device === index);
      else for (const pid of attended.pids) this.#readDatastore(index, attended.device, pid, round);
    }
    this.#dropReused(round);
    this.#forget((tracked) => tracked.seenInRound !== this.#round);
    const isComplete = failures.length === 0 && !this.#isTroubled();
    return { processes: byProcess(round.found), isComplete, failures };
  }

  /** Looks at the latency counters of everything that is mapped; returns the most executions any core completed since the last look. */
  poll(): number {
    let most = 0;
    for (const { datastore } of this.#tracked.values()) {
      try {
        most = Math.max(most, datastore.poll());
      } catch {
        // A copy that cannot be renewed: the next round says so.
      }
    }
    return most;
  }

  /** Unmaps everything, then closes everything. */
  [Symbol.dispose](): void {
    this.#forget(() => true);
    for (const session of this.#sessions.values()) session.close();
    this.#sessions.clear();
  }

  #currentSessions(failures: WorkFailure[]): ReadonlyMap<number, DeviceSession> {
    try {
      for (const index of this.#options.access.devices()) {
        if (!this.#sessions.has(index)) this.#sessions.set(index, new DeviceSession(this.#options.access, index));
      }
    } catch (thrown) {
      failures.push(failureOf(AgentError.from(thrown, 'internal', 'nds')));
    }
    return this.#sessions;
  }

  #isTroubled(): boolean {
    for (const session of this.#sessions.values()) if (session.isTroubled) return true;
    return false;
  }

  #readDatastore(index: number, device: OpenDevice, pid: number, round: Round): void {
    const own: WorkFailure[] = [];
    try {
      const location = device.locate(pid);
      if (location === undefined) return;
      const tracked = this.#track(index, device, pid, location, round);
      tracked.seenInRound = this.#round;
      const reading = tracked.datastore.read(round.groups, this.#options.monotonicMs(), own);
      // Still the same owner? Otherwise the counters are somebody else's, or nobody's, and what was wrong with them does not matter.
      if (!isSameLocation(device.locate(pid), location)) return;
      round.failures.push(...own);
      if (reading !== undefined) round.found.push({ pid, startTicks: tracked.startTicks, reading });
    } catch (thrown) {
      if (!hasLeft(device, pid)) round.failures.push(failureOf(AgentError.from(thrown, 'internal', 'nds')));
    }
  }

  /** The datastore as it is tracked already, or from now on: a new location, or a new process with an old pid, begins anew. */
  #track(device: number, open: OpenDevice, pid: number, location: DatastoreLocation, round: Round): Tracked {
    const startTicks = this.#startTicksOf(pid, round);
    const key = `${device}/${pid}`;
    const known = this.#tracked.get(key);
    if (known?.startTicks === startTicks && known?.datastore.location.offset === location.offset) return known;
    const mapped = open.map(pid, location);
    const datastore = new TrackedDatastore({
      device,
      pid,
      location,
      mapped,
      coreCount: round.coreCount,
      scratch: this.#scratch,
      calibrationOf: (version) => this.#calibration(version),
    });
    known?.datastore.unmap();
    const tracked = { device, pid, startTicks, datastore, seenInRound: this.#round };
    this.#tracked.set(key, tracked);
    return tracked;
  }

  /** A device that is held up makes a round long: a pid that has another owner now leaves open whose readings these are. */
  #dropReused({ startTicks, found }: Round): void {
    for (const [pid, ticks] of startTicks) {
      const now = this.#options.startTicksOf(pid);
      if (now === undefined || now === ticks) continue;
      for (let index = found.length - 1; index >= 0; index -= 1) if (found[index]?.pid === pid) found.splice(index, 1);
    }
  }

  #startTicksOf(pid: number, { startTicks }: Round): number | undefined {
    const known = startTicks.get(pid);
    if (known !== undefined || startTicks.has(pid)) return known;
    const ticks = this.#options.startTicksOf(pid);
    startTicks.set(pid, ticks);
    return ticks;
  }

  #calibration(version: string | undefined): UnitFromLatency {
    const key = version ?? '';
    const known = this.#calibrations.get(key);
    if (known !== undefined) return known;
    if (this.#calibrations.size >= MAX_CALIBRATIONS) this.#calibrations.clear();
    const calibration = new UnitFromLatency();
    this.#calibrations.set(key, calibration);
    return calibration;
  }

  #forget(isGone: (tracked: Tracked) => boolean): void {
    for (const [key, tracked] of this.#tracked) {
      if (!isGone(tracked)) continue;
      this.#tracked.delete(key);
      tracked.datastore.unmap();
    }
  }
}

function isSameLocation(a: DatastoreLocation | undefined, b: DatastoreLocation): boolean {
  return a !== undefined && a.offset === b.offset && a.bytes === b.bytes;
}

/** A process that ended while it was looked at is missing, and nothing has failed. */
function hasLeft(device: OpenDevice, pid: number): boolean {
  try {
    return device.locate(pid) === undefined;
  } catch {
    return false;
  }
}
