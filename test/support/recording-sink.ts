import type { AgentError } from '../../src/errors.ts';
import type { ReadingBatch, StreamSink, StreamState } from '../../src/source.ts';

/** Keeps what a stream told, and wakes whoever waits for more of it. */
export class RecordingSink implements StreamSink {
  readonly batches: ReadingBatch[] = [];
  readonly states: StreamState[] = [];
  readonly losses: { readonly error: AgentError; readonly reason: 'malformed' | 'too_long' | 'partial' }[] = [];
  /** Everything in order of arrival: `batch`, a state's name, or a loss's reason. */
  readonly events: string[] = [];
  readonly #waiting = new Set<{ readonly holds: () => boolean; readonly resolve: () => void }>();
  readonly #take: (batch: ReadingBatch) => Promise<void>;

  constructor(take: (batch: ReadingBatch) => Promise<void> = () => Promise.resolve()) {
    this.#take = take;
  }

  async batch(batch: ReadingBatch): Promise<void> {
    this.batches.push(batch);
    this.#record('batch');
    await this.#take(batch);
  }

  state(state: StreamState): void {
    this.states.push(state);
    this.#record(state.state);
  }

  lost(error: AgentError, reason: 'malformed' | 'too_long' | 'partial'): void {
    this.losses.push({ error, reason });
    this.#record(reason);
  }

  /** Resolves as soon as the condition holds; the test's own time limit is the limit. */
  async until(holds: (sink: RecordingSink) => boolean): Promise<void> {
    if (holds(this)) return;
    await new Promise<void>((resolve) => {
      this.#waiting.add({ holds: () => holds(this), resolve });
    });
  }

  /** The raw lines of the batches. */
  get lines(): readonly string[] {
    return this.batches.map(({ line }) => Buffer.from(line?.bytes ?? []).toString('utf8'));
  }

  #record(event: string): void {
    this.events.push(event);
    for (const waiter of this.#waiting) {
      if (!waiter.holds()) continue;
      this.#waiting.delete(waiter);
      waiter.resolve();
    }
  }
}
