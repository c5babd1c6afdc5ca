import { AgentError } from '../../src/errors.ts';
import type { DatastoreAccess, DatastorePlace, OpenDevice } from './access.ts';
import { BusyTimeCalibration } from './busy-time.ts';
import { DeviceSession, failureOf } from './device-session.ts';
import { summarize } from './latency.ts';
import { USED_BYTES } from './layout.ts';
import { TrackedDatastore } from './tracked-datastore.ts';
import type { DatastoreReading } from './tracked-datastore.ts';
import type { ExecutionWork, NdsGroup, ProcessWork, WorkFailure, WorkSample } from './work.ts';

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
}

interface Found {
  readonly tracked: Tracked;
  readonly reading: DatastoreReading;
}

/** Reads all datastores of a host, round by round. Lives in the worker; blocks where the driver blocks. */
export class DatastoreCollector {
  readonly #options: CollectorOptions;
  readonly #sessions = new Map<number, DeviceSession>();
  readonly #tracked = new Map<string, Tracked>();
  readonly #calibrations = new Map<string, BusyTimeCalibration>();
  readonly #scratch = new Uint8Array(USED_BYTES);
  #knownPids: ReadonlySet<number> = new Set();

  constructor(options: CollectorOptions) {
    this.#options = options;
  }

  /** One round. Never throws: what could not be read is in `failures`. */
  collect(request: CollectRequest): WorkSample {
    const failures: WorkFailure[] = [];
    const hasNewProcesses = request.knownPids.some((pid) => !this.#knownPids.has(pid));
    this.#knownPids = new Set(request.knownPids);
    const found: Found[] = [];
    const seen = new Set<string>();
    for (const [index, session] of this.#currentSessions(failures)) {
      const attended = session.attend(this.#options.monotonicMs(), hasNewProcesses, failures);
      if (attended === undefined) this.#forget((tracked) => tracked.device === index);
      else found.push(...this.#readDevice(index, attended.device, attended.pids, request, seen, failures));
    }
    this.#forget((_tracked, key) => !seen.has(key));
    const isComplete = [...this.#sessions.values()].every((session) => !session.isTroubled) && failures.length === 0;
    return { processes: byProcess(found), isComplete, failures };
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

  #readDevice(
    index: number,
    device: OpenDevice,
    pids: readonly number[],
    request: CollectRequest,
    seen: Set<string>,
    failures: WorkFailure[],
  ): readonly Found[] {
    return pids.flatMap((pid) => {
      const own: WorkFailure[] = [];
      try {
        const place = device.locate(pid);
        if (place === undefined) return [];
        const [key, tracked] = this.#track(index, device, pid, place, request.coresPerDevice);
        seen.add(key);
        const reading = tracked.datastore.read(new Set(request.groups), this.#options.monotonicMs(), own);
        // Still the same owner? Otherwise the counters are somebody else's, or nobody's, and what was wrong with them does not matter.
        if (!isSamePlace(device.locate(pid), place)) return [];
        failures.push(...own);
        return reading === undefined ? [] : [{ tracked, reading }];
      } catch (thrown) {
        if (!hasLeft(device, pid)) failures.push(failureOf(AgentError.from(thrown, 'internal', 'nds')));
        return [];
      }
    });
  }

  /** The datastore as it is tracked already, or from now on: a new place, or a new process with an old pid, begins anew. */
  #track(device: number, open: OpenDevice, pid: number, place: DatastorePlace, coreCount: number): readonly [string, Tracked] {
    const startTicks = this.#options.startTicksOf(pid);
    const key = `${device}/${pid}/${startTicks ?? ''}/${place.offset}`;
    const known = this.#tracked.get(key);
    if (known !== undefined) return [key, known];
    const mapped = open.map(pid, place);
    const datastore = new TrackedDatastore({
      device,
      pid,
      place,
      mapped,
      coreCount,
      scratch: this.#scratch,
      calibrationOf: (version) => this.#calibration(version),
    });
    const tracked = { device, pid, startTicks, datastore };
    this.#tracked.set(key, tracked);
    return [key, tracked];
  }

  #calibration(version: string | undefined): BusyTimeCalibration {
    const key = version ?? '';
    const known = this.#calibrations.get(key);
    if (known !== undefined) return known;
    if (this.#calibrations.size >= MAX_CALIBRATIONS) this.#calibrations.clear();
    const calibration = new BusyTimeCalibration();
    this.#calibrations.set(key, calibration);
    return calibration;
  }

  #forget(isGone: (tracked: Tracked, key: string) => boolean): void {
    for (const [key, tracked] of this.#tracked) {
      if (!isGone(tracked, key)) continue;
      this.#tracked.delete(key);
      tracked.datastore.unmap();
    }
  }
}

function isSamePlace(a: DatastorePlace | undefined, b: DatastorePlace): boolean {
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

function byProcess(found: readonly Found[]): readonly ProcessWork[] {
  const groups = Map.groupBy(found, ({ tracked }) => `${tracked.pid}/${tracked.startTicks ?? ''}`);
  return [...groups.values()].flatMap((parts) => {
    const [first] = parts;
    if (first === undefined) return [];
    const { pid, startTicks } = first.tracked;
    const known = parts.map(({ reading }) => reading.records).find(({ proof }) => proof !== 'unknown');
    const executions = executionsOf(parts);
    return [
      {
        pid,
        devices: parts.map(({ reading }) => reading.work),
        ...(startTicks !== undefined && { startTicks }),
        ...(known?.tag !== undefined && { tag: known.tag }),
        ...(known?.runtimeVersion !== undefined && { runtimeVersion: known.runtimeVersion }),
        ...(executions !== undefined && { executions }),
      },
    ];
  });
}

function executionsOf(parts: readonly Found[]): ExecutionWork | undefined {
  const executions = parts.flatMap(({ reading }) => reading.executions ?? []);
  if (executions.length === 0) return undefined;
  const latency = summarize(executions.map(({ latencies }) => latencies));
  return {
    periodSeconds: Math.max(...executions.map(({ periodSeconds }) => periodSeconds)),
    summary: sum(executions.map(({ summary }) => summary)),
    errors: sum(executions.map(({ errors }) => errors)),
    ...(latency !== undefined && { latency }),
  };
}

function sum(maps: readonly Readonly<Record<string, number>>[]): Readonly<Record<string, number>> {
  const total: Record<string, number> = {};
  for (const map of maps) for (const [name, value] of Object.entries(map)) total[name] = (total[name] ?? 0) + value;
  return total;
}
