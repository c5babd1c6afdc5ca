import { readFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import type { ResourceMetrics } from '@opentelemetry/sdk-metrics';
import { RECEIVERS, runtimeResource } from '../../receivers/index.ts';
import { decodeRecord } from '../../sources/neuron-monitor/decode.ts';
import { Collection } from '../../src/collection.ts';
import type { AgentError } from '../../src/errors.ts';
import { silentLogger } from '../../src/log.ts';
import type { MetricDefinition } from '../../src/metric-table.ts';
import type { ReceiverContext } from '../../src/receiver.ts';
import { RUNTIME_GROUPS, SYSTEM_GROUPS } from '../../src/readings.ts';
import type { MetricGroup, RuntimeRef } from '../../src/readings.ts';
import type { Selection } from '../../src/selection.ts';
import { SelfTelemetry } from '../../src/telemetry.ts';
import type { ReadingBatch, SourceFailure } from '../../src/source.ts';
import { ManualClock } from './manual-clock.ts';
import { T0_MS, TestStore } from './metrics.ts';

const FIXTURES = resolve(import.meta.dirname, '../fixtures/neuron-monitor');
/** Time from one record to the next. */
export const PERIOD_MS = 5000;
const PROCESS_START_MS = T0_MS - 3_600_000;
const BOOT_MS = T0_MS - 86_400_000;

export interface ReplayOptions {
  readonly eccCounts?: ReceiverContext['eccCounts'];
  readonly isEnabled?: (metric: MetricDefinition) => boolean;
  /** False where the host's `/proc` cannot be seen: processes have no start time then. */
  readonly seesProcesses?: boolean;
}

/** The way of a record from its decoder to the series store, with fixed time: one record each five seconds from T0 on. */
export class Replay {
  readonly store: TestStore;
  readonly failures: AgentError[] = [];
  readonly #clock = new ManualClock(T0_MS);
  readonly #collection: Collection;

  constructor(options: ReplayOptions = {}) {
    this.store = new TestStore({
      version: '0.0.0',
      resource: { 'service.name': 'neuron-otel' },
      maxSeries: 100_000,
      isEnabled: options.isEnabled ?? ((metric) => metric.enabled),
    });
    this.#collection = new Collection({
      clock: this.#clock,
      store: this.store,
      selection: EVERYTHING,
      receivers: new Map(RECEIVERS.map((receiver) => [receiver.group, receiver])),
      telemetry: new FailureLog(this.#clock, this.failures),
      runtimeResource,
      identify: options.seesProcesses === false ? (runtime) => runtime : started,
      bootTimeMs: BOOT_MS,
      hostIdentity: () => undefined,
      eccCounts: options.eccCounts ?? 'cumulative',
    });
  }

  /** The time at which the next document is sampled. */
  get nowMs(): number {
    return this.#clock.nowMs();
  }

  /** Feeds one document and moves time on; returns what is live afterwards. */
  async feed(document: Readonly<Record<string, unknown>>): Promise<readonly ResourceMetrics[]> {
    const { readings, runtimes, failures } = decodeRecord(document);
    return this.apply({
      source: 'neuron-monitor',
      sampledAtMs: this.#clock.nowMs(),
      readings,
      failures,
      ...(runtimes === undefined ? {} : { runtimes }),
    });
  }

  async apply(batch: ReadingBatch): Promise<readonly ResourceMetrics[]> {
    this.#collection.apply([batch], { serves: () => true, namesRuntimes: true });
    await this.#clock.advance(PERIOD_MS);
    this.#collection.expire();
    return this.store.collect();
  }
}

/** Documents of `test/fixtures/neuron-monitor/<name>/stream.ndjson`. */
export function fixtureDocuments(name: string): readonly Readonly<Record<string, unknown>>[] {
  const text = readFileSync(join(FIXTURES, name, 'stream.ndjson'), 'utf8');
  return text
    .trimEnd()
    .split('\n')
    .map((line): Readonly<Record<string, unknown>> => JSON.parse(line));
}

/** Replays a whole fixture; the result is what is live after the last record. */
export async function replayFixture(name: string, options: ReplayOptions = {}): Promise<Replay> {
  const replay = new Replay(options);
  for (const document of fixtureDocuments(name)) await replay.feed(document);
  return replay;
}

const EVERYTHING: Selection = {
  runtimeGroups: () => new Set(RUNTIME_GROUPS),
  systemGroups: new Set(SYSTEM_GROUPS),
  periodsMs: new Map([...RUNTIME_GROUPS, ...SYSTEM_GROUPS].map((group): [MetricGroup, number] => [group, PERIOD_MS])),
  defaultPeriodMs: PERIOD_MS,
};

function started(runtime: RuntimeRef): RuntimeRef {
  return { ...runtime, startTimeMs: PROCESS_START_MS + runtime.pid };
}

class FailureLog extends SelfTelemetry {
  readonly #failures: AgentError[];

  constructor(clock: ManualClock, failures: AgentError[]) {
    super({ logger: silentLogger, clock });
    this.#failures = failures;
  }

  override collectionFailures(failures: readonly SourceFailure[]): void {
    this.#failures.push(...failures.map(({ error }) => error));
    super.collectionFailures(failures);
  }
}
