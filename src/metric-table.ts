import { ValueType } from '@opentelemetry/api';
import type { MetricDescriptor } from '@opentelemetry/sdk-metrics';
import type { MetricGroup } from './readings.ts';

/** Type of one attribute: a primitive, or the closed set of its values. */
export type AttributeType = 'int' | 'string' | readonly string[];

export type AttributeSchema = Readonly<Record<string, AttributeType>>;

export type Instrument = 'gauge' | 'counter' | 'up_down_counter' | 'histogram';

/** How neuron-monitor-prometheus.py names the same number. */
export interface LegacyMapping {
  /** Family name, `_total` included. */
  readonly name: string;
  readonly help: string;
  /** Its value is always 1 and its labels are the information: an info metric of Prometheus' client libraries. */
  readonly isInfo?: true;
  /** Only points with these attribute values belong to the family. */
  readonly where?: Readonly<Record<string, readonly string[]>>;
  /** OTel attribute → legacy label. `values` renames values; several points that fold into one label set are added. */
  readonly labels?: Readonly<Record<string, { readonly label: string; readonly values?: Readonly<Record<string, string>> }>>;
  readonly constantLabels?: Readonly<Record<string, string>>;
  /** Joins the values of several processes with one tag; when absent, `total` for counters, `sum` for bytes, else `mean`. */
  readonly fold?: LegacyFold;
  /** Values of several processes together are at most this. */
  readonly cap?: number;
}

/** `total` is a sum that keeps what processes have added that ended while another process carries their tag on. */
export type LegacyFold = 'total' | 'sum' | 'mean';

/** A family of neuron-monitor-prometheus.py. */
export interface LegacyFamily {
  readonly name: string;
  readonly help: string;
  readonly type: 'gauge' | 'counter' | 'info';
}

/** One row of a receiver's metric table: the only place where this metric's name, unit and meaning are written. */
export interface MetricRow<A extends AttributeSchema = AttributeSchema> {
  /** OpenTelemetry name. */
  readonly name: string;
  /** UCUM. */
  readonly unit: string;
  readonly instrument: Instrument;
  readonly valueType: 'int' | 'double';
  readonly attributes: A;
  /** One sentence that ends with a period. */
  readonly description: string;
  /** Collected without being asked for. */
  readonly enabled: boolean;
  readonly source: {
    /** Path of the number in the source's own data; `*` for any key. */
    readonly path: string;
    /** Factor from the source's unit to `unit`; 1 when absent. */
    readonly scale?: number;
    /** Document that states the source's unit; required next to a scale other than 1. */
    readonly document?: string;
  };
  /** Present when the values of one series set sum up to something else than a total, or a ratio may pass 1; printed in METRICS.md. */
  readonly note?: string;
  readonly legacy?: readonly LegacyMapping[];
  /** Name in the configuration's list of metrics, for a row that stands in for another row of the same OpenTelemetry name. */
  readonly toggle?: string;
  /** Feeds legacy families only: never in OTLP, never in OpenTelemetry naming. */
  readonly legacyOnly?: true;
}

/** A row with what is derived from it once. */
export interface MetricDefinition<A extends AttributeSchema = AttributeSchema> extends MetricRow<A> {
  readonly key: string;
  readonly group: MetricGroup;
  readonly scale: number;
  readonly attributeNames: readonly string[];
  readonly descriptor: MetricDescriptor;
  /** Legacy families of the whole group, in the order of its table: the script makes them together, with series or without. */
  readonly groupLegacyFamilies: readonly LegacyFamily[];
}

export type MetricTable = Readonly<Record<string, MetricDefinition>>;

type AttributeValue<T extends AttributeType> = T extends 'int'
  ? number
  : T extends 'string'
    ? string
    : T extends readonly (infer V)[]
      ? V
      : never;

/** Attribute values of one point; `undefined` leaves the attribute out. */
export type AttributesOf<A extends AttributeSchema> = { readonly [K in keyof A]: AttributeValue<A[K]> | undefined };

/** Turns rows into definitions and gives every row its exact attribute types. */
export function defineMetrics<const R extends Readonly<Record<string, MetricRow>>>(
  group: MetricGroup,
  rows: R,
): { readonly [K in keyof R]: MetricDefinition<R[K]['attributes']> } {
  const table: Record<string, MetricDefinition> = {};
  const families = legacyFamilies(Object.values(rows));
  for (const [key, row] of Object.entries(rows)) table[key] = define(key, group, row, families);
  return table as { readonly [K in keyof R]: MetricDefinition<R[K]['attributes']> };
}

const definitionOfDescriptor = new WeakMap<MetricDescriptor, MetricDefinition>();

/** The row behind SDK metric data; undefined for metrics of ordinary instruments, such as self-metrics. */
export function definitionOf(descriptor: MetricDescriptor): MetricDefinition | undefined {
  return definitionOfDescriptor.get(descriptor);
}

/** Name under which the configuration switches a row. */
export function toggleOf(metric: MetricDefinition): string {
  return metric.toggle ?? metric.name;
}

/** A value of the source in the row's unit. Divides where the scale is a fraction: 42.01 × 0.01 is not the 0.4201 that 42.01 / 100 is. */
export function inUnit(metric: MetricDefinition, value: number): number {
  return metric.scale < 1 ? value / (1 / metric.scale) : value * metric.scale;
}

/** Several rows and several mappings may feed one family. */
function legacyFamilies(rows: readonly MetricRow[]): readonly LegacyFamily[] {
  const families = new Map<string, LegacyFamily>();
  for (const { instrument, legacy } of rows) {
    for (const { name, help, isInfo } of legacy ?? []) {
      const type = instrument === 'counter' ? 'counter' : 'gauge';
      if (!families.has(name)) families.set(name, { name, help, type: isInfo === true ? 'info' : type });
    }
  }
  return [...families.values()];
}

function define(key: string, group: MetricGroup, row: MetricRow, groupLegacyFamilies: readonly LegacyFamily[]): MetricDefinition {
  const descriptor: MetricDescriptor = {
    name: row.name,
    description: row.description,
    unit: row.unit,
    valueType: row.valueType === 'int' ? ValueType.INT : ValueType.DOUBLE,
  };
  const scale = row.source.scale ?? 1;
  const definition = { ...row, key, group, scale, attributeNames: Object.keys(row.attributes), descriptor, groupLegacyFamilies };
  definitionOfDescriptor.set(descriptor, definition);
  return definition;
}
