import type { ProcessTruth, Truth } from '../../../simulator/truth.ts';
import { HostLedger } from './expected-host.ts';
import { ProcessLedger, ownerOf } from './expected-process.ts';
import { ownerKey } from './series.ts';

/** sources/nds/README.md, places: a device is closed after so long alone, and a new process on it is found by a look at all processes. */
const ALONE_MS = 10_000;
const LOOK_MS = 15_000;

/** What the outputs have to say, no more and no less, when an agent's samples see what is true. */
export class TruthLedger {
  readonly host: HostLedger;
  readonly #truth: Truth;
  readonly #periodMs: number;
  /** Device → time of the last sample at which a process used it. */
  readonly #usedAtMs = new Map<number, number>();
  /** Every process of the last sample; those that came to a device that was alone may be late. */
  #present = new Map<ProcessTruth, { readonly mayBeLate: boolean }>();
  #processes = new Map<ProcessTruth, ProcessLedger>();
  #sampledAtMs: number | undefined;

  constructor(truth: Truth, periodMs: number) {
    this.#truth = truth;
    this.#periodMs = periodMs;
    this.host = new HostLedger(truth);
  }

  /** Processes of the last sample that were seen. */
  get processes(): readonly ProcessLedger[] {
    return [...this.#processes.values()];
  }

  /** To be called once for each sample, before the host goes on. `missing` are processes that ought to have been seen. */
  sample(seen: ReadonlySet<string>) {
    const [before, isFirst] = [this.#processes, this.#sampledAtMs === undefined];
    this.#notePresent();
    const visible = this.#truth.processes.filter(
      (process) => seen.has(ownerKey(ownerOf(process, this.#truth))) || !this.#mayBeUnseen(process),
    );
    this.#processes = new Map(visible.map((process) => [process, before.get(process) ?? new ProcessLedger(process, this.#truth)]));
    return {
      owners: visible.map((process) => ownerKey(ownerOf(process, this.#truth))).toSorted(),
      host: this.host.sample(this.#periodMs),
      processes: this.processes.flatMap((ledger) => ledger.sample(this.#periodMs, isFirst || ledger.samples > 0)),
    };
  }

  #notePresent(): void {
    const { processes, elapsedMs } = this.#truth;
    const before = this.#present;
    const sampledAtMs = this.#sampledAtMs ?? elapsedMs;
    const wasAlone = (device: number): boolean => sampledAtMs - (this.#usedAtMs.get(device) ?? elapsedMs) >= ALONE_MS;
    this.#present = new Map(processes.map((process) => [process, before.get(process) ?? { mayBeLate: process.devices.every(wasAlone) }]));
    for (const { devices } of processes) for (const device of devices) this.#usedAtMs.set(device, elapsedMs);
    this.#sampledAtMs = elapsedMs;
  }

  #mayBeUnseen(process: ProcessTruth): boolean {
    const isYoung = this.#truth.elapsedMs - process.startedAtMs <= LOOK_MS + this.#periodMs;
    return isYoung && this.#present.get(process)?.mayBeLate === true && !this.#processes.has(process);
  }
}
