import { AgentError } from '../../src/errors.ts';
import { isObject } from './json-object.ts';
import type { JsonObject } from './json-object.ts';
import { DOCUMENT_SHAPE } from './shape.ts';
import type { Shape } from './shape.ts';

/** Deeper than any report; a document that nests further cannot be told apart from an attack on the stack. */
const MAX_DEPTH = 64;
const ANY: Shape = { kind: 'value' };
/** Keys that need no escape, by far the most. */
const PLAIN_KEY = /^[\w.-]+$/;
const ARRAY_INDEX = /^(?:0|[1-9]\d{0,9})$/;
/** Go's encoding/json escapes these so that JSON can stand in HTML and in JavaScript. */
const HTML_SPECIAL = /[<>&\u2028\u2029]/g;

/**
 * A document as one line of JSON without line end, as Go's encoding/json prints neuron-monitor's structs: known members in their order,
 * maps sorted as strings (0, 1, 10, 2), shortest numbers, HTML characters escaped. Members that are not known stay.
 * Throws an `AgentError` when the document nests too deep to be a report.
 */
export function encodeDocument(document: JsonObject): string {
  return encodeObject(document, DOCUMENT_SHAPE, 0);
}

function encodeValue(value: unknown, shape: Shape, depth: number): string {
  if (typeof value === 'number') return numberText(value);
  if (typeof value === 'string') return stringText(value);
  if (typeof value === 'boolean') return value ? 'true' : 'false';
  if (depth > MAX_DEPTH) throw new AgentError('source_malformed', 'json_stdout', 'document nests too deep');
  if (Array.isArray(value)) return encodeList(value, shape, depth);
  return isObject(value) ? encodeObject(value, shape, depth) : 'null';
}

function encodeList(items: readonly unknown[], shape: Shape, depth: number): string {
  const of = shape.kind === 'list' ? shape.of : ANY;
  let text = '[';
  for (const item of items) text += `${text.length > 1 ? ',' : ''}${encodeValue(item, of, depth + 1)}`;
  return `${text}]`;
}

function encodeObject(object: JsonObject, shape: Shape, depth: number): string {
  let text = '{';
  for (const name of memberOrder(Object.keys(object), shape)) {
    const member = object[name];
    if (member === undefined) continue;
    text += `${text.length > 1 ? ',' : ''}${keyText(name)}:${encodeValue(member, memberShape(shape, name), depth + 1)}`;
  }
  return `${text}}`;
}

function memberShape(shape: Shape, name: string): Shape {
  if (shape.kind === 'map') return shape.of;
  return shape.kind === 'struct' ? (shape.members.get(name) ?? ANY) : ANY;
}

/** An unknown member keeps its place: it is the tool's order when the known ones around it are in order. */
function memberOrder(names: readonly string[], shape: Shape): readonly string[] {
  if (shape.kind === 'map') return names.toSorted();
  // JavaScript moves array indexes to the front whatever the text said; an object that has them is a map.
  if (shape.kind !== 'struct') return names.some((name) => ARRAY_INDEX.test(name)) ? names.toSorted() : names;
  return inOrder(names, shape.rank) ? names : ranked(names, shape.rank);
}

function inOrder(names: readonly string[], rank: ReadonlyMap<string, number>): boolean {
  let last = -1;
  for (const name of names) {
    const own = rank.get(name);
    if (own === undefined) continue;
    if (own < last) return false;
    last = own;
  }
  return true;
}

/** Known members in their order, the others after them. */
function ranked(names: readonly string[], rank: ReadonlyMap<string, number>): readonly string[] {
  return names.toSorted((a, b) => (rank.get(a) ?? rank.size) - (rank.get(b) ?? rank.size));
}

function keyText(name: string): string {
  return PLAIN_KEY.test(name) ? `"${name}"` : stringText(name);
}

function stringText(text: string): string {
  return JSON.stringify(text).replaceAll(HTML_SPECIAL, (character) => `\\u${character.charCodeAt(0).toString(16).padStart(4, '0')}`);
}

/** JavaScript and Go agree on shortest digits and on when to use an exponent (below 1e-6, from 1e21). JSON has no infinity. */
function numberText(value: number): string {
  if (!Number.isFinite(value)) return 'null';
  return Object.is(value, -0) ? '-0' : String(value);
}
