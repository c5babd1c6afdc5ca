import type { AgentError } from './errors.ts';
import type { AnyGroupReading, MetricGroup, RuntimeRef } from './readings.ts';

/** Folder names of `sources/`, as config, logs and `neuron.source.active` spell them. */
export type SourceId = 'neuron-monitor' | 'procfs' | 'sysfs' | 'nds' | 'imds' | 'kubelet';

/** One JSON line of a neuron-monitor stream: its exact bytes without the line end, and its parsed document. */
export interface StreamLine {
  readonly bytes: Uint8Array;
  readonly document: Readonly<Record<string, unknown>>;
}

/** The result of one read, or of one line: data and failures together. */
export interface ReadingBatch {
  readonly source: SourceId;
  /** Milliseconds since the epoch at which the values were true. */
  readonly sampledAtMs: number;
  readonly readings: readonly AnyGroupReading[];
  /** Every Neuron process alive at this moment; absent when this batch does not list processes. */
  readonly runtimes?: readonly RuntimeRef[];
  /** One bad device costs one device: what could not be read, next to what could. */
  readonly failures: readonly SourceFailure[];
  /** Processes that the agent has no right to look at; absent when this source looks at no process of others. */
  readonly deniedProcesses?: number;
  readonly line?: StreamLine;
  /** Groups whose period this source cannot know yet: their points do not run out before it can be known. */
  readonly unknownPeriods?: ReadonlySet<MetricGroup>;
}

export interface SourceFailure {
  readonly error: AgentError;
  /** The source has logged it, so it is counted only. */
  readonly isLogged?: true;
  /** The group that lost data, when it is known. */
  readonly group?: MetricGroup;
  /** Values that were lost in this way; 1 when absent. */
  readonly count?: number;
}

/** A source that is asked: the scheduler calls `read` when groups are due. Must never throw for bad data. */
export interface PullSource {
  readonly kind: 'pull';
  readonly id: SourceId;
  /** A restriction that a user should know; `validate` prints it. */
  readonly caveat?: string;
  /** Groups this source can serve on this host, now. */
  groups(): ReadonlySet<MetricGroup>;
  read(groups: ReadonlySet<MetricGroup>, signal: AbortSignal): ReadingBatch | Promise<ReadingBatch>;
  [Symbol.asyncDispose](): Promise<void>;
}

/** How a stream ended or faltered. `ended` means no more data will ever come (EOF of stdin or of a file). */
export type StreamState =
  | { readonly state: 'live' }
  | { readonly state: 'interrupted'; readonly error: AgentError; readonly retryInMs: number }
  | { readonly state: 'ended' };

/** Takes what a stream brings. */
export interface StreamSink {
  /**
   * Takes one batch. The promise resolves when every exporter has taken its points, or after a bounded wait:
   * the source hands over the next line only then, so that lines that arrive together are all exported.
   */
  batch(batch: ReadingBatch): Promise<void>;
  state(state: StreamState): void;
  /** A line that gave no batch: unparsable, too long, or cut off at the end. */
  lost(error: AgentError, reason: 'malformed' | 'too_long' | 'partial'): void;
}

/** A source that delivers by itself: each arrival is a tick. */
export interface StreamSource {
  readonly kind: 'stream';
  readonly id: SourceId;
  groups(): ReadonlySet<MetricGroup>;
  start(sink: StreamSink): Promise<void>;
  [Symbol.asyncDispose](): Promise<void>;
}

export type Source = PullSource | StreamSource;
