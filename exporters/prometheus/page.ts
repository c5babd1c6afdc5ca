import { Buffer } from 'node:buffer';
import { promisify } from 'node:util';
import { constants, gzip, zstdCompress } from 'node:zlib';
import type { ResourceMetrics } from '@opentelemetry/sdk-metrics';
import { withDeadline } from '../../src/deadline.ts';
import { AgentError } from '../../src/errors.ts';
import type { Clock } from '../../src/host.ts';
import type { FamilySet } from './family.ts';
import { LegacyTotals, legacyFamilies } from './legacy-families.ts';
import type { LegacySettings } from './legacy-families.ts';
import type { EscapingScheme } from './naming.ts';
import type { ContentEncoding, PageFormat } from './negotiation.ts';
import { OtelFamilies } from './otel-families.ts';
import type { OtelFamilySettings } from './otel-families.ts';
import { processFamilies } from './process-families.ts';
import type { ProcessFacts } from './process-families.ts';
import { PROMETHEUS_DEFAULTS } from './settings.ts';
import type { PrometheusSettings } from './settings.ts';
import { writeProtobuf } from './protobuf.ts';
import { writeText } from './text.ts';

/** The settings of a page's content; the defaults hold for what is absent. */
export interface PageOptions extends Partial<Pick<PrometheusSettings, 'naming'> & OtelFamilySettings> {
  readonly legacy?: Partial<LegacySettings>;
}

export interface PageRequest {
  readonly format: PageFormat;
  readonly escaping: EscapingScheme;
  /** Metric groups to show; undefined shows all. The key identifies the selection. */
  readonly selection: { readonly key: string; readonly shows: (group: string) => boolean } | undefined;
}

/** Encodes collections one after the other. It keeps the text of labels and names, and the totals of legacy counters. */
export class PageEncoder {
  readonly #settings: Pick<PrometheusSettings, 'naming' | 'legacy'> & OtelFamilySettings;
  readonly #processFacts: (() => ProcessFacts) | undefined;
  readonly #otel = new Map<EscapingScheme, OtelFamilies>();
  readonly #legacyTotals = new LegacyTotals();

  /** With `processFacts`, a page with legacy names has the `process_*` families. */
  constructor(options: PageOptions = {}, processFacts?: () => ProcessFacts) {
    this.#settings = { ...PROMETHEUS_DEFAULTS, ...options, legacy: { ...PROMETHEUS_DEFAULTS.legacy, ...options.legacy } };
    this.#processFacts = processFacts;
  }

  /** The page of a collection, written into `memory` where it is large enough, and what was left out of it. */
  encode(
    collection: readonly ResourceMetrics[],
    request: PageRequest,
    memory?: Buffer,
  ): { readonly bytes: Buffer; readonly conflicts: readonly string[] } {
    const { families, conflicts } = this.families(collection, request);
    const bytes = request.format === 'protobuf' ? writeProtobuf(families, memory) : writeText(families, request.format, memory);
    return { bytes, conflicts };
  }

  /** The families of a page; of two with one name the first stays. */
  families(collection: readonly ResourceMetrics[], { escaping, selection }: Omit<PageRequest, 'format'>): FamilySet {
    const { naming, legacy } = this.#settings;
    const own =
      naming === 'legacy'
        ? NOTHING
        : this.#otelFamilies(escaping).of(selection === undefined ? collection : selected(collection, selection.shows));
    if (naming === 'otel') return own;
    const byName = new Map(own.families.map((family) => [family.name, family]));
    const conflicts = [...own.conflicts];
    const ofProcess = this.#processFacts === undefined ? [] : processFamilies(this.#processFacts());
    // Kept totals follow from whole collections, whatever is shown of them.
    for (const family of [...ofProcess, ...legacyFamilies(collection, this.#legacyTotals, legacy)]) {
      if (family.group !== undefined && selection?.shows(family.group) === false) continue;
      if (byName.has(family.name)) conflicts.push(`${family.name}: the agent's own names and the legacy names both have it`);
      else byName.set(family.name, family);
    }
    return { families: [...byName.values()], conflicts };
  }

  #otelFamilies(escaping: EscapingScheme): OtelFamilies {
    let families = this.#otel.get(escaping);
    if (families === undefined) this.#otel.set(escaping, (families = new OtelFamilies(escaping, this.#settings)));
    return families;
  }
}

const NOTHING: FamilySet = { families: [], conflicts: [] };

/** One collection as a page of text 0.0.4, for `once --format prometheus`. */
export function prometheusText(collection: readonly ResourceMetrics[], options: PageOptions = {}): string {
  const request = { format: 'text', escaping: 'underscores', selection: undefined } as const;
  return new PageEncoder(options).encode(collection, request).bytes.toString('utf8');
}

function selected(collection: readonly ResourceMetrics[], shows: (scope: string) => boolean): readonly ResourceMetrics[] {
  return collection.map(({ resource, scopeMetrics }) => ({
    resource,
    scopeMetrics: scopeMetrics.filter(({ scope }) => shows(scope.name)),
  }));
}

export interface PagesOptions {
  readonly collect: () => Promise<readonly ResourceMetrics[]>;
  /** Changes whenever a new cycle was applied, or points were removed. */
  readonly generation: () => number;
  readonly clock: Clock;
  readonly encoder: PageEncoder;
  /** Called with what a page had to leave out, when it changes. */
  readonly onConflicts: (conflicts: readonly string[]) => void;
}

/** While no new cycle comes, self-metrics on the page, and points that ran out, are at most this old. */
const MAX_PAGE_AGE_MS = 1_000;
/** A collection that takes longer is given up; Prometheus' own default timeout is as long. */
const COLLECT_DEADLINE_MS = 10_000;
/** The memory of a format that nobody has asked for since is dropped. */
const UNUSED_AFTER_MS = 600_000;
/** Pages of selected groups that are kept for one generation. */
const MAX_SELECTED_PAGES = 8;

const compressors = {
  gzip: (bytes: Uint8Array): Promise<Uint8Array> => promisify(gzip)(bytes, { level: 1 }),
  zstd: (bytes: Uint8Array): Promise<Uint8Array> => promisify(zstdCompress)(bytes, { params: { [constants.ZSTD_c_compressionLevel]: 1 } }),
} as const;

/** One page, compressed at most once for each encoding, in zlib's threads. Its bytes stay as they are while somebody reads it. */
export class Page {
  readonly bytes: Promise<Buffer>;
  readonly #compressed = new Map<ContentEncoding, Promise<Uint8Array>>();
  #readers = 0;
  #written: Buffer | undefined;

  constructor(bytes: Promise<Buffer>) {
    this.bytes = bytes;
    bytes.then(
      (written) => {
        this.#written = written;
      },
      // Each reader gets the failure itself.
      () => {},
    );
  }

  /** The memory of a page that nobody reads, for its successor to write into. */
  get freeMemory(): Buffer | undefined {
    return this.#readers > 0 || this.#written === undefined ? undefined : Buffer.from(this.#written.buffer);
  }

  /** The returned function ends the reading; it may be called more than once. */
  hold(): () => void {
    this.#readers += 1;
    let isHeld = true;
    return () => {
      if (isHeld) this.#readers -= 1;
      isHeld = false;
    };
  }

  /** For a reader that holds the page. */
  encoded(encoding: ContentEncoding): Promise<Uint8Array> {
    if (encoding === 'identity') return this.bytes;
    let compressed = this.#compressed.get(encoding);
    if (compressed === undefined) {
      compressed = this.bytes.then((bytes) => compressors[encoding](bytes)).finally(this.hold());
      this.#compressed.set(encoding, compressed);
    }
    return compressed;
  }
}

interface Snapshot {
  readonly generation: number;
  readonly takenAtMs: number;
  readonly collection: Promise<readonly ResourceMetrics[]>;
  readonly pages: Map<string, Page>;
}

/** One collection for each generation and one page for each format of it, however many scrapers ask. */
export class Pages {
  readonly #options: PagesOptions;
  /** The last page of each format: without using its memory again, garbage of some megabytes a scrape would wait for collection. */
  readonly #last = new Map<string, { readonly page: Page; readonly madeAtMs: number }>();
  #snapshot: Snapshot | undefined;
  #conflicts = '';

  constructor(options: PagesOptions) {
    this.#options = options;
  }

  /** A page to be held at once. Its bytes are rejected when collection or encoding fail; the next call tries again. */
  page(request: PageRequest): Page {
    const snapshot = this.#currentSnapshot();
    const key = `${request.format} ${request.escaping} ${request.selection?.key ?? ''}`;
    let page = snapshot.pages.get(key);
    if (page === undefined) {
      page = new Page(this.#encode(snapshot, request, this.#last.get(key)?.page));
      if (request.selection === undefined) this.#last.set(key, { page, madeAtMs: snapshot.takenAtMs });
      if (request.selection === undefined || snapshot.pages.size < MAX_SELECTED_PAGES) snapshot.pages.set(key, page);
    }
    return page;
  }

  #currentSnapshot(): Snapshot {
    const generation = this.#options.generation();
    const nowMs = this.#options.clock.monotonicMs();
    const last = this.#snapshot;
    if (last?.generation === generation && nowMs - last.takenAtMs < MAX_PAGE_AGE_MS) return last;
    for (const [key, { madeAtMs }] of this.#last) if (nowMs - madeAtMs >= UNUSED_AFTER_MS) this.#last.delete(key);
    this.#snapshot = { generation, takenAtMs: nowMs, collection: this.#collect(), pages: new Map<string, Page>() };
    return this.#snapshot;
  }

  async #collect(): Promise<readonly ResourceMetrics[]> {
    const { collect, clock } = this.#options;
    const collected = collect();
    const isInTime = await withDeadline(
      clock,
      collected.then(() => {}),
      COLLECT_DEADLINE_MS,
    );
    if (!isInTime) throw new AgentError('source_timeout', 'prometheus', `no collection within ${COLLECT_DEADLINE_MS / 1000} s`);
    return collected;
  }

  async #encode(snapshot: Snapshot, request: PageRequest, before: Page | undefined): Promise<Buffer> {
    try {
      const collection = await snapshot.collection;
      // From here to the bytes nothing awaits: points are live, and change only between cycles.
      const { bytes, conflicts } = this.#options.encoder.encode(collection, request, before?.freeMemory);
      if (request.selection === undefined) this.#report(conflicts);
      return bytes;
    } catch (thrown) {
      if (this.#snapshot === snapshot) this.#snapshot = undefined;
      throw thrown;
    }
  }

  #report(conflicts: readonly string[]): void {
    const text = conflicts.join('\n');
    if (text !== this.#conflicts && text !== '') this.#options.onConflicts(conflicts);
    this.#conflicts = text;
  }
}
