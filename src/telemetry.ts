import type { Meter } from '@opentelemetry/api';
import type { AgentError, ErrorCode } from './errors.ts';
import type { ExportOutcome } from './exporter.ts';
import type { Clock } from './host.ts';
import type { LogFields, Logger } from './log.ts';
import type { MetricGroup } from './readings.ts';
import { SelfInstruments } from './self-instruments.ts';
import type { Observation } from './self-instruments.ts';
import type { GaugeKey } from './self-metrics.ts';
import type { SourceFailure, SourceId } from './source.ts';

/** Figures of the last cycle of a group. */
interface GroupState {
  durationSeconds?: number;
  points: number;
  periodSeconds?: number;
  /** Monotonic time of the sample: its age must not jump with the wall clock. */
  sampledAtMonotonicMs: number;
  source: SourceId;
  expired?: boolean;
}

const REMEMBERED_TROUBLES = 8;
/** One record can fail in 65 ways of one group and code. */
const REMEMBERED_FAILURES = 128;

/** One function for each internal event: it logs and it counts. Repeating trouble logs when it changes, and counts always. */
export class SelfTelemetry {
  readonly #logger: Logger;
  readonly #clock: Clock;
  readonly instruments = new SelfInstruments();
  readonly #groups = new Map<MetricGroup, GroupState>();
  /** Keys are bounded by the code's own call sites. */
  readonly #lastTrouble = new Map<string, readonly string[]>();
  /** The SDK repeats a gauge's last value for ever, so a source that stepped down is observed as 0. */
  readonly #everActive = new Map<string, { readonly group: MetricGroup; readonly source: SourceId }>();
  readonly #deniedProcesses = new Map<SourceId, number>();
  #seriesCount = 0;

  constructor(options: { readonly logger: Logger; readonly clock: Clock }) {
    this.#logger = options.logger;
    this.#clock = options.clock;
    this.#defineGauges();
  }

  /** Makes the instruments. */
  register(meter: Meter): void {
    this.instruments.register(meter);
  }

  /** A group of the host, or of all processes together, was recorded. */
  groupCollected(
    group: MetricGroup,
    state: {
      readonly points: number;
      readonly sampledAtMs: number;
      readonly source: SourceId;
      readonly durationMs: number;
      readonly periodSeconds?: number;
    },
  ): void {
    const before = this.#groups.get(group);
    if (before !== undefined && before.source !== state.source)
      this.#logger.info({ group, from: before.source, to: state.source }, 'another source serves this group');
    this.#everActive.set(`${group}/${state.source}`, { group, source: state.source });
    this.#groups.set(group, {
      points: state.points,
      sampledAtMonotonicMs: this.#clock.monotonicMs() - Math.max(0, this.#clock.nowMs() - state.sampledAtMs),
      source: state.source,
      durationSeconds: state.durationMs / 1000,
      ...(state.periodSeconds === undefined ? {} : { periodSeconds: state.periodSeconds }),
    });
    this.#logger.debug({ group, source: state.source, points: state.points }, 'collected');
  }

  /** The points of a group left every output because no new sample came in time. */
  groupExpired(group: MetricGroup): void {
    this.instruments.count('collectionErrors', { 'neuron.group': group, 'error.type': 'source_stale' satisfies ErrorCode });
    const state = this.#groups.get(group);
    if (state !== undefined) this.#groups.set(group, { ...state, points: 0, expired: true });
    this.#logger.warn({ group }, 'no new sample in time, points removed');
  }

  collectionFailed(error: AgentError, group?: MetricGroup): void {
    this.collectionFailures([group === undefined ? { error } : { error, group }]);
  }

  /**
   * Failures of one collection. Each is counted; those of one group and code are one log line, and only when one of them is new. Texts
   * that differ in numbers only (a pid, an index) are the same failure.
   */
  collectionFailures(failures: readonly SourceFailure[]): void {
    for (const [key, alike] of failuresByGroupAndCode(failures)) {
      const values = alike.reduce((sum, { count = 1 }) => sum + count, 0);
      const { error, group } = this.#firstNew(key, alike) ?? {};
      const code = alike[0]?.error.code;
      this.instruments.count('collectionErrors', { 'neuron.group': alike[0]?.group ?? 'unknown', 'error.type': code ?? '' }, values);
      if (error === undefined) continue;
      this.#logger.warn(
        { ...error.details, group, err: error, ...(values === 1 ? {} : { failures: values }) },
        'collection failed in part',
      );
    }
  }

  /** Processes that a source has no right to look at, of its last scan. */
  processesDenied(source: SourceId, processes: number): void {
    this.#deniedProcesses.set(source, processes);
  }

  /** neuron-monitor's own `error` text of a group or of a runtime. */
  sourceReported(group: MetricGroup | 'runtime', text: string): void {
    this.instruments.count('collectionErrors', { 'neuron.group': group, 'error.type': 'reported' });
    this.#logChange(`reported/${group}`, text, (fields) =>
      this.#logger.warn({ ...fields, group, reported: text.slice(0, 500) }, 'the source reports an error'),
    );
  }

  /** Points follow the wall clock, and what was counted until now begins again. */
  clockSetBack(byMs: number): void {
    this.#logger.warn(
      { seconds: Math.round(byMs / 100) / 10 },
      'the wall clock was set back: points follow it, cumulative series start anew',
    );
  }

  sourceInterrupted(source: SourceId, error: AgentError, retryInMs: number): void {
    this.instruments.count('sourceRestarts', { 'neuron.source': source });
    this.#logChange(`interrupted/${source}`, error.message, (fields) =>
      this.#logger.warn({ ...fields, source, retryInMs, err: error }, 'source interrupted, will be started again'),
    );
  }

  sourceLive(source: SourceId): void {
    if (this.#lastTrouble.delete(`interrupted/${source}`)) this.#logger.info({ source }, 'source is back');
  }

  lineReceived(source: SourceId): void {
    this.instruments.count('streamLines', { 'neuron.source': source });
  }

  lineLost(reason: string, error: AgentError): void {
    this.instruments.count('streamLostLines', { 'neuron.loss.reason': reason });
    this.instruments.count('collectionErrors', { 'neuron.group': 'unknown', 'error.type': error.code });
    this.#logChange(`line/${reason}`, error.message, (fields) =>
      this.#logger.warn({ ...fields, reason, err: error }, 'line of the stream lost'),
    );
  }

  pointsDropped(group: MetricGroup, points: number): void {
    this.instruments.count('droppedPoints', { 'neuron.group': group }, points);
    this.#logChange(`dropped/${group}`, 'limit', (fields) =>
      this.#logger.warn({ ...fields, group, points }, 'limit on series reached, points dropped'),
    );
  }

  storeSize(series: number): void {
    this.#seriesCount = series;
  }

  readerSkipped(periodMs: number): void {
    this.instruments.count('readerSkippedTicks', { 'neuron.reader.period': `${periodMs}ms` });
    this.#logger.debug({ periodMs }, 'exports still running, reader tick skipped');
  }

  schedulerSkipped(periods: number): void {
    this.instruments.count('schedulerSkippedPeriods', {}, periods);
    this.#logger.debug({ periods }, 'collection periods skipped');
  }

  exported(exporter: string, outcome: ExportOutcome): void {
    this.instruments.count('exporterPoints', { 'neuron.exporter': exporter, 'neuron.export.outcome': outcome.outcome }, outcome.points);
    if (outcome.outcome === 'sent') this.exportWorks(exporter);
    else this.exportFailed(exporter, outcome.error);
  }

  /** The next failure is news again. */
  exportWorks(exporter: string): void {
    if (this.#lastTrouble.delete(`export/${exporter}`)) this.#logger.info({ exporter }, 'export works again');
  }

  exportFailed(exporter: string, error: AgentError): void {
    this.instruments.count('exporterErrors', { 'neuron.exporter': exporter, 'error.type': error.code });
    this.#logChange(`export/${exporter}`, error.message, (fields) =>
      this.#logger.error({ ...fields, exporter, err: error }, 'export failed'),
    );
  }

  reportWritten(exporter: string): void {
    this.instruments.count('reportLines', { 'neuron.exporter': exporter, 'neuron.export.outcome': 'sent' });
  }

  /** A line was not written: the exporter itself logs when that begins and ends. */
  reportDropped(exporter: string): void {
    this.instruments.count('reportLines', { 'neuron.exporter': exporter, 'neuron.export.outcome': 'dropped' });
  }

  /** Source that served each group last, for the landing page. */
  activeSources(): ReadonlyMap<MetricGroup, SourceId> {
    const active = new Map<MetricGroup, SourceId>();
    for (const [group, state] of this.#groups) if (state.expired !== true) active.set(group, state.source);
    return active;
  }

  /** The first failure whose text was not seen lately; all texts are remembered. */
  #firstNew(key: string, failures: readonly SourceFailure[]): SourceFailure | undefined {
    const known = new Set(this.#lastTrouble.get(key));
    const isNew = failures.filter(({ error, isLogged }) => {
      if (isLogged === true) return false;
      const text = comparable(error.message);
      const isKnown = known.delete(text);
      known.add(text);
      return !isKnown;
    });
    this.#lastTrouble.set(key, [...known].slice(-REMEMBERED_FAILURES));
    return isNew[0];
  }

  /** Logs what was not among the last few texts of this key: two faults that take turns are two lines, not two lines a cycle. */
  #logChange(key: string, text: string, log: (fields: LogFields) => void): void {
    const known = this.#lastTrouble.get(key) ?? [];
    if (known.includes(text)) return;
    this.#lastTrouble.set(key, [...known.slice(1 - REMEMBERED_TROUBLES), text]);
    log({});
  }

  #defineGauges(): void {
    const perGroup = (key: GaugeKey, value: (state: GroupState) => number | undefined): void => {
      this.instruments.gauge(key, () => this.#perGroup(value));
    };
    perGroup('collectionDuration', (state) => state.durationSeconds);
    perGroup('collectionPoints', (state) => state.points);
    perGroup('collectionPeriod', (state) => state.periodSeconds);
    perGroup('sampleAge', (state) => (this.#clock.monotonicMs() - state.sampledAtMonotonicMs) / 1000);
    this.instruments.gauge('sourceActive', () => this.#sourceActivity());
    this.instruments.gauge('collectionDenied', () =>
      [...this.#deniedProcesses].map(([source, processes]) => [processes, { 'neuron.source': source }] as const),
    );
    this.instruments.gauge('seriesCount', () => [[this.#seriesCount, {}]]);
  }

  *#sourceActivity(): Iterable<Observation> {
    const active = this.activeSources();
    for (const { group, source } of this.#everActive.values())
      yield [active.get(group) === source ? 1 : 0, { 'neuron.group': group, 'neuron.source': source }];
  }

  *#perGroup(value: (state: GroupState) => number | undefined): Iterable<Observation> {
    for (const [group, state] of this.#groups) {
      const observed = value(state);
      if (observed !== undefined) yield [observed, { 'neuron.group': group }];
    }
  }
}

function failuresByGroupAndCode(failures: readonly SourceFailure[]): ReadonlyMap<string, readonly SourceFailure[]> {
  const alike = new Map<string, SourceFailure[]>();
  for (const failure of failures) {
    const key = `${failure.group ?? ''}/${failure.error.code}`;
    const others = alike.get(key);
    if (others === undefined) alike.set(key, [failure]);
    else others.push(failure);
  }
  return alike;
}

/** A message without what changes from cycle to cycle. */
function comparable(message: string): string {
  return message.replaceAll(/\d+/g, '#');
}
