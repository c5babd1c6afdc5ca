import type { AgentError } from './errors.ts';
import type { Logger } from './log.ts';
import type { SelfInstruments } from './self-instruments.ts';

/** What waits for delivery to one destination. */
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

/** A destination that is away for days drops each period: the log says so when there are this many times as many as it said last. */
const DROPPED_FACTOR = 10;

/** Counts what becomes of every point on its way to one destination, and logs when trouble begins and ends. */
export class DeliveryTelemetry {
  readonly #options: DeliveryTelemetryOptions;
  #trouble: string | undefined;
  #isDiskTroubled = false;
  /** Points by reason since the start, and how many there were when the log last said so. */
  readonly #dropped = new Map<string, { readonly total: number; readonly said: number }>();

  constructor(options: DeliveryTelemetryOptions) {
    this.#options = options;
    this.#gauge('queuePoints', (state) => state.points);
    this.#gauge('queueSize', (state) => state.bytes);
    this.#gauge('queueCapacity', (state) => state.capacityBytes);
    this.#gauge('queueAge', (state) => state.oldestAgeMs / 1000);
    this.#gauge('queueDurable', (state) => (state.isDurable ? 1 : 0));
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
    if (this.#trouble === undefined) return;
    this.#trouble = undefined;
    this.#options.logger.info({}, 'delivery works again');
  }

  dropped(points: number, reason: string): void {
    this.#count('deliveryDropped', points, { 'neuron.drop.reason': reason });
    const { total, said } = this.#dropped.get(reason) ?? { total: 0, said: 0 };
    const now = total + points;
    const isNews = said === 0 || now >= said * DROPPED_FACTOR;
    this.#dropped.set(reason, { total: now, said: isNews ? now : said });
    if (isNews) this.#options.logger.warn({ points, reason, total: now }, 'points dropped');
  }

  attemptFailed(points: number, error: AgentError): void {
    this.#count('deliveryFailed', points, { 'error.type': error.code });
    if (this.#trouble === error.message) return;
    this.#trouble = error.message;
    this.#options.logger.warn({ err: error, points }, 'delivery failed, will be tried again');
  }

  queueDamaged(places: number): void {
    this.#count('queueDamaged', places);
    this.#options.logger.warn({ places }, 'damaged places in the files of the queue');
  }

  queueTroubled(error: AgentError): void {
    if (!this.#isDiskTroubled) this.#options.logger.warn({ err: error }, 'the queue goes on in memory');
    this.#isDiskTroubled = true;
  }

  queueDurable(): void {
    if (this.#isDiskTroubled) this.#options.logger.info({}, 'the queue is on disk again');
    this.#isDiskTroubled = false;
  }

  #count(key: Parameters<SelfInstruments['count']>[0], points: number, attributes: Readonly<Record<string, string>> = {}): void {
    this.#options.instruments.count(key, { 'neuron.exporter': this.#options.exporter, ...attributes }, points);
  }

  #gauge(key: Parameters<SelfInstruments['gauge']>[0], value: (state: DeliveryQueueState) => number): void {
    const { instruments, exporter, queueState } = this.#options;
    const attributes = { 'neuron.exporter': exporter };
    instruments.gauge(key, () => {
      const state = queueState();
      return state === undefined ? [] : [[value(state), attributes]];
    });
  }
}
