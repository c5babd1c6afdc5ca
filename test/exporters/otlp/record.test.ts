import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { decodeRecord, encodeHeader, findRecord, isTornRecord, recordBytes, summarizeFile } from '../../../exporters/otlp/record.ts';
import type { OtlpRequest } from '../../../exporters/otlp/record.ts';

function request(index: number, size = 20): OtlpRequest {
  return {
    body: Buffer.alloc(size, `request ${index} `),
    points: index + 1,
    contentType: index % 2 === 0 ? 'application/x-protobuf' : 'application/json',
    contentEncoding: (['none', 'gzip', 'zstd'] as const)[index % 3] ?? 'none',
    enqueuedAtMs: 1_795_348_800_000 + index,
  };
}

function encode(one: OtlpRequest): Buffer {
  return Buffer.concat([encodeHeader(one), one.body]);
}

const requests = Array.from({ length: 4 }, (_, index) => request(index, 10 + 7 * index));
const records = requests.map(encode);
const file = Buffer.concat(records);

/** Every record found, in order. */
function recover(bytes: Buffer): OtlpRequest[] {
  const found: OtlpRequest[] = [];
  for (let one = findRecord(bytes, 0); one !== undefined; one = findRecord(bytes, one.end)) found.push(one.request);
  return found;
}

describe('record', () => {
  it('comes back as it was written', () => {
    expect(records.map(decodeRecord)).toEqual(requests);
    expect(records.map((record) => record.length)).toEqual(requests.map(recordBytes));
    expect(recover(file)).toEqual(requests);
    expect(summarizeFile(file, 0)).toEqual({ requests: 4, points: 10, damages: 0, isTorn: false, end: file.length });
  });

  it('is recovered when it is whole, wherever the file is cut off', () => {
    for (let size = 0; size <= file.length; size += 1) {
      const whole = wholeRecords(size);
      const cut = file.subarray(0, size);
      expect(recover(cut)).toEqual(requests.slice(0, whole.count));
      expect(summarizeFile(cut, 0)).toMatchObject({ requests: whole.count, damages: 0, isTorn: size > whole.end, end: whole.end });
      expect(isTornRecord(cut.subarray(whole.end))).toBe(true);
    }
  });

  it('is recovered when another one is damaged, whichever byte it is and whatever becomes of it', () => {
    for (let at = 0; at < file.length; at += 1) {
      const damagedRecord = records.findIndex((_, index) => at < end(index));
      for (const flip of [0x01, 0x80, 0xff]) {
        const damaged = Buffer.from(file);
        damaged.writeUInt8(damaged.readUInt8(at) ^ flip, at);
        expect(recover(damaged)).toEqual(requests.filter((_, index) => index !== damagedRecord));
        const { requests: count, damages, isTorn } = summarizeFile(damaged, 0);
        expect({ count, found: damages + Number(isTorn) }).toEqual({ count: 3, found: 1 });
      }
    }
  });

  it('survives 10,000 random mutations: every untouched record is recovered, and nothing else', () => {
    const mutation = fc.record({ at: fc.nat(file.length - 1), remove: fc.nat(12), insert: fc.uint8Array({ maxLength: 12 }) });
    fc.assert(
      fc.property(mutation, ({ at, remove, insert }) => {
        const mutated = Buffer.concat([file.subarray(0, at), insert, file.subarray(at + remove)]);
        const untouched = requests.filter((_, index) => end(index) <= at || start(index) >= at + remove);
        const found = recover(mutated);
        for (const one of untouched) expect(found).toContainEqual(one);
        for (const one of found) expect(requests).toContainEqual(one);
      }),
      { numRuns: 10_000 },
    );
  });

  it('is not mistaken for one that a body contains in part', () => {
    const outer = { ...request(0), body: Buffer.concat([Buffer.from('x'), encodeHeader(request(1)), Buffer.from('y')]) };
    expect(recover(encode(outer))).toEqual([outer]);
  });
});

function start(index: number): number {
  return records.slice(0, index).reduce((sum, { length }) => sum + length, 0);
}

function end(index: number): number {
  return start(index + 1);
}

function wholeRecords(size: number): { readonly count: number; readonly end: number } {
  const count = records.filter((_, index) => end(index) <= size).length;
  return { count, end: start(count) };
}
