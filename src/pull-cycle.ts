import { rejectOnAbort, withDeadline } from './deadline.ts';
import { AgentError } from './errors.ts';
import type { Clock } from './host.ts';
import { isFact, runtimeKey } from './readings.ts';
import type { AnyGroupReading, MetricGroup } from './readings.ts';
import type { PullSource, ReadingBatch } from './source.ts';

/** How long a source may take before its answer is not waited for any more. */
const SOURCE_DEADLINE_MS = 5_000;
/** Sources that answer within this time share one report and one tick. */
const GATHER_MS = 250;
/**
 * The first cycle waits longer for its sources, so that its resources and its report have the facts of the host: the metadata service has a
 * budget of one second. Series that gain `host.id` later are others where it is a label.
 */
const FIRST_GATHER_MS = 1_200;

export interface PullCycleOptions {
  readonly clock: Clock;
  /** The life of the agent: an abort ends every wait. */
  readonly life: AbortSignal;
  /** Returns for each source the due groups that it serves. */
  readonly assign: (due: ReadonlySet<MetricGroup>) => ReadonlyMap<PullSource, ReadonlySet<MetricGroup>>;
  /** Takes what the sources answered together, or what a late one answered by itself. */
  readonly publish: (batches: readonly ReadingBatch[], isLate: boolean) => void;
  readonly failed: (error: AgentError) => void;
}

/** Asks one source and hands on each batch that came. */
type Ask = (source: PullSource, groups: ReadonlySet<MetricGroup>, take: (batch: ReadingBatch | undefined) => void) => Promise<void>;

/**
 * Asks native sources. Those that answer soon are recorded and exported together, so that all their points have one time. A source that is
 * slow delays no other for longer than that: its data follow by themselves, and it is not asked again meanwhile.
 */
export class PullCycle {
  readonly #options: PullCycleOptions;
  readonly #asked = new Set<PullSource>();
  #isFirst = true;

  constructor(options: PullCycleOptions) {
    this.#options = options;
  }

  /** Groups are due: every source that serves some of them is asked once. */
  async run(due: ReadonlySet<MetricGroup>): Promise<void> {
    const timeMs = this.#isFirst ? FIRST_GATHER_MS : GATHER_MS;
    this.#isFirst = false;
    await this.#gather(due, [timeMs], async (source, groups, take) => take(await this.#read(source, groups)));
  }

  /**
   * The first cycle of an agent whose reports are read: every source is asked twice, `apartMs` apart, because tallies and averages need two
   * readings. neuron-monitor does the same: the first record that was captured covers 62 ms.
   */
  async runTwice(due: ReadonlySet<MetricGroup>, { apartMs }: { readonly apartMs: number }): Promise<void> {
    this.#isFirst = false;
    await this.#gather(due, [FIRST_GATHER_MS, apartMs + GATHER_MS], async (source, groups, take) => {
      take(await this.#read(source, groups));
      const measured = new Set([...groups].filter((group) => !isFact(group)));
      if (measured.size === 0) return;
      await this.#pause(apartMs);
      if (!this.#options.life.aborted) take(await this.#read(source, measured));
    });
  }

  /**
   * Publishes together what comes within these times, one after the other, and the rest as it comes. On a busy machine the first time is
   * over before its timer can say so; the readings that are under way then still share a report.
   */
  async #gather(due: ReadonlySet<MetricGroup>, timesMs: readonly number[], ask: Ask): Promise<void> {
    const { clock, assign, publish } = this.#options;
    const together = new Map<PullSource, ReadingBatch>();
    let isGathering = true;
    const asked = [...assign(due)].map(async ([source, groups]) => {
      if (this.#asked.has(source)) return;
      this.#asked.add(source);
      await ask(source, groups, (batch) => {
        if (batch === undefined) return;
        if (isGathering) together.set(source, withSecond(together.get(source), batch));
        else publish([batch], true);
      });
      this.#asked.delete(source);
    });
    for (const timeMs of timesMs) if (await withDeadline(clock, all(asked), timeMs)) break;
    isGathering = false;
    if (together.size > 0) publish([...together.values()], false);
  }

  /** Ends early with the life of the agent. */
  async #pause(durationMs: number): Promise<void> {
    const { clock, life } = this.#options;
    const ended = Promise.withResolvers<void>();
    const end = (): void => ended.resolve();
    using _timer = clock.setTimer(end, durationMs);
    life.addEventListener('abort', end, { once: true });
    if (life.aborted) end();
    await ended.promise;
    life.removeEventListener('abort', end);
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

/**
 * The second batch of a source, and of the first one what was not read again: the first reading of a group is but the baseline. A process
 * that ended in between is in neither.
 */
function withSecond(first: ReadingBatch | undefined, second: ReadingBatch): ReadingBatch {
  if (first === undefined) return second;
  const kept = first.readings.filter(({ runtime }) => runtime === undefined || second.runtimes === undefined);
  const readings = new Map([...kept, ...second.readings].map((reading) => [keyOf(reading), reading]));
  const runtimes = second.runtimes ?? first.runtimes;
  return {
    ...second,
    readings: [...readings.values()],
    failures: [...first.failures, ...second.failures],
    ...(runtimes !== undefined && { runtimes }),
  };
}

function keyOf({ group, runtime }: AnyGroupReading): string {
  return `${group}/${runtime === undefined ? '' : runtimeKey(runtime)}`;
}

async function all(work: readonly Promise<void>[]): Promise<void> {
  await Promise.all(work);
}
