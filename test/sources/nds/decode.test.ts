import { describe, expect, test } from 'vitest';
import * as fc from 'fast-check';
import { DatastoreCounters } from '../../../sources/nds/counters.ts';
import { hasFallen } from '../../../sources/nds/deltas.ts';
import { KnownRecords, checksum, decodeRecords } from '../../../sources/nds/records.ts';
import { coreCounterAt, isDatastore, viewOf } from '../../../sources/nds/layout.ts';
import { SLAB_BYTES, buildDatastore, fnv1a, headerOffset } from '../../support/datastore.ts';
import type { DatastoreContent, DatastoreModel } from '../../support/datastore.ts';

const MODEL: DatastoreModel = {
  slot: 0,
  modelId: 10_004,
  name: '/opt/models/llama/model.neff',
  uuid: '10a3f4abbdde4249a67a37d95663ebd1',
  core: 1,
  subgraph: 0,
  host: [1, 2, 3, 4, 5],
  device: [100, 200, 300, 400, 500],
};
const RUNTIME = [2, 34, 10] as const;

/** Any counter: small ones, those around the ends of what a word and a double hold, and others. */
const word = fc.oneof(
  fc.bigInt({ min: 0n, max: 1_000n }),
  fc.constantFrom(2n ** 32n - 1n, 2n ** 32n, 2n ** 53n - 1n, 2n ** 53n + 1n, 2n ** 63n, 2n ** 64n - 1n),
  fc.bigInt({ min: 0n, max: 2n ** 64n - 1n }),
);

function countersOf(content: DatastoreContent, coreCount: number): DatastoreCounters {
  const counters = new DatastoreCounters(coreCount);
  counters.read(viewOf(buildDatastore(content).buffer));
  return counters;
}

describe('counters', () => {
  test('every counter of every core stands where the driver has it', () => {
    for (let core = 0; core < 16; core += 1) {
      for (let counter = 0; counter < 95; counter += 1) {
        expect(coreCounterAt(core, counter), `core ${core}, counter ${counter}`).toBe(headerOffset(core, counter));
      }
    }
    expect([headerOffset(0, 0), headerOffset(3, 30), headerOffset(0, 31), headerOffset(4, 0), headerOffset(15, 94)]).toEqual([
      256, 1240, 55_936, 57_984, 67_184,
    ]);
  });

  test('no two counters share a byte, and none lies in the records', () => {
    const taken = new Set<number>();
    for (let core = 0; core < 16; core += 1) for (let counter = 0; counter < 95; counter += 1) taken.add(coreCounterAt(core, counter));
    expect(taken.size).toBe(16 * 95);
    expect([...taken].every((at) => at % 8 === 0 && (at + 8 <= 1248 || at >= 55_936))).toBe(true);
  });

  test('each number is taken from its place, of the device and of every core', () => {
    const value = (core: number, counter: number): bigint => BigInt((core + 2) * 1_000 + counter) << 20n;
    const ids = Array.from({ length: 31 }, (_, counter) => counter).filter((counter) => counter !== 13 && counter !== 14);
    const cores = Object.fromEntries(
      Array.from({ length: 16 }, (_, core) => [core, Object.fromEntries(ids.map((counter) => [counter, value(core, counter)]))]),
    );
    const counters = countersOf({ cores, deviceCounters: Object.fromEntries(ids.map((counter) => [counter, value(-1, counter)])) }, 16);
    expect(ids.map((counter) => counters.device(counter))).toEqual(ids.map((counter) => Number(value(-1, counter))));
    for (let core = 0; core < 16; core += 1) {
      expect(ids.map((counter) => counters.core(core, counter))).toEqual(ids.map((counter) => Number(value(core, counter))));
    }
  });

  test('a slot holds seconds, or nothing of the kind', () => {
    const counters = countersOf({ cores: { 0: { 13: 0.0065 }, 5: { 13: 12_345n } } }, 8);
    expect([0, 1, 5].map((core) => counters.latencyDeviceSeconds(core))).toEqual([0.0065, undefined, undefined]);
  });

  test('more cores than there can be are not looked for', () => {
    expect(countersOf({}, 40).coreCount).toBe(16);
  });

  test('any two counters differ by what their bigints differ by, rounded once; so do their sums', () => {
    const pairs = fc.array(fc.tuple(word, word), { minLength: 8, maxLength: 8 });
    fc.assert(
      fc.property(pairs, fc.constantFrom(0, 12, 29), (values, counter) => {
        const [before, now] = [0, 1].map((which) => {
          const cores = Object.fromEntries(values.map((pair, core) => [core, { [counter]: pair[which] ?? 0n }]));
          return countersOf({ cores }, 8);
        });
        if (before === undefined || now === undefined) throw new Error('no counters');
        for (const [core, [was, is]] of values.entries()) {
          expect(now.core(core, counter)).toBe(Number(is));
          expect(now.riseSince(before, core, counter)).toBe(Number(is - was));
        }
        expect(now.totalRiseSince(before, counter)).toBe(Number(values.reduce((sum, [was, is]) => sum + is - was, 0n)));
        expect(hasFallen(before, now)).toBe(values.some(([was, is]) => is < was));
      }),
      { numRuns: 500 },
    );
  });

  test('what was taken from another reading stays when that one is filled again', () => {
    const [kept, reading] = [new DatastoreCounters(8), countersOf({ cores: { 7: { 29: 5n } } }, 8)];
    kept.take(reading);
    reading.read(viewOf(buildDatastore({ cores: { 7: { 29: 9n } } }).buffer));
    expect(kept.core(7, 29)).toBe(5);
    expect(reading.riseSince(kept, 7, 29)).toBe(4);
  });

  test.each([
    ['a datastore', buildDatastore(), true],
    [
      'one of another format version: nobody has seen one, and its counters stand for themselves',
      buildDatastore({ formatVersion: 7 }),
      true,
    ],
    ['an unused slab', new Uint8Array(SLAB_BYTES), false],
    ['another signature', buildDatastore().fill(0x4e, 0, 1), false],
    ['a signature without its end', buildDatastore().fill(0x31, 3, 4), false],
    ['too short', buildDatastore().slice(0, 67_199), false],
    ['empty', new Uint8Array(0), false],
  ])('%s', (_name, bytes, expected) => {
    expect(isDatastore(bytes)).toBe(expected);
  });
});

describe('records', () => {
  test('the checksum is FNV-1a over the record with its own place zero', () => {
    const bytes = buildDatastore({ shortTag: 'train', runtimeVersion: RUNTIME });
    const record = bytes.slice(1248, 1312).fill(0, 0, 4);
    expect(checksum(bytes, 1248, 64)).toBe(fnv1a(record));
    expect(fnv1a(Buffer.from('foobar'))).toBe(0xbf9cf968);
  });

  test('tag, version and models of a sealed datastore', () => {
    const models = [MODEL, { ...MODEL, slot: 63, modelId: 10_005, subgraph: 1, core: 0 }];
    expect(decodeRecords(buildDatastore({ shortTag: 'train', longTag: 'train', runtimeVersion: RUNTIME, models }))).toStrictEqual({
      tag: 'train',
      runtimeVersion: '2.34.10',
      proof: 'sealed',
      leftOut: 0,
      models: [
        {
          modelId: 10_004,
          name: '/opt/models/llama/model.neff',
          uuid: '10a3f4abbdde4249a67a37d95663ebd1',
          core: 1,
          subgraph: 0,
          host: { code: 1, tensors: 2, constants: 3, scratchpad: 4, misc: 5 },
          device: { code: 100, tensors: 200, constants: 300, scratchpad: 400, misc: 500 },
        },
        expect.objectContaining({ modelId: 10_005, subgraph: 1, core: 0 }),
      ],
    });
  });

  test.each([
    ['the long tag, of which the short one is the beginning', 'x'.repeat(31), 'x'.repeat(200), 'x'.repeat(200)],
    ['the short tag where an old runtime wrote no long one', 'legacy', '', 'legacy'],
    ['255 bytes', 'y'.repeat(31), 'y'.repeat(255), 'y'.repeat(255)],
    ['a tag cut within a character', 'é'.repeat(15), 'é'.repeat(130), 'é'.repeat(127)],
    ['no tag', '', '', undefined],
  ])('%s', (_name, shortTag, longTag, expected) => {
    expect(decodeRecords(buildDatastore({ shortTag, longTag, runtimeVersion: RUNTIME })).tag).toBe(expected);
  });

  test('without checksums a layout is plausible when its texts are texts', () => {
    const content = { shortTag: 'train', runtimeVersion: RUNTIME, models: [MODEL], sealed: false };
    expect(decodeRecords(buildDatastore(content))).toMatchObject({ proof: 'plausible', tag: 'train', models: [{ modelId: 10_004 }] });
  });

  test.each([
    ['nothing written yet', {}],
    ['no version', { shortTag: 'train', sealed: false }],
    ['long tag of another process', { shortTag: 'train', longTag: 'other', runtimeVersion: RUNTIME, sealed: false }],
    ['control characters', { shortTag: 'a\u0001', runtimeVersion: RUNTIME, sealed: false }],
  ])('unknown, and nothing else is said: %s', (_name, content) => {
    expect(decodeRecords(buildDatastore({ sealed: false, ...content }))).toStrictEqual({ proof: 'unknown', models: [], leftOut: 0 });
  });

  test('a tag one byte further, as another layout would have it, does not prove itself', () => {
    const bytes = buildDatastore({ shortTag: 'train', runtimeVersion: RUNTIME, sealed: false });
    bytes.copyWithin(1256, 1253, 1258);
    bytes.fill(0, 1253, 1256);
    expect(decodeRecords(bytes).proof).toBe('unknown');
  });

  test('a model that was half written is left out, and counted', () => {
    const bytes = buildDatastore({ shortTag: 'train', runtimeVersion: RUNTIME, models: [MODEL, { ...MODEL, slot: 1, modelId: 2 }] });
    bytes[1320 + 672 + 300] = 1;
    expect(decodeRecords(bytes)).toMatchObject({ proof: 'sealed', leftOut: 1, models: [{ modelId: 10_004 }] });
  });

  test('a long tag that was half written: the short one', () => {
    const bytes = buildDatastore({ shortTag: 'train', longTag: 'train-on-everything', runtimeVersion: RUNTIME });
    bytes[44_340] = 0;
    expect(decodeRecords(bytes)).toMatchObject({ tag: 'train', leftOut: 1 });
  });

  test('a model that states more memory than any device has is not believed', () => {
    const models = [{ ...MODEL, device: [2 ** 51] }];
    expect(decodeRecords(buildDatastore({ shortTag: 'train', runtimeVersion: RUNTIME, models }))).toMatchObject({ models: [], leftOut: 1 });
  });

  test('any single changed byte of a sealed process record is noticed', () => {
    const good = buildDatastore({ shortTag: 'train', runtimeVersion: RUNTIME });
    fc.assert(
      fc.property(fc.integer({ min: 1248, max: 1311 }), fc.integer({ min: 1, max: 255 }), (at, flip) => {
        const bytes = good.slice();
        bytes[at] = (bytes[at] ?? 0) ^ flip;
        expect(decodeRecords(bytes).proof).not.toBe('sealed');
      }),
    );
  });

  test('any bytes at all are survived, with at most 64 models', () => {
    fc.assert(
      fc.property(fc.uint8Array({ minLength: 64, maxLength: 256 }), fc.nat(44_588), (noise, at) => {
        const bytes = buildDatastore({ shortTag: 'train', runtimeVersion: RUNTIME, models: [MODEL], sealed: false });
        for (let from = at; from < 44_588; from += noise.length * 7) bytes.set(noise, from);
        const { models, leftOut } = decodeRecords(bytes);
        expect(models.length + leftOut).toBeLessThanOrEqual(65);
      }),
      { numRuns: 300 },
    );
  });

  test('records are decoded anew when they changed, and are the same object when they did not, whatever else was written', () => {
    const models = [MODEL, { ...MODEL, slot: 1, subgraph: 1 }, { ...MODEL, slot: 40, modelId: 7 }];
    const original = Buffer.from(buildDatastore({ shortTag: 'train', longTag: 'train', runtimeVersion: RUNTIME, models }));
    const counted = Buffer.from(original);
    counted.fill(7, 256, 1_248).fill(7, 55_936);
    const known = new KnownRecords();
    const first = known.decode(original);
    expect(known.decode(counted)).toBe(first);
    fc.assert(
      fc.property(fc.integer({ min: 1_248, max: 44_587 }), fc.integer({ min: 1, max: 255 }), (at, change) => {
        const bytes = Buffer.from(original);
        bytes[at] = (bytes[at] ?? 0) ^ change;
        expect(known.decode(bytes)).toStrictEqual(decodeRecords(bytes));
        expect(known.decode(original)).toStrictEqual(first);
      }),
      { numRuns: 1_000 },
    );
  });
});
