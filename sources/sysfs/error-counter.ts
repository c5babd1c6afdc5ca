/**
 * What an error register says while the device is in reset: 0xdeadbeef, whole or one of its halves. Later drivers turn it into 0.
 */
const IN_RESET: ReadonlySet<number> = new Set([0xdeadbeef, 0xdead, 0xbeef]);

/** A zero after a positive count is believed when it has lasted this long; a reset of the device takes seconds. */
export const DIP_MS = 30_000;

/**
 * One ECC counter as the device's firmware keeps it. While the device is in reset it reads as nothing and comes back afterwards:
 * such a dip is no value, or the errors before it would be counted twice. A real new beginning is a lower value that stays.
 */
export class ErrorCounter {
  #highest = 0;
  #zeroSinceMs: number | undefined;

  /** The count to report, or undefined while it cannot be told. */
  next(value: number, monotonicMs: number): number | undefined {
    if (IN_RESET.has(value)) return undefined;
    if (value === 0 && this.#highest > 0) {
      this.#zeroSinceMs ??= monotonicMs;
      if (monotonicMs - this.#zeroSinceMs < DIP_MS) return undefined;
    }
    this.#zeroSinceMs = undefined;
    this.#highest = value;
    return value;
  }
}
