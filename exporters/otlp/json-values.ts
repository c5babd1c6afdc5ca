import type { Attributes, HrTime } from '@opentelemetry/api';

/**
 * Values in the JSON mapping of protobuf (OTLP specification, "JSON Protobuf Encoding"), spelled as the OpenTelemetry JS
 * serializer spells them: 64-bit integers as numbers, which every receiver must accept. Where that serializer writes invalid
 * JSON for protobuf (`null` for NaN and infinities), the mapping's own strings are used.
 */
export function jsonDouble(value: number): string {
  if (Number.isFinite(value)) return JSON.stringify(value);
  return `"${value}"`;
}

export function jsonString(value: string): string {
  return JSON.stringify(value);
}

/** Nanoseconds since the epoch, as a string. */
export function jsonTime([seconds, nanos]: HrTime): string {
  const isPlain = seconds > 0 && nanos >= 0 && nanos < 1e9 && Number.isInteger(seconds);
  if (isPlain) return `"${seconds}${String(Math.trunc(nanos)).padStart(9, '0')}"`;
  return `"${BigInt(Math.trunc(seconds)) * 1_000_000_000n + BigInt(Math.trunc(nanos))}"`;
}

/** A `repeated KeyValue`, brackets included. */
export function jsonAttributes(attributes: Attributes): string {
  return `[${jsonKeyValues(attributes)}]`;
}

function jsonKeyValues(values: object): string {
  return Object.entries(values)
    .map(([key, value]) => `{"key":${jsonString(key)},"value":${jsonAnyValue(value)}}`)
    .join(',');
}

/** What does not fit into 64 bits is no integer for OTLP. */
const INT64_LIMIT = 2 ** 63;

export function isInt64(value: number): boolean {
  return Number.isInteger(value) && value >= -INT64_LIMIT && value < INT64_LIMIT;
}

function jsonAnyValue(value: unknown): string {
  if (typeof value === 'string') return `{"stringValue":${jsonString(value)}}`;
  if (typeof value === 'number') return isInt64(value) ? `{"intValue":${JSON.stringify(value)}}` : `{"doubleValue":${jsonDouble(value)}}`;
  if (typeof value === 'boolean') return `{"boolValue":${value}}`;
  return typeof value === 'object' ? jsonObjectValue(value) : '{}';
}

function jsonObjectValue(value: object | null): string {
  if (value === null) return '{}';
  if (value instanceof Uint8Array) return `{"bytesValue":"${Buffer.from(value).toString('base64')}"}`;
  if (Array.isArray(value)) return `{"arrayValue":{"values":[${value.map(jsonAnyValue).join(',')}]}}`;
  return `{"kvlistValue":{"values":[${jsonKeyValues(value)}]}}`;
}
