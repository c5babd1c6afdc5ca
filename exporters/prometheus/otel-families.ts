import type { Attributes } from '@opentelemetry/api';
import type { InstrumentationScope } from '@opentelemetry/core';
import type { Resource } from '@opentelemetry/resources';
import type { MetricData, ResourceMetrics } from '@opentelemetry/sdk-metrics';
import type { Instrument } from '../../src/metric-table.ts';
import { definitionOf } from '../../src/metric-table.ts';
import { Series } from './family.ts';
import type { Family, FamilySet, FamilyType, Heading } from './family.ts';
import { labelText } from './labels.ts';
import { escapeName, instrumentOf, prometheusLabelName, prometheusName, unitWord } from './naming.ts';
import type { EscapingScheme } from './naming.ts';
import { PROMETHEUS_DEFAULTS } from './settings.ts';
import type { PrometheusSettings } from './settings.ts';

/** Resource attributes that tell Neuron processes apart; Prometheus has one `target_info` for each target, so they are labels. */
export const IDENTITY_ATTRIBUTES = [
  'process.pid',
  'neuron.runtime.tag',
  'k8s.pod.name',
  'k8s.namespace.name',
  'k8s.container.name',
  'container.id',
] as const;

/** The settings that decide on names and labels. */
export type OtelFamilySettings = Pick<
  PrometheusSettings,
  'translation_strategy' | 'scope_labels' | 'identity_labels' | 'resource_labels' | 'target_info'
>;

/** The series of one metric of one resource, kept from page to page. */
interface KnownMetric {
  readonly heading: Heading;
  readonly scope: InstrumentationScope;
  /** Attributes that all its series get from resource and scope. */
  readonly shared: Attributes;
  /** Points of the series store stay the same objects for as long as they live, those of SDK instruments are new on each page. */
  points: readonly AnyPoint[];
  /** One for each point. Another array means other series. */
  readonly series: readonly Series[];
  /** The last page that showed it. */
  page: number;
}

/** A family and the arrays of series that it was made from. */
interface KnownFamily {
  readonly heading: Heading;
  readonly family: Family;
  readonly sources: readonly (readonly Series[])[];
  /** The labels of its series; the family that follows it takes the set over. */
  readonly labels: Set<string>;
  readonly hasDuplicates: boolean;
}

/**
 * Turns collections into families in OpenTelemetry's names, in the order of their first points. Label text is made once for each
 * point, names once for each metric; a family whose points are those of the page before stays the same object.
 */
export class OtelFamilies {
  readonly #settings: OtelFamilySettings;
  readonly #escaping: EscapingScheme;
  readonly #labelNames = new Map<string, string>();
  readonly #headings = new WeakMap<MetricData['descriptor'], Map<Instrument, Heading>>();
  readonly #shared = new WeakMap<Resource, Map<string, Attributes>>();
  readonly #metrics = new WeakMap<Resource, Map<MetricData['descriptor'], KnownMetric>>();
  #families: ReadonlyMap<string, KnownFamily> = new Map();
  #target: { readonly resource: Resource; readonly heading: Heading; readonly series: readonly Series[] } | undefined;
  #page = 0;

  constructor(escaping: EscapingScheme, settings: OtelFamilySettings = PROMETHEUS_DEFAULTS) {
    this.#escaping = escaping;
    this.#settings = settings;
  }

  /** The families hold live points: they are valid until the next cycle. */
  of(collection: readonly ResourceMetrics[]): FamilySet {
    this.#page += 1;
    const drafts = new Map<string, Draft>();
    const target = this.#targetInfo(collection[0]?.resource);
    if (target !== undefined) addTo(drafts, target.heading, target.series);
    let isHost = true;
    for (const { resource, scopeMetrics } of collection) {
      for (const { scope, metrics } of scopeMetrics) {
        const shared = this.#sharedAttributes(resource, isHost, scope);
        for (const metric of metrics) {
          if (definitionOf(metric.descriptor)?.legacyOnly === true) continue;
          const { heading, series } = this.#metric(metric, resource, scope, shared);
          if (series.length > 0) addTo(drafts, heading, series);
        }
      }
      isHost = false;
    }
    return this.#assemble(drafts.values());
  }

  #assemble(drafts: Iterable<Draft>): FamilySet {
    const known = new Map<string, KnownFamily>();
    const conflicts: string[] = [];
    for (const { heading, sources, otherTypes } of drafts) {
      const { name, type } = heading;
      if (otherTypes.size > 0) {
        // One name cannot have two types; the specification drops the metric.
        for (const other of otherTypes) conflicts.push(`${name}: is ${type} and ${other}`);
        continue;
      }
      const before = this.#families.get(name);
      const isSame = before?.heading === heading && haveSameItems(before.sources, sources);
      const now = isSame ? before : nextFamily(before, heading, sources);
      if (now.hasDuplicates) conflicts.push(`${name}: two points have the same labels`);
      known.set(name, now);
    }
    this.#families = known;
    return { families: [...known.values()].map(({ family }) => family), conflicts };
  }

  #metric(metric: MetricData, resource: Resource, scope: InstrumentationScope, shared: Attributes): KnownMetric {
    let ofResource = this.#metrics.get(resource);
    if (ofResource === undefined) this.#metrics.set(resource, (ofResource = new Map()));
    const heading = this.#heading(metric);
    const before = ofResource.get(metric.descriptor);
    const isSame =
      before?.heading === heading &&
      before.shared === shared &&
      before.scope === scope &&
      // A collection may hold a metric twice.
      before.page !== this.#page;
    if (isSame && showSamePoints(before, metric.dataPoints)) {
      before.page = this.#page;
      return before;
    }
    const known = {
      heading,
      scope,
      shared,
      points: [...metric.dataPoints],
      series: this.#series(metric.dataPoints, shared, isSame ? before : undefined),
      page: this.#page,
    };
    ofResource.set(metric.descriptor, known);
    return known;
  }

  /** The series of these points; those of points that were there before are taken over. */
  #series(points: readonly AnyPoint[], shared: Attributes, before: KnownMetric | undefined): readonly Series[] {
    const known = new Map(before?.points.map(({ attributes }, index) => [attributes, before.series[index]]));
    return points.map((point) => {
      const series = known.get(point.attributes);
      if (series === undefined) return new Series(labelText([point.attributes, shared], this.#labelName), point);
      // Two points may share their attributes.
      known.delete(point.attributes);
      series.point = point;
      return series;
    });
  }

  #targetInfo(resource: Resource | undefined): { readonly heading: Heading; readonly series: readonly Series[] } | undefined {
    if (!this.#settings.target_info || resource === undefined) return undefined;
    if (this.#target?.resource !== resource) {
      const heading = newHeading(escapeName('target_info', this.#escaping), 'info', 'Target metadata.', '');
      const series = new Series(labelText([resource.attributes], this.#labelName), { value: 1, startTime: [0, 0] });
      this.#target = { resource, heading, series: [series] };
    }
    return this.#target;
  }

  #heading(metric: MetricData): Heading {
    const { descriptor } = metric;
    const instrument = instrumentOf(metric);
    let known = this.#headings.get(descriptor);
    if (known === undefined) this.#headings.set(descriptor, (known = new Map()));
    let heading = known.get(instrument);
    if (heading === undefined) {
      const name = escapeName(prometheusName({ ...descriptor, instrument }, this.#settings.translation_strategy), this.#escaping);
      const type = instrument === 'up_down_counter' ? 'gauge' : instrument;
      const word = unitWord(descriptor.unit);
      heading = newHeading(name, type, descriptor.description, endsInUnit(name, type, word) ? word : '');
      known.set(instrument, heading);
    }
    return heading;
  }

  /** Kept for as long as the resource lives: series are recognized by it. */
  #sharedAttributes(resource: Resource, isHost: boolean, scope: InstrumentationScope): Attributes {
    const { identity_labels: hasIdentity, resource_labels: patterns, scope_labels: hasScope } = this.#settings;
    const scopeKey = hasScope ? `${scope.name}\u0000${scope.version ?? ''}\u0000${scope.schemaUrl ?? ''}` : '';
    const key = `${isHost}\u0000${scopeKey}`;
    let ofResource = this.#shared.get(resource);
    if (ofResource === undefined) this.#shared.set(resource, (ofResource = new Map()));
    const known = ofResource.get(key);
    if (known !== undefined) return known;
    const shared: Attributes = {};
    const identity: readonly string[] = hasIdentity && !isHost ? IDENTITY_ATTRIBUTES : [];
    for (const [name, value] of Object.entries(resource.attributes)) {
      const isSelected = identity.includes(name) || patterns.some((pattern) => matches(name, pattern));
      if (isSelected && value !== undefined) shared[name] = value;
    }
    if (hasScope) addScope(shared, scope);
    ofResource.set(key, shared);
    return shared;
  }

  readonly #labelName = (attribute: string): string => {
    let name = this.#labelNames.get(attribute);
    if (name === undefined) {
      name = escapeName(prometheusLabelName(attribute, this.#settings.translation_strategy), this.#escaping);
      if (this.#labelNames.size < MAX_LABEL_NAMES) this.#labelNames.set(attribute, name);
    }
    return name;
  };
}

/** Attribute names come from tables and resources; a user's resource cannot grow the cache without end. */
const MAX_LABEL_NAMES = 1024;

type AnyPoint = MetricData['dataPoints'][number];

/** A family of which the metrics are still being collected. */
interface Draft {
  /** Taken from the first metric. */
  readonly heading: Heading;
  readonly sources: (readonly Series[])[];
  readonly otherTypes: Set<FamilyType>;
}

function addTo(drafts: Map<string, Draft>, heading: Heading, series: readonly Series[]): void {
  let draft = drafts.get(heading.name);
  if (draft === undefined) drafts.set(heading.name, (draft = { heading, sources: [], otherTypes: new Set() }));
  draft.sources.push(series);
  if (draft.heading.type !== heading.type) draft.otherTypes.add(heading.type);
}

/** True when the series are those of these points; they refer to these points then. */
function showSamePoints(known: KnownMetric, points: readonly AnyPoint[]): boolean {
  if (points.length !== known.points.length) return false;
  const isUnchanged = points.every((point, index) => point === known.points[index]);
  if (isUnchanged) return true;
  if (!points.every(({ attributes }, index) => haveSameContent(attributes, known.points[index]?.attributes))) return false;
  for (const [index, series] of known.series.entries()) series.point = points[index] ?? series.point;
  known.points = [...points];
  return true;
}

/** The family after a change. Only labels that come and go are looked at, as long as no two are the same. */
function nextFamily(before: KnownFamily | undefined, heading: Heading, sources: readonly (readonly Series[])[]): KnownFamily {
  if (before === undefined || before.hasDuplicates) return newFamily(heading, sources);
  const { labels } = before;
  const kept = new Set(sources);
  for (const source of before.sources) if (!kept.delete(source)) for (const one of source) labels.delete(one.labels);
  for (const source of kept) for (const one of source) labels.add(one.labels);
  const series = sources.flat();
  return labels.size === series.length
    ? { heading, family: { ...heading, series }, sources, labels, hasDuplicates: false }
    : newFamily(heading, sources);
}

/** The first of several points with the same labels is shown. */
function newFamily(heading: Heading, sources: readonly (readonly Series[])[]): KnownFamily {
  const labels = new Set<string>();
  const series: Series[] = [];
  let hasDuplicates = false;
  for (const one of sources.flat()) {
    const { size } = labels.add(one.labels);
    if (size > series.length) series.push(one);
    else hasDuplicates = true;
  }
  return { heading, family: { ...heading, series }, sources, labels, hasDuplicates };
}

function newHeading(name: string, type: FamilyType, help: string, unit: string): Heading {
  return { name, type, help, unit, numbers: 'go', created: type === 'counter' || type === 'histogram' ? 'samples' : 'unknown' };
}

/** OpenMetrics allows `# UNIT` only where the family's name ends in the unit. */
function endsInUnit(name: string, type: FamilyType, word: string): boolean {
  const base = type === 'counter' ? name.replace(/_total$/, '') : name;
  return word !== '' && base.endsWith(`_${word}`);
}

function matches(name: string, pattern: string): boolean {
  return pattern.endsWith('*') ? name.startsWith(pattern.slice(0, -1)) : name === pattern;
}

function addScope(shared: Attributes, { name, version, schemaUrl }: InstrumentationScope): void {
  shared['otel.scope.name'] = name;
  if (version !== undefined) shared['otel.scope.version'] = version;
  if (schemaUrl !== undefined) shared['otel.scope.schema_url'] = schemaUrl;
}

function haveSameItems<T>(a: readonly T[], b: readonly T[]): boolean {
  return a.length === b.length && a.every((item, index) => item === b[index]);
}

function haveSameContent(a: Attributes, b: Attributes | undefined): boolean {
  if (b === undefined || a === b) return a === b;
  const keys = Object.keys(a);
  return keys.length === Object.keys(b).length && keys.every((key) => a[key] === b[key]);
}
