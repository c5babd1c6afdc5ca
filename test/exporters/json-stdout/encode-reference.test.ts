import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { DocumentEncoder, encodeDocument } from '../../../exporters/json-stdout/encode.ts';
import { JsonWriter } from '../../../exporters/json-stdout/json-writer.ts';
import { ANY, DOCUMENT_SHAPE } from '../../../exporters/json-stdout/shape.ts';
import type { Shape } from '../../../exporters/json-stdout/shape.ts';

const MAX_DEPTH = 64;

/** The rules of the format as plainly as they can be written down: no buffer, nothing kept. */
function reference(value: unknown, shape: Shape = DOCUMENT_SHAPE, depth = 0): string {
  if (typeof value === 'number') return Number.isFinite(value) ? (Object.is(value, -0) ? '-0' : String(value)) : 'null';
  if (typeof value === 'string') return escaped(value);
  if (typeof value === 'boolean') return String(value);
  if (depth > MAX_DEPTH) throw new Error('too deep');
  if (typeof value !== 'object' || value === null) return 'null';
  if (Array.isArray(value)) return `[${value.map((item) => reference(item, shape.kind === 'list' ? shape.of : ANY, depth + 1)).join(',')}]`;
  const members: Readonly<Record<string, unknown>> = { ...value };
  const texts = order(Object.keys(members), shape)
    .filter((name) => members[name] !== undefined)
    .map((name) => `${escaped(name)}:${reference(members[name], shapeOf(shape, name), depth + 1)}`);
  return `{${texts.join(',')}}`;
}

function escaped(text: string): string {
  return JSON.stringify(text).replaceAll(/[<>&\u2028\u2029]/g, (special) => `\\u${special.charCodeAt(0).toString(16).padStart(4, '0')}`);
}

function order(names: readonly string[], shape: Shape): readonly string[] {
  if (shape.kind === 'map') return names.toSorted();
  if (shape.kind !== 'struct') return names.some((name) => /^(?:0|[1-9]\d{0,9})$/.test(name)) ? names.toSorted() : names;
  const ranks = names.flatMap((name) => shape.rank.get(name) ?? []);
  if (ranks.every((rank, index) => index === 0 || rank >= (ranks[index - 1] ?? 0))) return names;
  return names.toSorted((a, b) => (shape.rank.get(a) ?? shape.rank.size) - (shape.rank.get(b) ?? shape.rank.size));
}

function shapeOf(shape: Shape, name: string): Shape {
  if (shape.kind === 'map') return shape.of;
  return shape.kind === 'struct' ? (shape.members.get(name) ?? ANY) : ANY;
}

const number = fc.oneof(
  fc.double(),
  fc.integer(),
  fc.maxSafeInteger(),
  fc.integer({ min: -1e9, max: 1e9 }).map((hundredths) => hundredths / 100),
  fc.maxSafeInteger().map((hundredths) => hundredths / 100),
  fc.constantFrom(0, -0, 0.01, 0.1, -0.5, 1e15, 1e21, 2 ** 53, 5e-324, 1.005, 9_999_999_999_999.99, Number.NaN, Number.NEGATIVE_INFINITY),
);
const text = fc.oneof(
  fc.string(),
  fc.string({ unit: 'binary' }),
  fc.string({ unit: fc.constantFrom('a', '<', '>', '&', '"', '\\', '\u2028', '\u2029', '\u007f', '\u0000', 'é', '😀', '\ud800') }),
);
/** Names of each kind of member: of every struct, of maps, and of nobody. */
const name = fc.oneof(
  fc.constantFrom(...knownNames(DOCUMENT_SHAPE)),
  fc.nat({ max: 200 }).map(String),
  fc.constantFrom('nc_v3.0', 'nc_v3.10', '01', '4294967295', '99999999999', 'p0', 'p100', 'p25', 'rack', ''),
  text,
);

function knownNames(shape: Shape): readonly string[] {
  if (shape.kind === 'value') return [];
  if (shape.kind !== 'struct') return knownNames(shape.of);
  return [...shape.members].flatMap(([known, member]) => [known, ...knownNames(member)]);
}

/** A value that fits the shape mostly, so that the deep parts of the document are reached as well. */
function valueOf(shape: Shape): fc.Arbitrary<unknown> {
  const any = fc.oneof(
    { weight: 2, arbitrary: number },
    { weight: 2, arbitrary: text },
    fc.constantFrom(null, undefined, true, false, [], {}),
    fc.array(number, { maxLength: 3 }),
    fc.dictionary(name, fc.oneof(number, text, fc.dictionary(name, number, { maxKeys: 3 })), { maxKeys: 4 }),
  );
  if (shape.kind === 'value') return any;
  return fc.oneof({ weight: 9, arbitrary: fitting(shape) }, { weight: 1, arbitrary: any });
}

function fitting(shape: Exclude<Shape, { readonly kind: 'value' }>): fc.Arbitrary<unknown> {
  if (shape.kind === 'list') return fc.array(valueOf(shape.of), { maxLength: 2 });
  if (shape.kind === 'map') return fc.dictionary(name, valueOf(shape.of), { maxKeys: 4 });
  const members = fc.tuple(...[...shape.members].map(([known, member]) => fc.tuple(fc.constant(known), valueOf(member), fc.boolean())));
  return fc
    .tuple(members, fc.dictionary(name, number, { maxKeys: 2 }), fc.boolean())
    .chain(([known, others, isShuffled]) =>
      (isShuffled
        ? fc.shuffledSubarray([...known, ...Object.entries(others).map(([key, value]) => [key, value, true] as const)])
        : fc.constant(known)
      ).map((kept) => Object.fromEntries(kept.filter(([, , isThere]) => isThere).map(([key, value]) => [key, value]))),
    );
}

const documentArbitrary = fitting(
  DOCUMENT_SHAPE.kind === 'struct' ? DOCUMENT_SHAPE : { kind: 'struct', members: new Map(), rank: new Map() },
).map((value) => ({ ...Object(value) }) satisfies Readonly<Record<string, unknown>>);

describe('the encoder and a plain reference', () => {
  it('agree on every document, also when the encoder has seen others before', () => {
    const encoder = new DocumentEncoder();
    const writer = new JsonWriter(1);
    fc.assert(
      fc.property(documentArbitrary, (document) => {
        const expected = reference(document);
        expect(encodeDocument(document)).toBe(expected);
        for (let time = 0; time < 2; time += 1) {
          writer.clear();
          encoder.encode(document, writer);
          expect(writer.bytes.toString('utf8')).toBe(expected);
        }
      }),
      { numRuns: 400 },
    );
  });

  it('agree on every number and text', () => {
    fc.assert(
      fc.property(fc.array(fc.oneof(number, text)), (values) => {
        expect(encodeDocument({ values })).toBe(reference({ values }));
      }),
      { numRuns: 2_000 },
    );
  });

  it('agree on how deep a document may be', () => {
    for (const depth of [62, 63, 64, 65, 66]) {
      for (const innermost of ['1', 'null', '[]', '{}', '"<"']) {
        const deep = JSON.parse(`${'['.repeat(depth)}${innermost}${']'.repeat(depth)}`);
        const isTooDeep = depth + 1 > MAX_DEPTH && !['1', '"<"'].includes(innermost);
        if (isTooDeep || depth > MAX_DEPTH) expect(() => encodeDocument({ deep })).toThrow('document nests too deep');
        else expect(encodeDocument({ deep })).toBe(reference({ deep }));
      }
    }
  });
});

describe('what is kept between documents', () => {
  it('is right for names that differ in order, in number, or at the end only', () => {
    const encoder = new DocumentEncoder();
    const writer = new JsonWriter();
    const documents = [{ a: 1, b: 2 }, { b: 2, a: 1 }, { a: 1 }, { a: 1, b: 2, c: 3 }, {}, { a: 1, c: 3 }, { 7: 1, 10: 2 }, { 7: 1 }];
    for (const document of [...documents, ...documents.toReversed()]) {
      writer.clear();
      encoder.encode({ system_data: document, instance_info: document }, writer);
      expect(writer.bytes.toString('utf8')).toBe(reference({ system_data: document, instance_info: document }));
    }
  });

  it('is bounded: names that never come again are forgotten', () => {
    const encoder = new DocumentEncoder();
    const writer = new JsonWriter();
    const before = process.memoryUsage().heapUsed;
    for (let round = 0; round < 20_000; round += 1) {
      const document = { system_data: { [`first-${round}`]: 1, [`second-${round}-${'x'.repeat(200)}`]: 2 }, [`only-${round % 3}`]: round };
      writer.clear();
      encoder.encode(document, writer);
      if (round % 1_000 === 0) expect(writer.bytes.toString('utf8')).toBe(reference(document));
    }
    expect(process.memoryUsage().heapUsed - before).toBeLessThan(64 * 1024 * 1024);
  });
});
