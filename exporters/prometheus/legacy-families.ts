import type { Attributes, HrTime } from '@opentelemetry/api';
import type { Resource } from '@opentelemetry/resources';
import type { MetricData, ResourceMetrics } from '@opentelemetry/sdk-metrics';
import { definitionOf } from '../../src/metric-table.ts';
import type { LegacyFamily, LegacyFold, LegacyMapping, MetricDefinition } from '../../src/metric-table.ts';
import { METRIC_GROUPS } from '../../src/readings.ts';
import { Series } from './family.ts';
import type { Family, Heading } from './family.ts';
import { renderLabels } from './labels.ts';
import { PROMETHEUS_DEFAULTS } from './settings.ts';
import type { PrometheusSettings } from './settings.ts';

export type LegacySettings = PrometheusSettings['legacy'];

/** Labels of every family, and the attributes of the host's resource they show; empty when unknown, as the script prints them. */
const INSTANCE_LABELS: readonly (readonly [label: string, attribute: string])[] = [
  ['availability_zone', 'cloud.availability_zone'],
  ['instance_id', 'host.id'],
  ['instance_name', 'ec2.tag.Name'],
  ['instance_type', 'host.type'],
  ['region', 'cloud.region'],
  ['subnet_id', 'neuron.instance.subnet_id'],
];

/** Shown where there is one; on hosts that are no UltraServer the script's pages lack the label. */
const ULTRASERVER: readonly [label: string, attribute: string] = ['ultraserver_id', 'neuron.instance.ultraserver_id'];

const POD_LABELS: readonly (readonly [label: string, attribute: string])[] = [
  ['container_name', 'k8s.container.name'],
  ['namespace', 'k8s.namespace.name'],
  ['pod_name', 'k8s.pod.name'],
];

/**
 * The families in the names, labels and arithmetic of neuron-monitor-prometheus.py, from the `legacy` mappings of the metric tables.
 * They follow from the collection and from `totals`, which takes the collection in: for the same collection they stay the same.
 *
 * The script knows a process by its tag alone. Where several processes share a tag, their values are added or averaged as the
 * mapping says; the script would show whichever came last.
 */
export function legacyFamilies(
  collection: readonly ResourceMetrics[],
  totals: LegacyTotals,
  settings: LegacySettings = PROMETHEUS_DEFAULTS.legacy,
): readonly Family[] {
  const families = new Map<string, LegacyDraft>();
  const host = collection[0]?.resource;
  if (host === undefined) return [];
  let isHost = true;
  for (const { resource, scopeMetrics } of collection) {
    const shared = totals.sharedLabels(resource, host, isHost ? undefined : settings);
    for (const { metrics } of scopeMetrics) for (const metric of metrics) addMetric(families, metric, { resource, shared, totals });
    isHost = false;
  }
  const ordered = [...families.values()].toSorted((a, b) => a.order - b.order);
  totals.take(ordered);
  return ordered.map(({ heading, lines }) => ({ ...heading, series: [...lines.values()].map((line) => line.series) }));
}

/** A family of which the values are still being collected. */
interface LegacyDraft {
  readonly heading: Heading;
  readonly order: number;
  readonly lines: Map<string, LegacyLine>;
}

/** The labels that all series of one process, or of the host, have in common. */
interface SharedLabels {
  readonly host: Resource;
  readonly labels: ReadonlyMap<string, string>;
}

interface Origin {
  readonly resource: Resource;
  readonly shared: SharedLabels;
  readonly totals: LegacyTotals;
}

function addMetric(families: Map<string, LegacyDraft>, { descriptor, dataPoints }: MetricData, { resource, shared, totals }: Origin): void {
  const definition = definitionOf(descriptor);
  if (definition?.legacy === undefined) return;
  // All mappings of one point come before the next point: a family with several has its series in the order of the points.
  for (const point of dataPoints) {
    const { attributes, startTime, value } = point;
    if (typeof value !== 'number') continue;
    for (const mapping of definition.legacy) {
      const text = totals.labelText(attributes, mapping, shared);
      if (text === undefined) continue;
      const family = familyOf(mapping.name, definition, families);
      let line = family?.lines.get(text);
      if (line === undefined) family?.lines.set(text, (line = totals.line(mapping, definition, text)));
      line?.add({ point, value, startTime, resource });
    }
  }
}

/** With the first series of a group all its families come, as in the script; those without series are shown as bare comments. */
function familyOf(name: string, definition: MetricDefinition, families: Map<string, LegacyDraft>): LegacyDraft | undefined {
  if (!families.has(name)) for (const family of definition.groupLegacyFamilies) families.set(family.name, newDraft(family, definition));
  return families.get(name);
}

function newDraft({ name, help, type }: LegacyFamily, { group }: MetricDefinition): LegacyDraft {
  const created = type === 'counter' ? 'family' : 'unknown';
  const heading = { name, type, help, unit: '', numbers: 'python', created, group } as const;
  return { heading, order: METRIC_GROUPS.indexOf(group), lines: new Map() };
}

/** Ended contributors that a line remembers one by one, in case they come back; older ones become one number. */
const MAX_REMEMBERED = 64;

/** One data point's value on its way into a line. */
interface Contribution {
  readonly point: object;
  readonly value: number;
  readonly startTime: HrTime;
  readonly resource: Resource;
}

/** One series of a legacy page, to which the points of several processes may contribute. */
class LegacyLine {
  readonly series: Series;
  readonly #point: { value: number; startTime: HrTime } = { value: 0, startTime: [0, 0] };
  readonly #fold: LegacyFold;
  readonly #cap: number;
  #sum = 0;
  #contributors = 0;
  #lastContributor: Resource | undefined;
  /** The values of counters in this collection and in the one before, by their points. */
  #present = new Map<object, number>();
  #before: ReadonlyMap<object, number> = new Map();
  readonly #ended = new Map<object, number>();
  #forgotten = 0;

  constructor(labels: string, fold: LegacyFold, cap = Number.POSITIVE_INFINITY) {
    this.series = new Series(labels, this.#point);
    this.#fold = fold;
    this.#cap = cap;
  }

  begin(): void {
    this.#sum = 0;
    this.#contributors = 0;
    this.#lastContributor = undefined;
    if (this.#fold !== 'total') return;
    this.#before = this.#present;
    this.#present = new Map();
  }

  /** Points of one process are always added: the mapping folds them into one series. */
  add({ point, value, startTime, resource }: Contribution): void {
    if (this.#contributors === 0 || isEarlier(startTime, this.#point.startTime)) this.#point.startTime = startTime;
    if (this.#lastContributor !== resource) this.#contributors += 1;
    this.#lastContributor = resource;
    this.#sum += value;
    if (this.#fold === 'total') this.#present.set(point, value);
  }

  end(): void {
    if (this.#fold === 'total') this.#sum += this.#endedTotal();
    const value = this.#fold === 'mean' ? this.#sum / this.#contributors : this.#sum;
    // One process alone is shown as it is reported, as the script does.
    this.#point.value = this.#contributors > 1 ? Math.min(value, this.#cap) : value;
  }

  /** The total of points that have left while others stay; a point that comes back brings its total itself. */
  #endedTotal(): number {
    for (const [point, value] of this.#before) if (!this.#present.has(point)) this.#ended.set(point, value);
    let total = 0;
    for (const [point, value] of this.#ended) {
      if (this.#present.has(point)) {
        this.#ended.delete(point);
      } else if (this.#ended.size > MAX_REMEMBERED) {
        this.#ended.delete(point);
        this.#forgotten += value;
      } else {
        total += value;
      }
    }
    return total + this.#forgotten;
  }
}

/**
 * The memory of a legacy page. A counter keeps the totals of processes that ended for as long as another process carries the tag on,
 * so that it never falls. Labels become text once.
 */
export class LegacyTotals {
  /** Lines of the last collection, by family and label text; a line that is not shown any more is forgotten with its totals. */
  #lines: ReadonlyMap<string, ReadonlyMap<string, LegacyLine>> = new Map();
  readonly #texts = new WeakMap<Attributes, KnownText[]>();
  readonly #shared = new WeakMap<Resource, SharedLabels>();

  /** The line of a family with these labels, with nothing added to it yet. */
  line({ name, fold, cap }: LegacyMapping, definition: MetricDefinition, labels: string): LegacyLine {
    const line = this.#lines.get(name)?.get(labels) ?? new LegacyLine(labels, foldOf(fold, definition), cap);
    line.begin();
    return line;
  }

  /** Ends the collection. */
  take(drafts: readonly LegacyDraft[]): void {
    for (const { lines } of drafts) for (const line of lines.values()) line.end();
    this.#lines = new Map(drafts.map(({ heading, lines }) => [heading.name, lines]));
  }

  /** Labels of a point in alphabetical order, as the script's client library prints them; undefined for a point of another family. */
  labelText(attributes: Attributes, mapping: LegacyMapping, shared: SharedLabels): string | undefined {
    const known = this.#texts.get(attributes) ?? [];
    const same = known.find((text) => text.mapping === mapping && text.shared === shared);
    if (same !== undefined) return same.text;
    const text = belongs(attributes, mapping) ? labelText(attributes, mapping, shared) : undefined;
    this.#texts.set(attributes, [...known.filter((other) => other.shared === shared), { mapping, shared, text }]);
    return text;
  }

  /** `process` is undefined for the host. */
  sharedLabels(resource: Resource, host: Resource, process: LegacySettings | undefined): SharedLabels {
    const known = this.#shared.get(resource);
    if (known?.host === host) return known;
    const shared = { host, labels: new Map([...instanceLabels(host), ...(process === undefined ? [] : processLabels(resource, process))]) };
    this.#shared.set(resource, shared);
    return shared;
  }
}

interface KnownText {
  readonly mapping: LegacyMapping;
  readonly shared: SharedLabels;
  readonly text: string | undefined;
}

type LabelPair = readonly [name: string, value: string];

function labelText(attributes: Attributes, { constantLabels = {}, labels = {} }: LegacyMapping, shared: SharedLabels): string {
  const all = new Map<string, string>([...shared.labels, ...Object.entries(constantLabels)]);
  for (const [attribute, { label, values }] of Object.entries(labels)) {
    const value = attributes[attribute];
    const shown = textOf(value);
    if (value !== undefined) all.set(label, values?.[shown] ?? shown);
  }
  return renderLabels([...all].toSorted(([a], [b]) => (a < b ? -1 : 1)).map(([name, value]) => ({ name, value })));
}

function instanceLabels({ attributes }: Resource): readonly LabelPair[] {
  const [ultraserver, attribute] = ULTRASERVER;
  const labels = INSTANCE_LABELS.map(([label, name]): LabelPair => [label, textOf(attributes[name])]);
  return attributes[attribute] === undefined ? labels : [...labels, [ultraserver, textOf(attributes[attribute])]];
}

function processLabels({ attributes }: Resource, { pod_labels: hasPod, process_label: hasProcess }: LegacySettings): readonly LabelPair[] {
  const labels: LabelPair[] = [['runtime_tag', textOf(attributes['neuron.runtime.tag'])]];
  if (hasProcess) labels.push(['pid', textOf(attributes['process.pid'])]);
  if (hasPod) for (const [label, attribute] of POD_LABELS) labels.push([label, textOf(attributes[attribute])]);
  return labels;
}

function belongs(attributes: Attributes, { where }: LegacyMapping): boolean {
  return where === undefined || Object.entries(where).every(([name, values]) => values.includes(String(attributes[name])));
}

function foldOf(fold: LegacyFold | undefined, { instrument, unit }: MetricDefinition): LegacyFold {
  if (fold !== undefined) return fold;
  if (instrument === 'counter') return 'total';
  return unit === 'By' ? 'sum' : 'mean';
}

function isEarlier(a: HrTime, b: HrTime): boolean {
  return a[0] < b[0] || (a[0] === b[0] && a[1] < b[1]);
}

function textOf(value: unknown): string {
  return typeof value === 'string' || typeof value === 'number' ? String(value) : '';
}
