/** Executions a millisecond apart are still told apart; most are further apart, and every look costs. */
const SHORTEST_MS = 1;
const LONGEST_MS = 16;
/** After so many looks without a miss the next one may come later. */
const CALM_LOOKS = 250;

/** How often latencies are looked at: as seldom as no execution is missed. */
export class PollPace {
  #intervalMs = LONGEST_MS;
  #calmLooks = 0;

  get intervalMs(): number {
    return this.#intervalMs;
  }

  /** `most` executions completed on one core since the last look; all but one were missed. */
  looked(most: number): void {
    if (most > 1) {
      this.#intervalMs = Math.max(SHORTEST_MS, this.#intervalMs / 2);
      this.#calmLooks = 0;
      return;
    }
    this.#calmLooks += 1;
    if (this.#calmLooks < CALM_LOOKS) return;
    this.#intervalMs = Math.min(LONGEST_MS, this.#intervalMs * 2);
    this.#calmLooks = 0;
  }
}
