import { isJsonObject } from '../../src/json-object.ts';
import type { JsonObject } from '../../src/json-object.ts';
import type { RequestFormat } from '../delivery/request.ts';
import { BYTES, ProtobufWriter } from '../wire/protobuf-writer.ts';
import { protobufFields } from './protobuf-reader.ts';

interface Part {
  readonly body: Buffer;
  readonly points: number;
}

/** Joins and divides bodies of ExportMetricsServiceRequest that are encoded already. */
export const metricsRequestFormat: RequestFormat = {
  merge: (bodies, contentType) => (contentType === JSON_TYPE ? mergeJson(bodies) : Buffer.concat(bodies)),
  split: (body, contentType) => (contentType === JSON_TYPE ? splitJson(body) : splitProtobuf(body, 0)),
};

const JSON_TYPE = 'application/json';
const JSON_START = '{"resourceMetrics":[';
const JSON_END = ']}';

/** The list of resources is the only field: lists are joined without being parsed. In protobuf, concatenation does the same. */
function mergeJson(bodies: readonly Buffer[]): Buffer | undefined {
  const isList = (body: Buffer): boolean =>
    body.toString('latin1', 0, JSON_START.length) === JSON_START && body.toString('latin1', body.length - 2) === JSON_END;
  if (!bodies.every(isList)) return undefined;
  const lists = bodies.map((body) => body.subarray(JSON_START.length, body.length - JSON_END.length)).filter(({ length }) => length > 0);
  const joined = lists.flatMap((list, index) => (index === 0 ? [list] : [Buffer.from(','), list]));
  return Buffer.concat([Buffer.from(JSON_START), ...joined, Buffer.from(JSON_END)]);
}

/**
 * Field numbers from a request down to its data points: resources, scopes, metrics, the data of a metric (gauge, sum, histogram,
 * exponential histogram or summary), points.
 */
const LEVELS: readonly (readonly number[])[] = [[1], [2], [2], [5, 7, 9, 10, 11], [1]];

/** Halves the first list that has more than one element; undefined for a single point. */
function splitProtobuf(message: Buffer, level: number): readonly Part[] | undefined {
  const numbers = LEVELS[level];
  if (numbers === undefined) return undefined;
  const fields = [...protobufFields(message)];
  const children = fields.filter(({ number, value }) => numbers.includes(number) && typeof value !== 'number');
  const others = fields.filter((field) => !children.includes(field)).map(({ start, end }) => message.subarray(start, end));
  const [only] = children;
  if (only === undefined) return undefined;
  if (children.length === 1) {
    const parts = typeof only.value === 'number' ? undefined : splitProtobuf(only.value, level + 1);
    return parts?.map(({ body, points }) => ({ body: Buffer.concat([...others, nested(only.number, body)]), points }));
  }
  const half = Math.ceil(children.length / 2);
  return [children.slice(0, half), children.slice(half)].map((chosen) => ({
    body: Buffer.concat([...others, ...chosen.map(({ start, end }) => message.subarray(start, end))]),
    points: chosen.reduce((sum, { value }) => sum + (typeof value === 'number' ? 0 : countProtobuf(value, level + 1)), 0),
  }));
}

function nested(number: number, body: Buffer): Buffer {
  const writer = new ProtobufWriter();
  writer.tag(number, BYTES);
  writer.varint(body.length);
  return Buffer.concat([writer.take(), body]);
}

function countProtobuf(message: Buffer, level: number): number {
  const numbers = LEVELS[level];
  if (numbers === undefined) return 1;
  let points = 0;
  for (const { number, value } of protobufFields(message)) {
    if (numbers.includes(number) && typeof value !== 'number') points += countProtobuf(value, level + 1);
  }
  return points;
}

const KEYS: readonly (readonly string[])[] = [
  ['resourceMetrics'],
  ['scopeMetrics'],
  ['metrics'],
  ['gauge', 'sum', 'histogram', 'exponentialHistogram', 'summary'],
  ['dataPoints'],
];

function splitJson(body: Buffer): readonly Part[] | undefined {
  const document: unknown = JSON.parse(body.toString());
  const parts = isJsonObject(document) ? splitObject(document, 0) : undefined;
  return parts?.map((part) => ({ body: Buffer.from(JSON.stringify(part)), points: countJson(part, 0) }));
}

function splitObject(object: JsonObject, level: number): readonly JsonObject[] | undefined {
  const key = (KEYS[level] ?? []).find((name) => object[name] !== undefined);
  if (key === undefined) return undefined;
  const value = object[key];
  const children: readonly unknown[] = Array.isArray(value) ? value : [value];
  const [only] = children;
  if (children.length > 1) {
    const half = Math.ceil(children.length / 2);
    return [children.slice(0, half), children.slice(half)].map((chosen) => ({ ...object, [key]: chosen }));
  }
  const parts = isJsonObject(only) ? splitObject(only, level + 1) : undefined;
  return parts?.map((part) => ({ ...object, [key]: Array.isArray(value) ? [part] : part }));
}

function countJson(value: unknown, level: number): number {
  const keys = KEYS[level];
  if (keys === undefined) return 1;
  if (!isJsonObject(value)) return 0;
  const children = keys.map((key) => value[key]).filter((child) => child !== undefined);
  return children.flat().reduce((sum: number, child) => sum + countJson(child, level + 1), 0);
}
