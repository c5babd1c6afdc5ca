import type { HrTime } from '@opentelemetry/api';
import type { ExponentialHistogram, Histogram } from '@opentelemetry/sdk-metrics';

export type FamilyType = 'gauge' | 'counter' | 'histogram' | 'info';

/** A family without its series. */
export interface Heading {
  /** Sample name in text 0.0.4: `_total` is included where the strategy adds it. */
  readonly name: string;
  readonly type: FamilyType;
  readonly help: string;
  /** Unit as a word; empty when the name does not end in it. */
  readonly unit: string;
  /** The spelling of numbers: that of Go, or that of the AWS script's Python client. */
  readonly numbers: 'go' | 'python';
  /**
   * The places in which a page shows the start times of series: `samples` in the formats that have a place for them, `family` also in text 0.0.4,
   * as a gauge family of its own, as the AWS script's Python client does.
   */
  readonly created: 'unknown' | 'samples' | 'family';
  /** Metric group of a legacy family; families of OpenTelemetry names are selected by their scope before they are made. */
  readonly group?: string;
}

/** The samples that a page shows under one `# TYPE` line. */
export interface Family extends Heading {
  readonly series: readonly Series[];
}

/** The fields of a data point that a page shows. */
export interface SeriesPoint {
  readonly value: number | Histogram | ExponentialHistogram;
  readonly startTime: HrTime;
}

/** One label set of a family, and the data point that writers read its value from. It lives as long as its data point. */
export class Series {
  /** `a="b",c="d"`, escaped, without braces. */
  readonly labels: string;
  /** A point of the series store is live: its value changes from cycle to cycle. */
  point: SeriesPoint;
  /** The text writer keeps the start of the sample's line here: name, labels and a space. */
  textStart: string | undefined = undefined;
  /** The protobuf writer keeps the encoded labels here. */
  labelBytes: Uint8Array | undefined = undefined;

  constructor(labels: string, point: SeriesPoint) {
    this.labels = labels;
    this.point = point;
  }
}

/** The families of one collection, and what had to be left out of them. */
export interface FamilySet {
  readonly families: readonly Family[];
  /** Names with two types, and names of points that have the same labels as another one. */
  readonly conflicts: readonly string[];
}
