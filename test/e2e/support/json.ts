/** Narrowing of parsed JSON of others. A wrong shape fails the test with the place named. */

export type JsonObject = Readonly<Record<string, unknown>>;

export function parseObject(text: string): JsonObject {
  return asObject(JSON.parse(text), 'document');
}

export function asObject(value: unknown, place: string): JsonObject {
  if (!isObject(value)) throw new TypeError(`${place} is not an object: ${JSON.stringify(value)}`);
  return value;
}

export function isObject(value: unknown): value is JsonObject {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

/** An absent array is an empty one: protobuf's JSON mapping leaves empty lists out. */
export function asArray(value: unknown, place: string): readonly unknown[] {
  if (value === undefined) return [];
  if (!Array.isArray(value)) throw new TypeError(`${place} is not an array: ${JSON.stringify(value)}`);
  return value;
}

export function asObjects(value: unknown, place: string): readonly JsonObject[] {
  return asArray(value, place).map((item, index) => asObject(item, `${place}[${index}]`));
}

export function asText(value: unknown, place: string): string {
  if (typeof value !== 'string') throw new TypeError(`${place} is not a string: ${JSON.stringify(value)}`);
  return value;
}
