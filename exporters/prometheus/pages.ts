import { promisify } from 'node:util';
import { constants, gzip, zstdCompress } from 'node:zlib';
import type { ResourceMetrics } from '@opentelemetry/sdk-metrics';
import { withDeadline } from '../../src/deadline.ts';
import { AgentError } from '../../src/errors.ts';
import type { Clock } from '../../src/host.ts';
import type { EscapingScheme } from './escaping.ts';
import type { ContentEncoding, PageFormat } from './negotiation.ts';
import type { Exposition } from './exposition.ts';

/** Makes the bytes of one format; keeps what it needs to make the next page cheaply. */
export interface PageEncoder {
  encode(exposition: Exposition): Uint8Array;
  /** Gives back the bytes of an earlier page that nobody reads any more; they may be written over. */
  recycle?(bytes: Uint8Array): void;
}

export interface PageRequest {
  readonly format: PageFormat;
  readonly escaping: EscapingScheme;
  /** Scopes to show; undefined shows all. The key tells selections apart. */
  readonly selection: { readonly key: string; readonly shows: (scope: string) => boolean } | undefined;
}

export interface PagesOptions {
  readonly collect: () => Promise<readonly ResourceMetrics[]>;
  /** Changes whenever a new cycle was applied, or points were removed. */
  readonly generation: () => number;
  readonly clock: Clock;
  readonly newExposition: (escaping: EscapingScheme) => Exposition;
  readonly newEncoder: (format: PageFormat) => PageEncoder;
  /** Called with what a page had to leave out. */
  readonly onConflicts: (conflicts: readonly string[]) => void;
}

/** While no new cycle comes, what the page says about the agent itself, and points that ran out, are at most this old. */
const MAX_PAGE_AGE_MS = 1_000;
/** A collection that takes longer is given up; Prometheus' own default timeout is as long. */
const COLLECT_DEADLINE_MS = 10_000;
/** What was needed for a format that nobody has asked for since is dropped. */
const UNUSED_AFTER_MS = 600_000;
/** Pages of selected groups kept for one generation. */
const MAX_SELECTED_PAGES = 8;

const compressors = {
  gzip: (bytes: Uint8Array): Promise<Uint8Array> => promisify(gzip)(bytes, { level: 1 }),
  zstd: (bytes: Uint8Array): Promise<Uint8Array> => promisify(zstdCompress)(bytes, { params: { [constants.ZSTD_c_compressionLevel]: 1 } }),
} as const;

/** The bytes of one page, compressed at most once for each encoding, in zlib's threads. */
export class Page {
  readonly bytes: Uint8Array;
  readonly #compressed = new Map<ContentEncoding, Promise<Uint8Array>>();
  #readers = 0;
  #onUnread: (() => void) | undefined;

  constructor(bytes: Uint8Array) {
    this.bytes = bytes;
  }

  /** The bytes stay as they are until the returned function is called. */
  hold(): () => void {
    this.#readers += 1;
    let isHeld = true;
    return () => {
      if (!isHeld) return;
      isHeld = false;
      this.#readers -= 1;
      if (this.#readers === 0) this.#onUnread?.();
    };
  }

  /** No new reader will come: calls back as soon as the last one has gone. */
  retire(onUnread: () => void): void {
    if (this.#readers === 0) onUnread();
    else this.#onUnread = onUnread;
  }

  encoded(encoding: ContentEncoding): Promise<Uint8Array> {
    if (encoding === 'identity') return Promise.resolve(this.bytes);
    let compressed = this.#compressed.get(encoding);
    if (compressed === undefined) {
      compressed = compressors[encoding](this.bytes).finally(this.hold());
      this.#compressed.set(encoding, compressed);
    }
    return compressed;
  }
}

interface Snapshot {
  readonly generation: number;
  readonly takenAtMs: number;
  readonly collection: Promise<readonly ResourceMetrics[]>;
  readonly pages: Map<string, Promise<Page>>;
}

/** One collection and one encoding for each generation and format, however many scrapers ask. */
export class Pages {
  readonly #options: PagesOptions;
  readonly #expositions = new Map<EscapingScheme, Exposition>();
  readonly #encoders = new Map<string, PageEncoder>();
  readonly #lastPages = new Map<string, Page>();
  readonly #lastUsedMs = new Map<string, number>();
  #snapshot: Snapshot | undefined;

  constructor(options: PagesOptions) {
    this.#options = options;
  }

  /** Rejects when the collection or its encoding failed; the next call tries again. Whoever reads the page later must hold it. */
  page(request: PageRequest): Promise<Page> {
    const snapshot = this.#currentSnapshot();
    const key = `${request.format} ${request.escaping} ${request.selection?.key ?? ''}`;
    let page = snapshot.pages.get(key);
    if (page === undefined) {
      page = this.#encode(snapshot, request);
      if (request.selection === undefined || snapshot.pages.size < MAX_SELECTED_PAGES) snapshot.pages.set(key, page);
      page.catch(() => this.#forget(snapshot));
    }
    return page;
  }

  #currentSnapshot(): Snapshot {
    const generation = this.#options.generation();
    const nowMs = this.#options.clock.monotonicMs();
    const last = this.#snapshot;
    if (last?.generation === generation && nowMs - last.takenAtMs < MAX_PAGE_AGE_MS) return last;
    const snapshot = { generation, takenAtMs: nowMs, collection: this.#collect(), pages: new Map<string, Promise<Page>>() };
    this.#snapshot = snapshot;
    this.#dropUnused(nowMs);
    return snapshot;
  }

  #dropUnused(nowMs: number): void {
    for (const [key, usedMs] of this.#lastUsedMs) {
      if (nowMs - usedMs < UNUSED_AFTER_MS) continue;
      this.#lastUsedMs.delete(key);
      this.#encoders.delete(key);
      this.#lastPages.delete(key);
    }
    for (const escaping of this.#expositions.keys()) {
      if (![...this.#lastUsedMs.keys()].some((key) => key.endsWith(` ${escaping}`))) this.#expositions.delete(escaping);
    }
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

  /** A page that failed leaves nothing behind that the next one builds on. */
  #forget(snapshot: Snapshot): void {
    if (this.#snapshot === snapshot) this.#snapshot = undefined;
    this.#expositions.clear();
    this.#encoders.clear();
    this.#lastPages.clear();
  }

  async #encode(snapshot: Snapshot, { format, escaping, selection }: PageRequest): Promise<Page> {
    const collection = await snapshot.collection;
    // From here to the bytes nothing awaits: points are live, and change only between cycles.
    if (selection !== undefined) {
      const exposition = this.#options.newExposition(escaping);
      exposition.update(selected(collection, selection.shows));
      return new Page(this.#options.newEncoder(format).encode(exposition));
    }
    const exposition = this.#exposition(escaping);
    const revision = exposition.revision;
    exposition.update(collection);
    if (exposition.revision !== revision && exposition.conflicts.length > 0) this.#options.onConflicts(exposition.conflicts);
    const encoder = this.#encoder(format, escaping);
    return this.#pageOf(`${format} ${escaping}`, encoder.encode(exposition), encoder);
  }

  /** The same bytes stay the same page, and keep their compressed forms; other bytes make the page before a thing of the past. */
  #pageOf(key: string, bytes: Uint8Array, encoder: PageEncoder): Page {
    const last = this.#lastPages.get(key);
    if (last?.bytes === bytes) return last;
    const page = new Page(bytes);
    this.#lastPages.set(key, page);
    last?.retire(() => encoder.recycle?.(last.bytes));
    return page;
  }

  #exposition(escaping: EscapingScheme): Exposition {
    let exposition = this.#expositions.get(escaping);
    if (exposition === undefined) this.#expositions.set(escaping, (exposition = this.#options.newExposition(escaping)));
    return exposition;
  }

  #encoder(format: PageFormat, escaping: EscapingScheme): PageEncoder {
    const key = `${format} ${escaping}`;
    this.#lastUsedMs.set(key, this.#options.clock.monotonicMs());
    let encoder = this.#encoders.get(key);
    if (encoder === undefined) this.#encoders.set(key, (encoder = this.#options.newEncoder(format)));
    return encoder;
  }
}

function selected(collection: readonly ResourceMetrics[], shows: (scope: string) => boolean): readonly ResourceMetrics[] {
  return collection.map(({ resource, scopeMetrics }) => ({
    resource,
    scopeMetrics: scopeMetrics.filter(({ scope }) => shows(scope.name)),
  }));
}
