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
  /** Records a batch; returns the groups it recorded. */
  readonly apply: (batch: ReadingBatch) => ReadonlySet<MetricGroup>;
  /** Sources that answered together were recorded, or a late one by itself. */
  readonly publish: (recorded: ReadonlySet<MetricGroup>, isLate: boolean) => void;
  readonly failed: (error: AgentError) => void;
}

/**
 * Asks native sources. A source that is slow delays nobody: its data follow by themselves, and it is not asked again meanwhile.
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
    const together = new Set<MetricGroup>();
    let isGathering = true;
    const reads = [...assign(due)].map(async ([source, groups]) => {
      if (this.#reading.has(source)) return;
      const recorded = await this.#readAndApply(source, groups);
      if (isGathering) for (const group of recorded) together.add(group);
      else if (recorded.size > 0) publish(recorded, true);
    });
    await withDeadline(clock, all(reads), GATHER_MS);
    isGathering = false;
    if (together.size > 0) publish(together, false);
  }

  async #readAndApply(source: PullSource, groups: ReadonlySet<MetricGroup>): Promise<ReadonlySet<MetricGroup>> {
    this.#reading.add(source);
    const batch = await this.#read(source, groups);
    this.#reading.delete(source);
    return batch === undefined ? new Set() : this.#options.apply(batch);
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
