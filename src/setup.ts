import type { Collection } from './collection.ts';
import type { Exporter } from './exporter.ts';
import type { Clock } from './host.ts';
import type { Logger } from './log.ts';
import type { AnyGroupReading } from './readings.ts';
import type { Report } from './report.ts';
import type { Selection } from './selection.ts';
import type { SeriesStore } from './store.ts';
import type { SelfTelemetry } from './telemetry.ts';
import type { PullSource, StreamLine, StreamSource } from './source.ts';

/** Everything of an agent that a new configuration replaces. */
export interface AgentSetup {
  readonly selection: Selection;
  readonly stream?: StreamSource;
  /** In order of preference. */
  readonly pullSources: readonly PullSource[];
  readonly exporters: readonly Exporter[];
  readonly reports: {
    /** The line of a stream without what the configuration leaves out. */
    fromLine(line: StreamLine): Report;
    /** A report in neuron-monitor's shape: readings of native sources that no report had before, and the facts. */
    fromReadings(readings: readonly AnyGroupReading[], collection: Collection): Report;
  };
  readonly selfMetrics: boolean;
}

/** Exporters and sources that go on under a new configuration. */
export type Kept = ReadonlySet<Exporter | StreamSource | PullSource>;

export interface AgentOptions extends AgentSetup {
  readonly clock: Clock;
  readonly logger: Logger;
  readonly store: SeriesStore;
  readonly collection: Collection;
  readonly telemetry: SelfTelemetry;
  /** Native sources are read twice at the start, so far apart, when somebody takes reports: the first one is complete then. */
  readonly firstReadingsApartMs?: number;
  /** Snapshots also hold what feeds legacy families only. */
  readonly legacySnapshots: boolean;
  readonly version: string;
}
