import { AgentError } from '../../src/errors.ts';
import { ATTACH_SLOTS } from './access.ts';
import type { DatastoreAccess, OpenDevice } from './access.ts';
import type { WorkFailure } from './work.ts';

/** An open device that nobody else uses is closed: it would keep memory of ended processes from being freed. */
const IDLE_MS = 10_000;
/** Opening prints to the kernel's log and takes a slot: a device that is not used is looked at this often. */
const PROBE_MS = 60_000;
/** After a failure, or when slots were short. */
const RETRY_MS = 60_000;

/**
 * One device, open while others use it. The driver has sixteen slots for processes on each device: the last one is never
 * taken from an application for long.
 */
export class DeviceSession {
  readonly #access: DatastoreAccess;
  readonly #index: number;
  #device: OpenDevice | undefined;
  #usedAtMs = 0;
  #nextTryMs = Number.NEGATIVE_INFINITY;
  #isTroubled = false;

  constructor(access: DatastoreAccess, index: number) {
    this.#access = access;
    this.#index = index;
  }

  /** The last look did not succeed, so processes may be missing. */
  get isTroubled(): boolean {
    return this.#isTroubled;
  }

  /** Processes on the device, with the means to read them; undefined while it is closed. `newProcesses` ends a pause of an idle device. */
  attend(
    nowMs: number,
    newProcesses: boolean,
    failures: WorkFailure[],
  ): { readonly device: OpenDevice; readonly pids: readonly number[] } | undefined {
    try {
      return this.#attend(nowMs, newProcesses, failures);
    } catch (thrown) {
      this.#fail(nowMs, failures, AgentError.from(thrown, 'internal', 'nds'));
      return undefined;
    }
  }

  /** Safe to repeat. The kernel keeps the device until its last mapping is gone as well. */
  close(): void {
    const device = this.#device;
    this.#device = undefined;
    device?.close();
  }

  #attend(nowMs: number, newProcesses: boolean, failures: WorkFailure[]) {
    if (this.#device === undefined) {
      if (nowMs < this.#nextTryMs && (this.#isTroubled || !newProcesses)) return undefined;
      this.#device = this.#access.open(this.#index);
      this.#usedAtMs = nowMs;
    }
    const pids = this.#device.attached();
    this.#isTroubled = false;
    if (pids.length >= ATTACH_SLOTS) {
      const message = `neuron${this.#index}: all ${ATTACH_SLOTS} slots for processes are taken, stepping back to leave one`;
      this.#fail(nowMs, failures, new AgentError('source_denied', 'nds', message));
      return undefined;
    }
    // The reader itself has one slot.
    if (pids.length > 1) this.#usedAtMs = nowMs;
    else if (nowMs - this.#usedAtMs >= IDLE_MS) {
      this.#nextTryMs = nowMs + PROBE_MS;
      this.close();
      return undefined;
    }
    return { device: this.#device, pids };
  }

  #fail(nowMs: number, failures: WorkFailure[], error: AgentError): void {
    this.#isTroubled = true;
    this.#nextTryMs = nowMs + RETRY_MS;
    failures.push(failureOf(error));
    this.close();
  }
}

/** An error as data that crosses threads. */
export function failureOf(error: AgentError): WorkFailure {
  return { code: error.code, message: error.message };
}
