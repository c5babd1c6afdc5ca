import { rejectOnAbort, withDeadline } from './deadline.ts';
import { AgentError } from './errors.ts';
import type { Clock } from './host.ts';
import type { MetricGroup } from './readings.ts';
import type { PullSource, ReadingBatch } from './source.ts';

/** How long a source may take before its answer is not waited for any more. */
const SOURCE_DEADLINE_MS = 5_000;
/** Sources that answer within this time share one report and one tick. */
const GATHER_MS = 250;

export interface PullCycleOptions {
  readonly clock: Clock;
  /** The life of the agent: an abort ends every wait. */
  readonly life: AbortSignal;
  /** Which source serves which of the due groups. */
  readonly assign: (due: ReadonlySet<MetricGroup>) => ReadonlyMap<PullSource, ReadonlySet<MetricGroup>>;
  /** Takes what the sources answered together, or what a late one answered by itself. */
  readonly publish: (batches: readonly ReadingBatch[], isLate: boolean) => void;
  readonly failed: (error: AgentError) => void;
}

/**
 * Asks native sources. Those that answer soon are recorded and exported together, so that all their points have one time. A source that is
 * slow delays no other for longer than that: its data follow by themselves, and it is not asked again meanwhile.
 */
export class PullCycle {
  readonly #options: PullCycleOptions;
  readonly #reading = new Set<PullSource>();

  constructor(options: PullCycleOptions) {
    this.#options = options;
  }

  /** Groups are due: every source that serves some of them is asked once. */
  async run(due: ReadonlySet<MetricGroup>): Promise<void> {
    const { clock, assign, publish } = this.#options;
    const together: ReadingBatch[] = [];
    let isGathering = true;
    const reads = [...assign(due)].map(async ([source, groups]) => {
      if (this.#reading.has(source)) return;
      const batch = await this.#ask(source, groups);
      if (batch === undefined) return;
      if (isGathering) together.push(batch);
      else publish([batch], true);
    });
    await withDeadline(clock, all(reads), GATHER_MS);
    isGathering = false;
    if (together.length > 0) publish(together, false);
  }

  async #ask(source: PullSource, groups: ReadonlySet<MetricGroup>): Promise<ReadingBatch | undefined> {
    this.#reading.add(source);
    try {
      return await this.#read(source, groups);
    } finally {
      this.#reading.delete(source);
    }
  }

  async #read(source: PullSource, groups: ReadonlySet<MetricGroup>): Promise<ReadingBatch | undefined> {
    const { clock, life, failed } = this.#options;
    const call = new AbortController();
    const giveUp = (): void => call.abort();
    using _timer = clock.setTimer(giveUp, SOURCE_DEADLINE_MS);
    life.addEventListener('abort', giveUp, { once: true });
    if (life.aborted) giveUp();
    try {
      return await Promise.race([source.read(groups, call.signal), rejectOnAbort(call.signal, source.id)]);
    } catch (thrown) {
      if (!life.aborted) failed(AgentError.from(thrown, 'internal', source.id));
      return undefined;
    } finally {
      life.removeEventListener('abort', giveUp);
    }
  }
}

async function all(work: readonly Promise<void>[]): Promise<void> {
  await Promise.all(work);
}
