import type { ResourceMetrics } from '@opentelemetry/sdk-metrics';
import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { Exposition } from '../../../exporters/prometheus/exposition.ts';
import { newExposition } from '../../../exporters/prometheus/expositions.ts';
import type { ExpositionOptions } from '../../../exporters/prometheus/expositions.ts';
import type { Family } from '../../../exporters/prometheus/family.ts';
import type { PageEncoder } from '../../../exporters/prometheus/pages.ts';
import { ProtobufPageEncoder } from '../../../exporters/prometheus/protobuf.ts';
import { TextPageEncoder } from '../../../exporters/prometheus/text.ts';
import { TEST_METRICS, cycle, runtime, testStore } from '../../support/metrics.ts';
import { collectionsOf, histories } from './support/edits.ts';

const ENCODERS: readonly (readonly [format: string, newEncoder: () => PageEncoder])[] = [
  ['text', () => new TextPageEncoder('text')],
  ['openmetrics', () => new TextPageEncoder('openmetrics')],
  ['protobuf', () => new ProtobufPageEncoder()],
];

const OPTIONS: readonly (readonly [name: string, options: ExpositionOptions])[] = [
  ['default names', {}],
  ['names with two types', { translation_strategy: 'NoTranslation', target_info: false }],
  ['scopes as labels', { translation_strategy: 'UnderscoreEscapingWithoutSuffixes', scope_labels: true, resource_labels: ['host.*'] }],
  ['processes that cannot be told apart', { identity_labels: false }],
  ['both namings', { naming: 'both' }],
];

/** Encodes one page after the other; pages that somebody reads are never given back. */
class Reader {
  readonly #encoder: PageEncoder;
  readonly #held: { readonly bytes: Uint8Array; readonly shown: string }[] = [];
  #last: { readonly bytes: Uint8Array; readonly isHeld: boolean } | undefined;

  constructor(encoder: PageEncoder) {
    this.#encoder = encoder;
  }

  read(exposition: Exposition, { isHeld }: { readonly isHeld: boolean }): string {
    const bytes = this.#encoder.encode(exposition);
    const last = this.#last;
    const shown = spelled(bytes);
    if (isHeld) this.#held.push({ bytes, shown });
    if (last !== undefined && last.bytes !== bytes && !last.isHeld) this.#encoder.recycle?.(last.bytes);
    this.#last = { bytes, isHeld: isHeld || (last?.bytes === bytes && last.isHeld) };
    return shown;
  }

  /** Held pages that were written over. */
  spoiled(): number {
    return this.#held.filter(({ bytes, shown }) => spelled(bytes) !== shown).length;
  }
}

function spelled(bytes: Uint8Array): string {
  return Buffer.from(bytes).toString('latin1');
}

function freshExposition(options: ExpositionOptions, collection: readonly ResourceMetrics[]): Exposition {
  const exposition = newExposition('allow-utf-8', options);
  exposition.update(collection);
  return exposition;
}

describe.each(OPTIONS)('a page made from the page before, %s', (_name, options) => {
  it('equals a page made anew, whatever comes, goes, moves and changes', () => {
    fc.assert(
      fc.property(histories, fc.array(fc.boolean(), { minLength: 9, maxLength: 9 }), (history, holds) => {
        const exposition = newExposition('allow-utf-8', options);
        const readers = new Map(ENCODERS.map(([format, newEncoder]) => [format, new Reader(newEncoder())]));
        for (const [index, collection] of [...collectionsOf(history)].entries()) {
          exposition.update(collection);
          const fresh = freshExposition(options, collection);
          expect(exposition.conflicts).toEqual(fresh.conflicts);
          for (const [format, newEncoder] of ENCODERS) {
            const shown = readers.get(format)?.read(exposition, { isHeld: holds[index] === true });
            expect(shown).toBe(spelled(newEncoder().encode(fresh)));
          }
        }
        for (const reader of readers.values()) expect(reader.spoiled()).toBe(0);
      }),
      { numRuns: 300 },
    );
  });
});

describe('when one series comes and goes', () => {
  function hostWithProcesses() {
    const store = testStore();
    let second = 0;
    const collect = (processes: readonly string[]): readonly ResourceMetrics[] => {
      second += 1;
      for (const key of ['1', '2']) {
        store.apply(cycle(second, runtime(key, { 'process.pid': Number(key) })), (recorder) => {
          recorder.set(TEST_METRICS.memory, 5, { core: 0 });
          if (processes.includes(key)) recorder.set(TEST_METRICS.utilization, 50, { core: 0 });
        });
      }
      return store.collect();
    };
    return { collect };
  }

  it('all other families stay the same objects', () => {
    const { collect } = hostWithProcesses();
    const exposition = newExposition('underscores', {});
    const familiesWith = (processes: readonly string[]): ReadonlyMap<string, Family> => {
      exposition.update(collect(processes));
      return new Map(exposition.families.map((family) => [family.name, family]));
    };
    const before = familiesWith(['1', '2']);
    const after = familiesWith(['1']);
    expect(after.get('target_info')).toBe(before.get('target_info'));
    expect(after.get('test_memory_usage_bytes')).toBe(before.get('test_memory_usage_bytes'));
    expect(after.get('test_utilization_ratio')?.series).toEqual(before.get('test_utilization_ratio')?.series.slice(0, 1));
  });

  it('pages that nobody reads any more are used again', () => {
    const { collect } = hostWithProcesses();
    const exposition = newExposition('underscores', {});
    const encoder = new TextPageEncoder('text');
    const buffers = new Set<ArrayBufferLike>();
    let last: Buffer | undefined;
    for (let round = 0; round < 50; round += 1) {
      exposition.update(collect(round % 2 === 0 ? ['1'] : ['1', '2']));
      const page = encoder.encode(exposition);
      if (last !== undefined && last !== page) encoder.recycle(last);
      last = page;
      buffers.add(page.buffer);
    }
    expect(buffers.size).toBeLessThanOrEqual(4);
  });
});
