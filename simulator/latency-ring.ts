import type { LatencySamples } from './truth.ts';

const CAPACITY = 8192;
/** The runtime subtracts epoch seconds held in doubles, so its latencies are multiples of 2^-22 s. */
const QUANTA_PER_SECOND = 2 ** 22;

export class LatencyRing implements LatencySamples {
  readonly capacity = CAPACITY;
  readonly deviceSeconds = new Float64Array(CAPACITY);
  readonly totalSeconds = new Float64Array(CAPACITY);
  count = 0;

  add(deviceSeconds: number, totalSeconds: number): void {
    const at = this.count % CAPACITY;
    this.deviceSeconds[at] = deviceSeconds;
    this.totalSeconds[at] = totalSeconds;
    this.count += 1;
  }
}

export function quantized(seconds: number): number {
  return Math.round(seconds * QUANTA_PER_SECOND) / QUANTA_PER_SECOND;
}
