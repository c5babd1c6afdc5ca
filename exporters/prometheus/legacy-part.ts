import type { Attributes } from '@opentelemetry/api';
import type { Resource } from '@opentelemetry/resources';
import type { ResourceMetrics } from '@opentelemetry/sdk-metrics';
import { definitionOf } from '../../src/metric-table.ts';
import type { LegacyFamily, LegacyMapping, MetricDefinition } from '../../src/metric-table.ts';
import { METRIC_GROUPS } from '../../src/readings.ts';
import type { ExpositionPart, Refresh } from './exposition.ts';
import type { Family } from './family.ts';
import { renderLabels } from './labels.ts';
import { Contribution, Contributions, LegacyLine } from './legacy-line.ts';
import type { Fold } from './legacy-line.ts';
import { PointPlan } from './point-plan.ts';
import type { MetricPlace, PointSegment, PointSink } from './point-segment.ts';
import type { PrometheusSettings } from './settings.ts';

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
 * The script knows a process by its tag alone. Where several processes share a tag their counters and bytes are added, everything
 * else (ratios, latencies) is their mean; the script would show whichever came last. A counter keeps what processes that ended have
 * added while another process carries the tag on, so that it never falls.
 */
export class LegacyPart implements ExpositionPart {
  families: readonly Family[] = [];
  readonly conflicts: readonly string[] = [];
  readonly #options: PrometheusSettings['legacy'];
  readonly #plan = new PointPlan();
  readonly #texts = new WeakMap<Attributes, KnownText[]>();
  readonly #shared = new WeakMap<Resource, SharedLabels>();
  #families: ReadonlyMap<string, BuildingFamily> = new Map();
  #lines: readonly LegacyLine[] = [];

  constructor(options: PrometheusSettings['legacy']) {
    this.#options = options;
  }

  refresh(collection: readonly ResourceMetrics[], cells: Float64Array): Refresh {
    for (const line of this.#lines) line.begin();
    const outcome = this.#plan.refresh(collection, cells);
    if (outcome === 'same') for (const line of this.#lines) line.end(cells);
    return outcome;
  }

  rebuild(collection: readonly ResourceMetrics[]): void {
    const before = this.#families;
    const families = new Map<string, BuildingFamily>();
    const hostResource = collection[0]?.resource;
    this.#plan.rebuild(collection, () => undefined);
    // Points of several metrics come together in one line: when some are new, all are bound again.
    for (const segment of this.#plan.segments) {
      const host = hostResource ?? segment.place.resource;
      segment.direct(this.#plan.attributesOf(segment).map((attributes) => this.#bind(attributes, segment, host, families)));
    }
    const ordered = [...families.values()].toSorted((a, b) => a.order - b.order);
    this.families = ordered;
    this.#families = families;
    this.#lines = ordered.flatMap(({ lines }) => [...lines.values()]);
    for (const { name, lines } of ordered) for (const [text, line] of lines) line.follow(before.get(name)?.lines.get(text));
  }

  #bind(
    attributes: Attributes,
    { place, descriptor }: PointSegment,
    host: Resource,
    families: Map<string, BuildingFamily>,
  ): PointSink | undefined {
    const definition = definitionOf(descriptor);
    const sinks: Contribution[] = [];
    for (const mapping of definition?.legacy ?? []) {
      if (definition === undefined || !belongs(attributes, mapping)) continue;
      const family = familyOf(mapping.name, definition, families);
      if (family === undefined) continue;
      const text = this.#text(attributes, mapping, place, host);
      let line = family.lines.get(text);
      if (line === undefined) {
        line = new LegacyLine(text, { fold: foldOf(definition), cap: mapping.cap, hasCreated: family.created !== 'unknown' });
        family.lines.set(text, line);
        family.series.push(line);
      }
      sinks.push(new Contribution(line, attributes, place.resource));
    }
    return sinks.length > 1 ? new Contributions(sinks) : sinks[0];
  }

  /** Labels in alphabetical order, as the script's client library prints them. */
  #text(attributes: Attributes, mapping: LegacyMapping, { resource, isHost }: MetricPlace, host: Resource): string {
    const shared = this.#sharedLabels(resource, isHost, host);
    const known = this.#texts.get(attributes) ?? [];
    const cached = known.find((text) => text.mapping === mapping && text.shared === shared);
    if (cached !== undefined) return cached.text;
    const labels = new Map<string, string>([...shared.labels, ...Object.entries(mapping.constantLabels ?? {})]);
    for (const [attribute, { label, values }] of Object.entries(mapping.labels ?? {})) {
      const value = attributes[attribute];
      const shown = textOf(value);
      if (value !== undefined) labels.set(label, values?.[shown] ?? shown);
    }
    const text = renderLabels([...labels].toSorted(([a], [b]) => (a < b ? -1 : 1)).map(([name, value]) => ({ name, value })));
    this.#texts.set(attributes, [...known.filter((other) => other.shared === shared), { mapping, shared, text }]);
    return text;
  }

  #sharedLabels(resource: Resource, isHost: boolean, host: Resource): SharedLabels {
    const known = this.#shared.get(resource);
    if (known?.host === host) return known;
    const labels = new Map(INSTANCE_LABELS.map(([label, attribute]) => [label, textOf(host.attributes[attribute])]));
    const [ultraserver, ultraserverAttribute] = ULTRASERVER;
    if (host.attributes[ultraserverAttribute] !== undefined) labels.set(ultraserver, textOf(host.attributes[ultraserverAttribute]));
    if (!isHost) {
      labels.set('runtime_tag', textOf(resource.attributes['neuron.runtime.tag']));
      if (this.#options.process_label) labels.set('pid', textOf(resource.attributes['process.pid']));
      if (this.#options.pod_labels) for (const [label, attribute] of POD_LABELS) labels.set(label, textOf(resource.attributes[attribute]));
    }
    const shared = { host, labels };
    this.#shared.set(resource, shared);
    return shared;
  }
}

/** Labels that all series of one process, or of the host, have in common. */
interface SharedLabels {
  readonly host: Resource;
  readonly labels: ReadonlyMap<string, string>;
}

interface KnownText {
  readonly mapping: LegacyMapping;
  readonly shared: SharedLabels;
  readonly text: string;
}

interface BuildingFamily extends Family {
  readonly series: LegacyLine[];
  readonly order: number;
  readonly lines: Map<string, LegacyLine>;
}

/** With the first series of a group all its families come, as in the script; those without series are shown as bare comments. */
function familyOf(name: string, definition: MetricDefinition, families: Map<string, BuildingFamily>): BuildingFamily | undefined {
  if (!families.has(name)) for (const family of definition.groupLegacyFamilies) families.set(family.name, newFamily(family, definition));
  return families.get(name);
}

function newFamily({ name, help, type }: LegacyFamily, { group }: MetricDefinition): BuildingFamily {
  return {
    name,
    type,
    help,
    unit: '',
    series: [],
    numbers: 'python',
    created: type === 'counter' ? 'family' : 'unknown',
    order: METRIC_GROUPS.indexOf(group),
    lines: new Map(),
  };
}

function belongs(attributes: Attributes, { where }: LegacyMapping): boolean {
  return where === undefined || Object.entries(where).every(([name, values]) => values.includes(String(attributes[name])));
}

function foldOf({ instrument, unit }: MetricDefinition): Fold {
  if (instrument === 'counter') return 'total';
  return unit === 'By' ? 'sum' : 'mean';
}

function textOf(value: unknown): string {
  return typeof value === 'string' || typeof value === 'number' ? String(value) : '';
}
