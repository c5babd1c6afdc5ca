import type { Logger } from '../../src/log.ts';

export interface BatchSize {
  /** Data points in one request at most. */
  readonly max_points: number;
  /** Uncompressed bytes of one request at most. */
  readonly max_bytes: number;
}

interface RequestSize {
  readonly points: number;
  readonly rawBytes: number;
}

/** Requests never become smaller than this because of a refusal. */
const FLOOR: BatchSize = { max_points: 100, max_bytes: 16 * 1024 };

/** The size of requests to one destination: as configured, and less once the receiver has refused requests as too large. */
export class BatchLimit {
  readonly #logger: Logger;
  #current: BatchSize;

  constructor(configured: BatchSize, logger: Logger) {
    this.#current = configured;
    this.#logger = logger;
  }

  get current(): BatchSize {
    return this.#current;
  }

  /**
   * A request of this size was too large: from now on requests have half of it at most. Nothing makes them larger again until a restart.
   * Returns false when they are as small as they get.
   */
  refused(size: RequestSize): boolean {
    const { max_points, max_bytes } = this.#current;
    const halved = {
      max_points: Math.min(max_points, Math.max(FLOOR.max_points, Math.ceil(size.points / 2))),
      max_bytes: Math.min(max_bytes, Math.max(FLOOR.max_bytes, Math.ceil(size.rawBytes / 2))),
    };
    if (halved.max_points === max_points && halved.max_bytes === max_bytes) return false;
    this.#current = halved;
    this.#logger.warn(
      { batch: halved },
      'the receiver takes no request of the present size: requests become smaller; set batch to what the receiver takes',
    );
    return true;
  }

  /** Returns false for a request that is so small that dividing it is no remedy. */
  isDivisible({ points, rawBytes }: RequestSize): boolean {
    return points > FLOOR.max_points || rawBytes > FLOOR.max_bytes;
  }
}
