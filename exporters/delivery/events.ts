import type { DeliveryQueueState, DeliveryTelemetry } from '../../src/delivery-telemetry.ts';

/** Why points will never arrive; the closed set of the loss counter. */
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
  /** A queue file was damaged, or could not be read. */
  'corrupt',
  /** Somebody removed a queue file. */
  'removed',
  /** The agent ended with points that were in memory only. */
  'shutdown',
  /** A bug: the batch could not be encoded. */
  'internal',
] as const;
export type DropReason = (typeof DROP_REASONS)[number];

/** The requests that wait for delivery, in numbers. */
export interface QueueState extends DeliveryQueueState {
  readonly requests: number;
}

/**
 * Events of points on their way to one destination, one function for each. Points are only ever produced or
 * recovered, then queued, and then either sent or dropped: produced + recovered = queued + sent + dropped.
 */
export type DeliveryEvents = Pick<
  DeliveryTelemetry,
  'produced' | 'recovered' | 'sent' | 'attemptFailed' | 'queueDamaged' | 'queueFailed' | 'queueDurable'
> & { dropped(points: number, reason: DropReason): void };

export const silentEvents: DeliveryEvents = {
  produced: () => {},
  recovered: () => {},
  sent: () => {},
  dropped: () => {},
  attemptFailed: () => {},
  queueDamaged: () => {},
  queueFailed: () => {},
  queueDurable: () => {},
};
