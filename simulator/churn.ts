import { logicalCoresPerDevice } from './instances.ts';
import type { InstanceSpec, JobSpec } from './instances.ts';
import type { Random } from './random.ts';

/** Short-lived processes, one after another on every logical core of some devices. */
export interface ChurnOptions {
  /** Devices they have for themselves: jobs of the host that use one of these are left out. */
  readonly devices: readonly number[];
  /** How long a process lives; 100 ms at least. */
  readonly lifetimeMs: { readonly shortest: number; readonly longest: number };
  /** Pids they share, at least one for each logical core. With few more than that, a pid has a new owner right after its last one. */
  readonly pids: number;
}

const FIRST_PID = 2_000;
/** Where the pids of ordinary jobs begin. */
const PID_LIMIT = 4_000;

/** The jobs of a host: those of its instance type that leave the devices alone, and one of short-lived processes. */
export function jobsWithChurn(spec: InstanceSpec, { devices, lifetimeMs }: ChurnOptions): readonly JobSpec[] {
  const cores = Array.from({ length: logicalCoresPerDevice(spec) }, (_, core) => core);
  const processes = devices.flatMap((device) => cores.map((core) => ({ devices: [device], logicalCores: [core] })));
  const staying = spec.jobs.map((job) => ({
    ...job,
    processes: job.processes.filter(({ devices: used }) => !used.some((device) => devices.includes(device))),
  }));
  const tasks: JobSpec = { kind: 'task', name: 'task', processes, containerized: true, lifetimeMs };
  return [...staying.filter((job) => job.processes.length > 0), tasks];
}

/** Pids from a small range; a pid that was given back may be the next one taken. */
export class RecycledPids {
  readonly #free: number[];
  readonly #random: Random;

  constructor(count: number, random: Random) {
    if (count > PID_LIMIT - FIRST_PID) throw new RangeError(`there are ${PID_LIMIT - FIRST_PID} pids for short-lived processes`);
    this.#free = Array.from({ length: count }, (_, i) => FIRST_PID + i);
    this.#random = random;
  }

  take(): number {
    const [pid] = this.#free.splice(this.#random.integer(0, this.#free.length - 1), 1);
    if (pid === undefined) throw new RangeError('there are fewer pids than slots for short-lived processes');
    return pid;
  }

  giveBack(pid: number): void {
    this.#free.push(pid);
  }
}
