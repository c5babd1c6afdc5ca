import { AgentError } from '../../src/errors.ts';
import { isObject } from './json-object.ts';
import type { JsonObject } from './json-object.ts';
import { JsonWriter } from './json-writer.ts';
import { MemberPlans } from './member-plans.ts';
import { ANY, DOCUMENT_SHAPE } from './shape.ts';
import type { Shape } from './shape.ts';

/** Deeper than any report; a document that nests further cannot be told apart from an attack on the stack. */
const MAX_DEPTH = 64;
const COMMA = 0x2c;
const [LIST_START, LIST_END, OBJECT_START, OBJECT_END] = [0x5b, 0x5d, 0x7b, 0x7d];

/**
 * Writes a document as one line of JSON without line end, as Go's encoding/json prints neuron-monitor's structs: known members in their order,
 * maps sorted as strings (0, 1, 10, 2), shortest numbers, HTML characters escaped. Members that are not known stay.
 */
export class DocumentEncoder {
  readonly #plans = new MemberPlans();

  /** Throws an `AgentError` when the document nests too deep to be a report; then a part of it has been written. */
  encode(document: JsonObject, writer: JsonWriter): void {
    this.#object(document, DOCUMENT_SHAPE, 0, writer);
  }

  #value(value: unknown, shape: Shape, depth: number, writer: JsonWriter): void {
    if (typeof value === 'number') return writer.number(value);
    if (typeof value === 'string') return writer.string(value);
    if (typeof value === 'boolean') return writer.ascii(value ? 'true' : 'false');
    if (depth > MAX_DEPTH) throw new AgentError('source_malformed', 'json_stdout', 'document nests too deep');
    if (Array.isArray(value)) return this.#list(value, shape, depth, writer);
    if (isObject(value)) return this.#object(value, shape, depth, writer);
    writer.ascii('null');
  }

  #list(items: readonly unknown[], shape: Shape, depth: number, writer: JsonWriter): void {
    const of = shape.kind === 'list' ? shape.of : ANY;
    let isFirst = true;
    writer.byte(LIST_START);
    for (const item of items) {
      if (!isFirst) writer.byte(COMMA);
      isFirst = false;
      this.#value(item, of, depth + 1, writer);
    }
    writer.byte(LIST_END);
  }

  #object(object: JsonObject, shape: Shape, depth: number, writer: JsonWriter): void {
    let isFirst = true;
    writer.byte(OBJECT_START);
    for (const { name, key, shape: of } of this.#plans.of(object, shape)) {
      const member = object[name];
      if (member === undefined) continue;
      if (!isFirst) writer.byte(COMMA);
      isFirst = false;
      writer.raw(key);
      this.#value(member, of, depth + 1, writer);
    }
    writer.byte(OBJECT_END);
  }
}

/** One document as text; who writes many of them keeps an encoder. */
export function encodeDocument(document: JsonObject): string {
  const writer = new JsonWriter();
  new DocumentEncoder().encode(document, writer);
  return writer.bytes.toString('utf8');
}
