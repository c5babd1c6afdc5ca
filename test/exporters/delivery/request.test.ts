import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { decodeRequestFile, encodeRequestFile, parseRequestFileName } from '../../../exporters/delivery/request.ts';
import type { DeliveryRequest } from '../../../exporters/delivery/request.ts';

const REQUEST: DeliveryRequest = {
  body: Buffer.from('the body\nof a request'),
  points: 4700,
  rawBytes: 580_000,
  contentType: 'application/x-protobuf',
  contentEncoding: 'gzip',
  enqueuedAtMs: 1_795_348_800_000,
};

const { file, header } = encodeRequestFile(12, REQUEST);
const bytes = Buffer.concat([header, REQUEST.body]);

describe('a queue file', () => {
  it('has a name from which a listing knows the request', () => {
    expect(file.name).toBe(`000000000012.1795348800000.4700.580000.${bytes.length}.request`);
    expect(parseRequestFileName(file.name)).toEqual(file);
  });

  it('comes back as it was written', () => {
    expect(decodeRequestFile(file, bytes)).toEqual(REQUEST);
  });

  it.each(['lock', '12.request', '000000000012.request', '000000000012.1.2.3.4.request.corrupt', '000000000012.1.2.3.-4.request', ''])(
    'is not called %s',
    (name) => {
      expect(parseRequestFileName(name)).toBeUndefined();
    },
  );

  it('is damaged wherever it is cut off', () => {
    for (let size = 0; size < bytes.length; size += 1) expect(decodeRequestFile(file, bytes.subarray(0, size))).toBeUndefined();
  });

  it('is damaged whichever byte changed', () => {
    for (let at = 0; at < bytes.length; at += 1) {
      for (const flip of [0x01, 0x80, 0xff]) {
        const damaged = Buffer.from(bytes);
        damaged.writeUInt8(damaged.readUInt8(at) ^ flip, at);
        expect(decodeRequestFile(file, damaged), `byte ${at}`).toBeUndefined();
      }
    }
  });

  it('is damaged when it has the name of another request', () => {
    const renamed = parseRequestFileName(file.name.replace('.4700.', '.4701.'));
    expect(renamed?.points).toBe(4701);
    expect(renamed && decodeRequestFile(renamed, bytes)).toBeUndefined();
  });

  it('survives 10,000 random mutations: nothing but the request itself is ever read', () => {
    const mutation = fc.record({ at: fc.nat(bytes.length - 1), remove: fc.nat(12), insert: fc.uint8Array({ maxLength: 12 }) });
    fc.assert(
      fc.property(mutation, ({ at, remove, insert }) => {
        const mutated = Buffer.concat([bytes.subarray(0, at), insert, bytes.subarray(at + remove)]);
        const expected = mutated.equals(bytes) ? REQUEST : undefined;
        expect(decodeRequestFile(file, mutated)).toEqual(expected);
      }),
      { numRuns: 10_000 },
    );
  });
});
