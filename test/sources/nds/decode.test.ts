import { describe, expect, test } from 'vitest';
import * as fc from 'fast-check';
import { decodeCounters, latencySeconds } from '../../../sources/nds/counters.ts';
import { coreCounterAt } from '../../../sources/nds/layout.ts';
import { checksum, decodeRecords, recordsIn } from '../../../sources/nds/records.ts';
import { SLAB_BYTES, buildDatastore, fnv1a, headerOffset } from '../../support/datastore.ts';
import type { DatastoreModel } from '../../support/datastore.ts';

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

  test('values beyond 2^53 come through, each in its place', () => {
    const value = (core: number, counter: number): bigint => (1n << 60n) + BigInt(core * 1000 + counter);
    const counters = Array.from({ length: 95 }, (_, counter) => counter).filter((counter) => counter !== 13 && counter !== 14);
    const cores = Object.fromEntries(
      Array.from({ length: 16 }, (_, core) => [core, Object.fromEntries(counters.map((counter) => [counter, value(core, counter)]))]),
    );
    const decoded = decodeCounters(buildDatastore({ cores, deviceCounters: { 0: 1n, 30: 2n } }), 16);
    expect(decoded?.formatVersion).toBe(100_000);
    expect([decoded?.device[0], decoded?.device[30], decoded?.device.length]).toEqual([1n, 2n, 31]);
    for (let core = 0; core < 16; core += 1) {
      expect(counters.map((counter) => decoded?.cores[core]?.counters[counter])).toEqual(counters.map((counter) => value(core, counter)));
    }
  });

  test('another format version is said, not refused', () => {
    expect(decodeCounters(buildDatastore({ formatVersion: 7 }), 2)?.formatVersion).toBe(7);
  });

  test.each([
    ['an unused slab', new Uint8Array(SLAB_BYTES)],
    ['another signature', buildDatastore().fill(0x4e, 0, 1)],
    ['a signature without its end', buildDatastore().fill(0x31, 3, 4)],
    ['too short', buildDatastore().slice(0, 67_199)],
    ['empty', new Uint8Array(0)],
  ])('nothing from %s', (_name, bytes) => {
    expect(decodeCounters(bytes, 2)).toBeUndefined();
  });

  test('a datastore within a larger buffer', () => {
    const larger = new Uint8Array(SLAB_BYTES + 16);
    larger.set(buildDatastore({ cores: { 5: { 1: 42n } } }), 8);
    expect(decodeCounters(larger.subarray(8), 8)?.cores[5]?.counters[1]).toBe(42n);
  });

  test.each([
    [0, undefined],
    [-1, undefined],
    [Number.NaN, undefined],
    [Number.POSITIVE_INFINITY, undefined],
    [86_400, undefined],
    // A count of 12,345 read as a double.
    [6.1e-320, undefined],
    [0.0065, 0.0065],
  ])('latency slot %d means %d s', (value, expected) => {
    expect(latencySeconds(value)).toBe(expected);
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

  test('where the bytes of records are the same the records are, whatever else was written', () => {
    const original = buildDatastore({ shortTag: 'train', longTag: 'train', runtimeVersion: RUNTIME, models: [MODEL] });
    const counted = original.slice();
    counted.fill(7, 256, 1_248).fill(7, 55_936);
    expect(recordsIn(counted)).toEqual(recordsIn(original));
    fc.assert(
      fc.property(fc.integer({ min: 1_248, max: 44_587 }), fc.integer({ min: 1, max: 255 }), (at, change) => {
        const bytes = original.slice();
        bytes[at] = (bytes[at] ?? 0) ^ change;
        if (recordsIn(bytes).equals(recordsIn(original))) expect(decodeRecords(bytes)).toStrictEqual(decodeRecords(original));
      }),
      { numRuns: 2_000 },
    );
  });
});
