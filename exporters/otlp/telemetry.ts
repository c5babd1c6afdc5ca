import type { AgentError } from '../../src/errors.ts';

/** Why points will never arrive; the closed set of the exporter's loss counter. */
export const DROP_REASONS = [
  /** The queue's bytes were used up; the oldest went. */
  'queue_full',
  /** Older than the queue keeps requests. */
  'expired',
  /** The receiver refused the request for good. */
  'rejected',
  /** The receiver took the request and rejected some of its points. */
  'partially_rejected',
  /** One point alone is larger than a request may be. */
  'oversized',
  /** A queue file was damaged. */
  'corrupt',
  /** The agent ended with points that were in memory only. */
  'shutdown',
  /** A bug: the batch could not be encoded. */
  'internal',
] as const;
export type DropReason = (typeof DROP_REASONS)[number];

/** What waits for delivery. */
export interface OtlpQueueState {
  readonly points: number;
  readonly requests: number;
  /** On disk and in memory. */
  readonly bytes: number;
  readonly capacityBytes: number;
  /** Age of the oldest request; 0 when nothing waits. */
  readonly oldestAgeMs: number;
  /** False while requests are kept in memory although a directory is configured, and always without one. */
  readonly isDurable: boolean;
}

/**
 * What happens to points on their way to one destination, one function for each event. Points are only ever produced or
 * recovered, then queued, and then either sent or dropped: produced + recovered = queued + sent + dropped.
 */
export interface OtlpTelemetry {
  /** Taken over from a reader. */
  produced(points: number): void;
  /** Found in the queue's files when they were opened. */
  recovered(points: number): void;
  sent(points: number): void;
  dropped(points: number, reason: DropReason): void;
  /** An attempt failed; its points stay queued. */
  attemptFailed(points: number, error: AgentError): void;
  /** Damaged places in queue files; how many points they held can be unknown. */
  queueDamaged(places: number): void;
  /** The queue's folder failed: requests may be in memory only. Told for each failure. */
  queueTroubled(error: AgentError): void;
  /** Everything is on disk, for the first time or again after trouble. */
  queueDurable(): void;
}

export const silentTelemetry: OtlpTelemetry = {
  produced: () => {},
  recovered: () => {},
  sent: () => {},
  dropped: () => {},
  attemptFailed: () => {},
  queueDamaged: () => {},
  queueTroubled: () => {},
  queueDurable: () => {},
};
