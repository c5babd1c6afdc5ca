import type { AgentError } from './errors.ts';
import type { Logger } from './log.ts';
import type { SelfInstruments } from './self-instruments.ts';

/** The state of one destination's queue. */
export interface DeliveryQueueState {
  readonly points: number;
  readonly bytes: number;
  readonly capacityBytes: number;
  readonly oldestAgeMs: number;
  readonly isDurable: boolean;
}

export interface DeliveryTelemetryOptions {
  /** The exporter's id. */
  readonly exporter: string;
  readonly instruments: SelfInstruments;
  readonly logger: Logger;
  /** Asked at each collection; undefined before the queue exists. */
  readonly queueState: () => DeliveryQueueState | undefined;
}

/** A repeated event is logged again when its count is this many times the count at its last log line. */
const REPETITION_FACTOR = 10;
const MAX_KINDS = 50;
/** So many requests delivered one after the other end a run of failures: the next failure is logged again. */
const HEALTHY_AFTER = 100;

/** Counts what becomes of every point on its way to one destination, and logs when trouble begins and ends. */
export class DeliveryTelemetry {
  readonly #options: DeliveryTelemetryOptions;
  readonly #gauges: Disposable[] = [];
  /** Failures by kind since delivery was healthy, and how many there were when the log last named the kind. */
  readonly #failures = new Map<string, { readonly total: number; readonly logged: number }>();
  #isFailureLogged = false;
  #deliveredInARow = 0;
  #isDiskFailing = false;
  /** Points by reason, and damaged files, since the start, and how many there were when the log last named the reason. */
  readonly #dropped = new Map<string, { readonly total: number; readonly logged: number }>();

  constructor(options: DeliveryTelemetryOptions) {
    this.#options = options;
    this.#gauge('queuePoints', (state) => state.points);
    this.#gauge('queueSize', (state) => state.bytes);
    this.#gauge('queueCapacity', (state) => state.capacityBytes);
    this.#gauge('queueAge', (state) => state.oldestAgeMs / 1000);
    this.#gauge('queueDurable', (state) => (state.isDurable ? 1 : 0));
  }

  /** Ends the gauges of a destination that is no longer in use; what was counted stays. */
  [Symbol.dispose](): void {
    for (const gauge of this.#gauges.splice(0)) gauge[Symbol.dispose]();
  }

  produced(points: number): void {
    this.#count('deliveryProduced', points);
  }

  recovered(points: number): void {
    this.#count('deliveryRecovered', points);
    if (points > 0) this.#options.logger.info({ points }, 'points of an earlier run found in the queue');
  }

  sent(points: number): void {
    this.#count('deliverySent', points);
    if (this.#failures.size === 0) return;
    this.#deliveredInARow += 1;
    if (this.#deliveredInARow >= HEALTHY_AFTER) this.#failures.clear();
    if (this.#isFailureLogged) this.#options.logger.info({}, 'delivery works again');
    this.#isFailureLogged = false;
  }

  dropped(points: number, reason: string): void {
    this.#count('deliveryDropped', points, { 'neuron.drop.reason': reason });
    const { total, isNews } = addTo(this.#dropped, reason, points);
    if (isNews) this.#options.logger.warn({ points, reason, total }, 'points dropped');
  }

  attemptFailed(points: number, error: AgentError): void {
    this.#count('deliveryFailed', points, { 'error.type': error.code });
    this.#deliveredInARow = 0;
    // A receiver that refuses most requests fails and works again each second: that is not worth two lines each time.
    if (!addTo(this.#failures, kindOf(error.message), 1).isNews) return;
    this.#isFailureLogged = true;
    this.#options.logger.warn({ err: error, points }, 'delivery failed, will be tried again');
  }

  queueDamaged(files: number): void {
    this.#count('queueDamaged', files);
    const { total, isNews } = addTo(this.#dropped, 'damaged file', files);
    if (isNews) this.#options.logger.warn({ files, total }, 'damaged files of the queue were set aside');
  }

  queueFailed(error: AgentError): void {
    if (!this.#isDiskFailing) this.#options.logger.warn({ err: error }, 'the queue goes on in memory');
    this.#isDiskFailing = true;
  }

  queueDurable(): void {
    if (this.#isDiskFailing) this.#options.logger.info({}, 'the queue is on disk again');
    this.#isDiskFailing = false;
  }

  #count(key: Parameters<SelfInstruments['count']>[0], points: number, attributes: Readonly<Record<string, string>> = {}): void {
    this.#options.instruments.count(key, { 'neuron.exporter': this.#options.exporter, ...attributes }, points);
  }

  #gauge(key: Parameters<SelfInstruments['gauge']>[0], value: (state: DeliveryQueueState) => number): void {
    const { instruments, exporter, queueState } = this.#options;
    const attributes = { 'neuron.exporter': exporter };
    const observer = instruments.gauge(key, () => {
      const state = queueState();
      return state === undefined ? [] : [[value(state), attributes]];
    });
    this.#gauges.push(observer);
  }
}

type Totals = Map<string, { readonly total: number; readonly logged: number }>;

/** Adds to a total; `isNews` when it is the first one, or has grown by the factor since it was logged. */
function addTo(totals: Totals, key: string, increment: number): { readonly total: number; readonly isNews: boolean } {
  const before = totals.get(key) ?? { total: 0, logged: 0 };
  const total = before.total + increment;
  const isNews = before.logged === 0 || total >= before.logged * REPETITION_FACTOR;
  // Kinds of failures are few; a receiver that words each one anew starts over.
  if (totals.size > MAX_KINDS) totals.clear();
  totals.set(key, { total, logged: isNews ? total : before.logged });
  return { total, isNews };
}

/** A message without what differs from time to time, such as the id of a request. */
function kindOf(message: string): string {
  return message.replaceAll(/\b(?=[\w-]*\d)[\w-]{6,}\b/g, '#');
}
