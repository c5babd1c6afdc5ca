import type { Attributes } from '@opentelemetry/api';
import { resourceFromAttributes } from '@opentelemetry/resources';
import type { Resource } from '@opentelemetry/resources';
import type { ResourceMetrics } from '@opentelemetry/sdk-metrics';
import { GroupSeries } from './group-series.ts';
import type { CycleResult, CycleTime } from './group-series.ts';
import type { MetricDefinition } from './metric-table.ts';
import type { Recorder } from './receiver.ts';
import type { MetricGroup } from './readings.ts';

/** Whose points these are. A runtime's key holds pid, start time and tag. */
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

/** One cycle of one group of one entity. */
export interface Cycle extends CycleTime {
  readonly entity: EntityRef;
  readonly group: MetricGroup;
  /** Monotonic time of arrival. */
  readonly monotonicMs: number;
  /** How long the points stay valid without a new cycle. */
  readonly lifetimeMs: number;
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
  readonly contributions: Map<MetricGroup, Readonly<Record<string, string | number | undefined>>>;
  resource: Resource | undefined;
  lastSeenMs: number;
}

const SCHEMA_URL = 'https://opentelemetry.io/schemas/1.44.0';

/** Keeps the live series of the host and of every Neuron process. A series that is gone is gone for every reader at once. */
export class SeriesStore {
  readonly #options: SeriesStoreOptions;
  readonly #host: Entity;
  readonly #runtimes = new Map<string, Entity>();
  #sequence = 0;
  #size = 0;

  constructor(options: SeriesStoreOptions) {
    this.#options = options;
    this.#host = newEntity({ kind: 'host' });
  }

  /** Rises with every cycle; a reader that remembers it can ask for newer cycles only. */
  get sequence(): number {
    return this.#sequence;
  }

  /** Series in memory, hidden totals included. */
  get size(): number {
    return this.#size;
  }

  get hostResource(): Resource {
    return this.#resource(this.#host);
  }

  /** Replaces the points of one group of one entity with what `record` records. */
  apply(cycle: Cycle, record: (recorder: Recorder) => void): CycleResult {
    const entity = this.#entity(cycle.entity);
    entity.lastSeenMs = cycle.monotonicMs;
    const series = this.#groupSeries(entity, cycle.group);
    const others = this.#size - series.size;
    const result = series.run(cycle, record);
    this.#size = others + series.size;
    series.expiresAtMs = cycle.monotonicMs + cycle.lifetimeMs;
    this.#sequence += 1;
    series.sequence = this.#sequence;
    return result;
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
    for (const entity of this.#entities()) if (only(entity.ref)) this.#hide(entity.groups.get(group));
  }

  /** Hides what was not renewed in time and forgets runtimes that stayed away too long. Returns the groups that were hidden. */
  expire(monotonicMs: number): ReadonlySet<MetricGroup> {
    const expired = new Set<MetricGroup>();
    for (const entity of this.#entities()) {
      for (const series of entity.groups.values()) {
        if (!series.live || monotonicMs < series.expiresAtMs) continue;
        this.#hide(series);
        expired.add(series.group);
      }
    }
    for (const [key, entity] of this.#runtimes) {
      if (monotonicMs - entity.lastSeenMs > SUSPENDED_ENTITY_RETENTION_MS) this.#forget(key, entity);
    }
    return expired;
  }

  /**
   * Points of the given groups, the host's resource first. With `after`, only groups with a cycle newer than that sequence;
   * with `legacy`, also the rows that feed legacy families only.
   * The returned points are the store's own and change with the next cycle.
   */
  collect(select: SeriesSelection = {}): ResourceMetrics[] {
    const collected: ResourceMetrics[] = [];
    const legacy = select.legacy ?? false;
    for (const entity of this.#entities()) {
      const scopeMetrics = [];
      for (const series of entity.groups.values()) {
        const points = series.scopeMetrics({ legacy });
        if (!series.live || points.metrics.length === 0) continue;
        if (select.groups?.has(series.group) === false || series.sequence <= (select.after ?? 0)) continue;
        scopeMetrics.push(points);
      }
      if (entity === this.#host || scopeMetrics.length > 0) collected.push({ resource: this.#resource(entity), scopeMetrics });
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
        isEnabled: this.#options.isEnabled,
        mayGrow: () => this.#reserve(),
        contribute: (attributes) => this.#contribute(entity, group, attributes),
      });
      entity.groups.set(group, series);
    }
    return series;
  }

  /** Counts a series about to be created, so that one huge cycle cannot pass the limit either. */
  #reserve(): boolean {
    if (this.#size >= this.#options.maxSeries) return false;
    this.#size += 1;
    return true;
  }

  #hide(series: GroupSeries | undefined): void {
    if (series === undefined) return;
    const sizeBefore = series.size;
    series.hide();
    this.#size += series.size - sizeBefore;
  }

  #forget(key: string, entity: Entity): void {
    for (const series of entity.groups.values()) this.#size -= series.size;
    this.#runtimes.delete(key);
  }

  #contribute(entity: Entity, group: MetricGroup, attributes: Readonly<Record<string, string | number | undefined>>): void {
    const before = entity.contributions.get(group);
    if (before !== undefined && sameAttributes(before, attributes)) return;
    entity.contributions.set(group, attributes);
    entity.resource = undefined;
    if (entity === this.#host) for (const runtime of this.#runtimes.values()) runtime.resource = undefined;
  }

  #resource(entity: Entity): Resource {
    entity.resource ??= resourceFromAttributes(this.#resourceAttributes(entity), { schemaUrl: SCHEMA_URL });
    return entity.resource;
  }

  #resourceAttributes(entity: Entity): Attributes {
    const attributes: Attributes = {};
    const layers = [...this.#host.contributions.values()];
    if (entity.ref.kind === 'runtime') layers.push(entity.ref.attributes, ...entity.contributions.values());
    for (const layer of [...layers, this.#options.resource]) {
      for (const [name, value] of Object.entries(layer)) if (value !== undefined) attributes[name] = value;
    }
    return attributes;
  }
}

function newEntity(ref: EntityRef): Entity {
  return { ref, groups: new Map(), contributions: new Map(), resource: undefined, lastSeenMs: 0 };
}

function sameAttributes(
  a: Readonly<Record<string, string | number | undefined>>,
  b: Readonly<Record<string, string | number | undefined>>,
): boolean {
  const names = Object.keys(a);
  return names.length === Object.keys(b).length && names.every((name) => a[name] === b[name]);
}
