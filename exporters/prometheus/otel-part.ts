import type { Attributes } from '@opentelemetry/api';
import type { InstrumentationScope } from '@opentelemetry/core';
import type { Resource } from '@opentelemetry/resources';
import type { MetricData, ResourceMetrics } from '@opentelemetry/sdk-metrics';
import { definitionOf } from '../../src/metric-table.ts';
import { escapeName } from './escaping.ts';
import type { EscapingScheme } from './escaping.ts';
import type { ExpositionPart, Refresh } from './exposition.ts';
import { HistogramSeries, NumberSeries } from './family.ts';
import type { Family, FamilyType } from './family.ts';
import { labelText } from './labels.ts';
import { identityOf, prometheusLabelName, prometheusName, unitWord } from './naming.ts';
import { OtelFamilies } from './otel-families.ts';
import type { Heading, OtelMetric, OtelSeries } from './otel-families.ts';
import { PointPlan } from './point-plan.ts';
import type { MetricPlace } from './point-segment.ts';
import type { PrometheusSettings } from './settings.ts';

/** Resource attributes that tell Neuron processes apart; Prometheus knows one `target_info`, so they are labels. */
export const IDENTITY_ATTRIBUTES = [
  'process.pid',
  'neuron.runtime.tag',
  'k8s.pod.name',
  'k8s.namespace.name',
  'k8s.container.name',
  'container.id',
] as const;

type OtelPartSettings = Pick<
  PrometheusSettings,
  'translation_strategy' | 'scope_labels' | 'identity_labels' | 'resource_labels' | 'target_info'
>;

/** The families in OpenTelemetry's names. */
export class OtelPart implements ExpositionPart {
  families: readonly Family[] = [];
  conflicts: readonly string[] = [];
  readonly #settings: OtelPartSettings;
  readonly #escaping: EscapingScheme;
  readonly #plan = new PointPlan<OtelMetric | undefined>();
  readonly #assembly = new OtelFamilies();
  readonly #labelNames = new Map<string, string>();
  readonly #known = new WeakMap<Attributes, KnownSeries>();
  readonly #shared = new WeakMap<Resource, Map<string, Attributes>>();
  #target: TargetInfo | undefined;

  constructor(settings: OtelPartSettings, escaping: EscapingScheme) {
    this.#settings = settings;
    this.#escaping = escaping;
  }

  refresh(collection: readonly ResourceMetrics[], cells: Float64Array): Refresh {
    // It is always 1.
    if (this.#target !== undefined) cells[this.#target.series.cell] = 1;
    return this.#plan.refresh(collection, cells);
  }

  rebuild(collection: readonly ResourceMetrics[]): void {
    this.#plan.rebuild(collection, (metric, place) => this.#learn(metric, place));
    const target = this.#targetInfo(collection[0]?.resource);
    this.#assembly.assemble(this.#plan.segments, target?.family);
    this.families = this.#assembly.shown;
    this.conflicts = this.#assembly.conflicts;
    this.#target = target !== undefined && this.families.includes(target.family) ? target : undefined;
  }

  #targetInfo(resource: Resource | undefined): TargetInfo | undefined {
    if (!this.#settings.target_info || resource === undefined) return undefined;
    if (this.#target?.resource === resource) return this.#target;
    const series = new NumberSeries(labelText([resource.attributes], this.#labelName), { hasCreated: false });
    const heading = newHeading(escapeName('target_info', this.#escaping), 'info', 'Target metadata.', '');
    return { resource, series, family: { ...heading, series: [series] } };
  }

  #learn(metric: MetricData, place: MetricPlace): OtelMetric | undefined {
    if (definitionOf(metric.descriptor)?.legacyOnly === true) return undefined;
    const heading = this.#heading(metric);
    const shared = this.#sharedAttributes(place);
    return { heading, series: metric.dataPoints.map(({ attributes }) => this.#series(heading, attributes, shared)) };
  }

  #series({ name, type, created }: Heading, attributes: Attributes, shared: Attributes): OtelSeries {
    const known = this.#known.get(attributes);
    if (known?.shared === shared && known.name === name && known.type === type) return known.series;
    const text = labelText([attributes, shared], this.#labelName);
    const series = type === 'histogram' ? new HistogramSeries(text) : new NumberSeries(text, { hasCreated: created !== 'unknown' });
    this.#known.set(attributes, { name, type, shared, series });
    return series;
  }

  #heading(metric: MetricData): Heading {
    const identity = identityOf(metric);
    const name = escapeName(prometheusName(identity, this.#settings.translation_strategy), this.#escaping);
    const type = identity.instrument === 'up_down_counter' ? 'gauge' : identity.instrument;
    const word = unitWord(identity.unit);
    return newHeading(name, type, metric.descriptor.description, endsInUnit(name, type, word) ? word : '');
  }

  /** Kept for as long as the resource lives: series are recognized by it. */
  #sharedAttributes({ resource, isHost, scope }: MetricPlace): Attributes {
    const { identity_labels: hasIdentity, resource_labels: patterns, scope_labels: hasScope } = this.#settings;
    const scopeKey = hasScope ? `${scope.name}\u0000${scope.version ?? ''}\u0000${scope.schemaUrl ?? ''}` : '';
    const key = `${isHost}\u0000${scopeKey}`;
    const ofResource = this.#shared.get(resource) ?? new Map<string, Attributes>();
    const known = ofResource.get(key);
    if (known !== undefined) return known;
    const shared: Attributes = {};
    const identity: readonly string[] = hasIdentity && !isHost ? IDENTITY_ATTRIBUTES : [];
    for (const [name, value] of Object.entries(resource.attributes)) {
      const selected = identity.includes(name) || patterns.some((pattern) => matches(name, pattern));
      if (selected && value !== undefined) shared[name] = value;
    }
    if (hasScope) addScope(shared, scope);
    this.#shared.set(resource, ofResource.set(key, shared));
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

/** The family that shows the host's resource. */
interface TargetInfo {
  readonly resource: Resource;
  readonly series: NumberSeries;
  readonly family: Family;
}

/** A series and what its labels were made from. */
interface KnownSeries {
  readonly name: string;
  readonly type: FamilyType;
  readonly shared: Attributes;
  readonly series: OtelSeries;
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
