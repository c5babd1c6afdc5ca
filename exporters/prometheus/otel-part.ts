import type { Attributes } from '@opentelemetry/api';
import type { InstrumentationScope } from '@opentelemetry/core';
import type { Resource } from '@opentelemetry/resources';
import type { ResourceMetrics } from '@opentelemetry/sdk-metrics';
import { definitionOf } from '../../src/metric-table.ts';
import { escapeName } from './escaping.ts';
import type { EscapingScheme } from './escaping.ts';
import type { ExpositionPart, Refresh } from './exposition.ts';
import { HistogramSeries, NumberSeries } from './family.ts';
import type { Family, FamilyType } from './family.ts';
import { labelText } from './labels.ts';
import { identityOf, prometheusLabelName, prometheusName, unitWord } from './naming.ts';
import type { TranslationStrategy } from './naming.ts';
import { PointPlan } from './point-plan.ts';
import type { AnyPoint, PointOrigin, PointSink } from './point-plan.ts';

/** Resource attributes that tell Neuron processes apart; Prometheus knows one `target_info`, so they are labels. */
export const IDENTITY_ATTRIBUTES = [
  'process.pid',
  'neuron.runtime.tag',
  'k8s.pod.name',
  'k8s.namespace.name',
  'k8s.container.name',
  'container.id',
] as const;

export interface OtelPartOptions {
  readonly strategy: TranslationStrategy;
  readonly escaping: EscapingScheme;
  /** `otel_scope_name`, `otel_scope_version` and `otel_scope_schema_url` on every series. */
  readonly scopeLabels: boolean;
  /** `IDENTITY_ATTRIBUTES` of the process's resource on the series of Neuron processes. */
  readonly identityLabels: boolean;
  /** Further resource attributes on every series, by name; a trailing `*` stands for any ending. */
  readonly resourceLabels: readonly string[];
  readonly targetInfo: boolean;
}

/** The families in OpenTelemetry's names. */
export class OtelPart implements ExpositionPart {
  families: readonly Family[] = [];
  conflicts: readonly string[] = [];
  readonly #options: OtelPartOptions;
  readonly #plan = new PointPlan();
  readonly #labelNames = new Map<string, string>();
  readonly #known = new WeakMap<Attributes, KnownSeries>();
  readonly #shared = new WeakMap<Resource, Map<string, Attributes>>();
  #building = new Map<string, BuildingFamily>();
  #conflicts = new Set<string>();
  /** Series that are always 1. */
  #constants: NumberSeries[] = [];

  constructor(options: OtelPartOptions) {
    this.#options = options;
  }

  refresh(collection: readonly ResourceMetrics[], cells: Float64Array): Refresh {
    for (const series of this.#constants) cells[series.cell] = 1;
    return this.#plan.refresh(collection, cells);
  }

  rebuild(collection: readonly ResourceMetrics[]): void {
    this.#building = new Map();
    this.#conflicts = new Set();
    this.#constants = [];
    const [host] = collection;
    if (this.#options.targetInfo && host !== undefined) this.#addTargetInfo(host.resource);
    const bind = this.#binder();
    this.#plan.rebuild(collection, bind);
    this.families = [...this.#building.values()].filter(({ series, refused }) => series.length > 0 && !refused);
    this.conflicts = [...this.#conflicts];
    this.#building = new Map();
  }

  #addTargetInfo(resource: Resource): void {
    const series = new NumberSeries(labelText([resource.attributes], this.#labelName), { hasCreated: false });
    this.#constants.push(series);
    const family = newFamily(escapeName('target_info', this.#options.escaping), 'info', 'Target metadata.', '');
    family.series.push(series);
    this.#building.set(family.name, family);
  }

  /** What all points of one metric of one resource share is worked out once. */
  #binder(): (point: AnyPoint, origin: PointOrigin) => PointSink | undefined {
    let known: PointOrigin | undefined;
    let shared: Attributes = {};
    let family: BuildingFamily | undefined;
    return (point, origin) => {
      if (origin !== known) {
        known = origin;
        shared = this.#sharedAttributes(origin);
        family = this.#family(origin);
      }
      return family === undefined ? undefined : this.#series(family, point.attributes, shared);
    };
  }

  #series(family: BuildingFamily, attributes: Attributes, shared: Attributes): NumberSeries | HistogramSeries | undefined {
    let known = this.#known.get(attributes);
    if (known?.shared !== shared || known.family !== family.name) {
      const text = labelText([attributes, shared], this.#labelName);
      known = { family: family.name, shared, series: newSeries(family, text) };
      this.#known.set(attributes, known);
    }
    const text = known.series.labelText;
    if (family.labelTexts.has(text)) {
      this.#conflicts.add(`${family.name}: two points have the same labels`);
      return undefined;
    }
    family.labelTexts.add(text);
    family.series.push(known.series);
    return known.series;
  }

  #family({ metric }: PointOrigin): BuildingFamily | undefined {
    if (definitionOf(metric.descriptor)?.legacyOnly === true) return undefined;
    const identity = identityOf(metric);
    const { strategy, escaping } = this.#options;
    const name = escapeName(prometheusName(identity, strategy), escaping);
    const type = identity.instrument === 'up_down_counter' ? 'gauge' : identity.instrument;
    const existing = this.#building.get(name);
    if (existing === undefined) {
      const word = unitWord(identity.unit);
      const family = newFamily(name, type, metric.descriptor.description, endsInUnit(name, type, word) ? word : '');
      this.#building.set(name, family);
      return family;
    }
    if (existing.type === type) return existing;
    // One name cannot have two types; the specification drops the metric.
    existing.refused = true;
    this.#conflicts.add(`${name}: is ${existing.type} and ${type}`);
    return undefined;
  }

  /** Kept for as long as the resource lives: series are recognized by it. */
  #sharedAttributes({ resource, isHost, scope }: PointOrigin): Attributes {
    const { identityLabels, resourceLabels, scopeLabels } = this.#options;
    const scopeKey = scopeLabels ? `${scope.name}\u0000${scope.version ?? ''}\u0000${scope.schemaUrl ?? ''}` : '';
    const ofResource = this.#shared.get(resource) ?? new Map<string, Attributes>();
    const known = ofResource.get(scopeKey);
    if (known !== undefined) return known;
    const shared: Attributes = {};
    const identity: readonly string[] = identityLabels && !isHost ? IDENTITY_ATTRIBUTES : [];
    for (const [name, value] of Object.entries(resource.attributes)) {
      const selected = identity.includes(name) || resourceLabels.some((pattern) => matches(name, pattern));
      if (selected && value !== undefined) shared[name] = value;
    }
    if (scopeLabels) addScope(shared, scope);
    this.#shared.set(resource, ofResource.set(scopeKey, shared));
    return shared;
  }

  readonly #labelName = (attribute: string): string => {
    let name = this.#labelNames.get(attribute);
    if (name === undefined) {
      name = escapeName(prometheusLabelName(attribute, this.#options.strategy), this.#options.escaping);
      if (this.#labelNames.size < MAX_LABEL_NAMES) this.#labelNames.set(attribute, name);
    }
    return name;
  };
}

/** Attribute names come from tables and resources; a user's resource cannot grow the cache without end. */
const MAX_LABEL_NAMES = 1024;

/** A series and what its labels were made from. */
interface KnownSeries {
  readonly family: string;
  readonly shared: Attributes;
  readonly series: NumberSeries | HistogramSeries;
}

interface BuildingFamily extends Family {
  readonly series: (NumberSeries | HistogramSeries)[];
  readonly labelTexts: Set<string>;
  refused: boolean;
}

function newFamily(name: string, type: FamilyType, help: string, unit: string): BuildingFamily {
  const created = type === 'counter' || type === 'histogram' ? 'samples' : 'unknown';
  return { name, type, help, unit, series: [], numbers: 'go', created, labelTexts: new Set(), refused: false };
}

function newSeries({ type, created }: Family, text: string): NumberSeries | HistogramSeries {
  return type === 'histogram' ? new HistogramSeries(text) : new NumberSeries(text, { hasCreated: created !== 'unknown' });
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
