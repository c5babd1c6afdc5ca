import type { Attributes } from '@opentelemetry/api';
import { resourceFromAttributes } from '@opentelemetry/resources';
import type { Resource } from '@opentelemetry/resources';
import type { ResourceMetrics, ScopeMetrics } from '@opentelemetry/sdk-metrics';
import { GroupSeries, StoreCounts } from './group-series.ts';
import { instanceIdOf } from './identity.ts';
import type { MetricDefinition } from './metric-table.ts';
import type { Cycle, CycleTime } from './receiver.ts';
import type { MetricGroup } from './readings.ts';

/** The owner of points. A runtime's key holds pid, start time and tag. */
export type EntityRef =
  | { readonly kind: 'host' }
  | { readonly kind: 'runtime'; readonly key: string; readonly attributes: Readonly<Record<string, string | number>> };

export interface SeriesStoreOptions {
  readonly version: string;
  /** Attributes of every resource (service name, user's own); they win over what receivers contribute. */
  readonly resource: Readonly<Record<string, string | number | boolean>>;
  /** Series kept at most, hidden totals included. */
  readonly maxSeries: number;
  readonly isEnabled: (metric: MetricDefinition) => boolean;
}

export interface SeriesSelection {
  readonly groups?: ReadonlySet<MetricGroup>;
  readonly after?: number;
  readonly legacy?: boolean;
}

/** Totals of a process whose source fell silent wait this long for its return. */
export const SUSPENDED_ENTITY_RETENTION_MS = 3_600_000;

interface Entity {
  readonly ref: EntityRef;
  readonly groups: Map<MetricGroup, GroupSeries>;
  /** As built when the contributions to it had changed `resourceVersion` times. */
  resource: Resource | undefined;
  resourceVersion: number;
  lastSeenMs: number;
}

const SCHEMA_URL = 'https://opentelemetry.io/schemas/1.44.0';

/** Keeps the live series of the host and of every Neuron process. A series that is gone is gone for every reader at once. */
export class SeriesStore {
  #options: SeriesStoreOptions;
  readonly #host: Entity;
  readonly #runtimes = new Map<string, Entity>();
  readonly #counts: StoreCounts;
  #hostIdentity: string | undefined;

  constructor(options: SeriesStoreOptions) {
    this.#options = options;
    this.#counts = new StoreCounts(options.maxSeries);
    this.#host = newEntity({ kind: 'host' });
  }

  /** Takes what a new configuration changes. Series go on, but for metrics that are switched on or off, whose series begin anew. */
  reconfigure(changes: Pick<SeriesStoreOptions, 'resource' | 'maxSeries' | 'isEnabled'>): void {
    this.#options = { ...this.#options, ...changes };
    this.#counts.maxSeries = changes.maxSeries;
    for (const entity of this.#entities()) {
      entity.resource = undefined;
      for (const series of entity.groups.values()) series.forgetSwitched();
    }
  }

  /** Rises with every cycle; a reader that remembers it can ask for newer cycles only. */
  get sequence(): number {
    return this.#counts.sequence;
  }

  /** Series in memory, hidden totals included. */
  get size(): number {
    return this.#counts.size;
  }

  get hostResource(): Resource {
    return this.#resource(this.#host);
  }

  /**
   * Takes a name that only this host has, once and before the first cycle: an identity that changed would end every series. Each
   * resource gets a `service.instance.id` from it, because that and the points' attributes are all that backends of the Prometheus family
   * keep. The user's own one stays that of the host, and those of the processes are made from it.
   */
  identify(hostIdentity: string): void {
    this.#hostIdentity ??= hostIdentity;
    this.#host.resource = undefined;
  }

  /** Begins a cycle of one group of one entity: what is recorded before its `end` replaces the group's points. */
  begin(ref: EntityRef, group: MetricGroup, time: CycleTime): Cycle {
    const entity = this.#entity(ref);
    entity.lastSeenMs = time.monotonicMs;
    const series = this.#groupSeries(entity, group);
    series.begin(time);
    return series;
  }

  /** Forgets every runtime not named: its process has ended. Returns how many were forgotten. */
  retainRuntimes(keys: ReadonlySet<string>): number {
    let removed = 0;
    for (const [key, entity] of this.#runtimes) {
      if (keys.has(key)) continue;
      this.#forget(key, entity);
      removed += 1;
    }
    return removed;
  }

  /** Hides a group of every entity, or of those `only` accepts; totals stay for its return. */
  hide(group: MetricGroup, only: (entity: EntityRef) => boolean = () => true): void {
    for (const entity of this.#entities()) if (only(entity.ref)) entity.groups.get(group)?.hide();
  }

  /** Hides what was not renewed in time and forgets runtimes that stayed away too long. Returns the groups that were hidden. */
  expire(monotonicMs: number): ReadonlySet<MetricGroup> {
    const expired = new Set<MetricGroup>();
    for (const entity of this.#entities()) {
      for (const series of entity.groups.values()) {
        if (!series.live || monotonicMs < series.expiresAtMs) continue;
        series.hide();
        expired.add(series.group);
      }
    }
    for (const [key, entity] of this.#runtimes) {
      if (monotonicMs - entity.lastSeenMs > SUSPENDED_ENTITY_RETENTION_MS) this.#forget(key, entity);
    }
    return expired;
  }

  /**
   * Points of the host. With `after`, only those of groups with a cycle newer than that sequence; with `legacy`, also the rows that
   * feed legacy families only. The returned points are the store's own and change with the next cycle.
   */
  collectHost(select: SeriesSelection = {}): ResourceMetrics {
    return { resource: this.hostResource, scopeMetrics: scopesOf(this.#host, select) };
  }

  /** Points of each Neuron process that has some, selected in the same way. */
  collectRuntimes(select: SeriesSelection = {}): ResourceMetrics[] {
    const collected: ResourceMetrics[] = [];
    for (const entity of this.#runtimes.values()) {
      const scopeMetrics = scopesOf(entity, select);
      if (scopeMetrics.length > 0) collected.push({ resource: this.#resource(entity), scopeMetrics });
    }
    return collected;
  }

  *#entities(): Iterable<Entity> {
    yield this.#host;
    yield* this.#runtimes.values();
  }

  #entity(ref: EntityRef): Entity {
    if (ref.kind === 'host') return this.#host;
    let entity = this.#runtimes.get(ref.key);
    if (entity === undefined) {
      entity = newEntity(ref);
      this.#runtimes.set(ref.key, entity);
    }
    return entity;
  }

  #groupSeries(entity: Entity, group: MetricGroup): GroupSeries {
    let series = entity.groups.get(group);
    if (series === undefined) {
      series = new GroupSeries({
        group,
        version: this.#options.version,
        isEnabled: (metric) => this.#options.isEnabled(metric),
        counts: this.#counts,
      });
      entity.groups.set(group, series);
    }
    return series;
  }

  #forget(key: string, entity: Entity): void {
    for (const series of entity.groups.values()) this.#counts.size -= series.size;
    this.#runtimes.delete(key);
  }

  #resource(entity: Entity): Resource {
    const version = contributionVersion(this.#host) + (entity === this.#host ? 0 : contributionVersion(entity));
    if (entity.resource === undefined || entity.resourceVersion !== version) {
      entity.resource = resourceFromAttributes(this.#resourceAttributes(entity), { schemaUrl: SCHEMA_URL });
      entity.resourceVersion = version;
    }
    return entity.resource;
  }

  #instanceId(ref: EntityRef): string | undefined {
    const ofUser = this.#options.resource['service.instance.id'];
    const ofHost = ofUser === undefined ? this.#hostIdentity && instanceIdOf(this.#hostIdentity) : String(ofUser);
    if (ref.kind === 'host' || ofHost === undefined) return ofHost;
    return instanceIdOf(`${ofHost}\u0000${ref.key}`);
  }

  #resourceAttributes(entity: Entity): Attributes {
    const attributes: Attributes = {};
    const layers = contributionsOf(this.#host);
    if (entity.ref.kind === 'runtime') layers.push(entity.ref.attributes, ...contributionsOf(entity));
    for (const layer of [...layers, this.#options.resource]) {
      for (const [name, value] of Object.entries(layer)) if (value !== undefined) attributes[name] = value;
    }
    const instanceId = this.#instanceId(entity.ref);
    return instanceId === undefined ? attributes : { ...attributes, 'service.instance.id': instanceId };
  }
}

function newEntity(ref: EntityRef): Entity {
  return { ref, groups: new Map(), resource: undefined, resourceVersion: 0, lastSeenMs: 0 };
}

function scopesOf(entity: Entity, { groups, after = 0, legacy = false }: SeriesSelection): ScopeMetrics[] {
  const scopeMetrics: ScopeMetrics[] = [];
  for (const series of entity.groups.values()) {
    if (groups?.has(series.group) === false || !series.live || series.sequence <= after) continue;
    const points = series.scopeMetrics({ legacy });
    if (points.metrics.length > 0) scopeMetrics.push(points);
  }
  return scopeMetrics;
}

function contributionsOf(entity: Entity): Readonly<Record<string, string | number | undefined>>[] {
  return Array.from(entity.groups.values(), ({ contribution }) => contribution);
}

/** Groups never leave an entity and their versions only rise, so an equal sum is an equal resource. */
function contributionVersion(entity: Entity): number {
  let version = 0;
  for (const series of entity.groups.values()) version += series.contributionVersion;
  return version;
}
