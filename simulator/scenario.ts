import type { Random } from './random.ts';

/** What can happen to a virtual host besides its ordinary day. Targets are chosen by the host. */
export type Incident =
  | { readonly kind: 'memory_corrected'; readonly events: number }
  | { readonly kind: 'sram_corrected'; readonly events: number }
  | { readonly kind: 'straggler'; readonly slowness: number; readonly durationMs: number }
  | { readonly kind: 'uncorrectable'; readonly recoveryMs: number }
  | { readonly kind: 'crash'; readonly restartMs: number }
  | { readonly kind: 'device_reset'; readonly durationMs: number; readonly restartMs: number }
  | { readonly kind: 'numerical_error' }
  | { readonly kind: 'bad_input' }
  | { readonly kind: 'timeout' };

const CYCLE_MS = 300_000;

/** The incidents of each five minutes, with seconds at which they begin; each begins up to four seconds earlier or later. */
const SCRIPT: readonly (readonly [atSeconds: number, incident: (random: Random) => Incident])[] = [
  [22, () => ({ kind: 'bad_input' })],
  [38, (random) => ({ kind: 'memory_corrected', events: random.integer(2, 9) })],
  [55, () => ({ kind: 'numerical_error' })],
  [72, (random) => ({ kind: 'straggler', slowness: random.between(1.3, 1.45), durationMs: 40_000 })],
  [125, () => ({ kind: 'timeout' })],
  [140, () => ({ kind: 'bad_input' })],
  [150, (random) => ({ kind: 'memory_corrected', events: random.integer(15, 60) })],
  [164, () => ({ kind: 'uncorrectable', recoveryMs: 32_000 })],
  [170, () => ({ kind: 'crash', restartMs: 9_000 })],
  [215, () => ({ kind: 'numerical_error' })],
  [236, (random) => ({ kind: 'sram_corrected', events: random.integer(1, 3) })],
  [252, () => ({ kind: 'device_reset', durationMs: 4_000, restartMs: 8_000 })],
  [285, () => ({ kind: 'bad_input' })],
];

/** Yields incidents in order of time, for ever. */
export class Scenario {
  readonly #random: Random;
  readonly #pending: { readonly atMs: number; readonly incident: Incident }[] = [];
  #nextCycleMs = 0;

  constructor(random: Random) {
    this.#random = random;
  }

  /** Incidents that begin up to `nowMs` and were not given out before. */
  due(nowMs: number): readonly Incident[] {
    while (nowMs >= this.#nextCycleMs) this.#schedule();
    const due: Incident[] = [];
    for (let first = this.#pending[0]; first !== undefined && first.atMs <= nowMs; first = this.#pending[0]) {
      due.push(first.incident);
      this.#pending.shift();
    }
    return due;
  }

  #schedule(): void {
    for (const [atSeconds, incident] of SCRIPT) {
      this.#pending.push({
        atMs: this.#nextCycleMs + atSeconds * 1000 + this.#random.between(-4_000, 4_000),
        incident: incident(this.#random),
      });
    }
    this.#pending.sort((a, b) => a.atMs - b.atMs);
    this.#nextCycleMs += CYCLE_MS;
  }
}
