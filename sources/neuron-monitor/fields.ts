import { AgentError } from '../../src/errors.ts';
import { isJsonObject } from '../../src/json-object.ts';
import type { JsonObject } from '../../src/json-object.ts';
import type { MetricGroup, NumberMap } from '../../src/readings.ts';
import type { SourceFailure } from '../../src/source.ts';

/** Keys of maps by core, device or vCPU. */
export const INDEX_KEY = /^(?:0|[1-9]\d{0,5})$/;

/** Texts are names, tags and errors. neuron-monitor cuts names at 255 characters. */
const MAX_TEXT_LENGTH = 4096;
/** Different failures kept of one record; the others are counted together in one more. */
const MAX_FAILURES = 64;
const MAX_PATH_LENGTH = 200;

interface Refusal {
  /** JSON path of the first field of this kind. */
  readonly path: string;
  readonly expected: string;
  readonly group: MetricGroup | undefined;
  count: number;
}

/** `Refusals` counts the fields of one record that were refused: those whose paths differ in indexes only are one failure. */
export class Refusals {
  readonly #refusals = new Map<string, Refusal>();
  #others = 0;

  add(path: string, expected: string, group: MetricGroup | undefined): void {
    const shown = path.slice(0, MAX_PATH_LENGTH);
    const key = `${group ?? ''} ${shown.replaceAll(/\d+/g, '#')} ${expected}`;
    const known = this.#refusals.get(key);
    if (known !== undefined) known.count += 1;
    else if (this.#refusals.size === MAX_FAILURES) this.#others += 1;
    else this.#refusals.set(key, { path: shown, expected, group, count: 1 });
  }

  list(): readonly SourceFailure[] {
    const failures = [...this.#refusals.values()].map(({ path, expected, group, count }) =>
      failure(`${path}: ${expected} expected`, { group, count }),
    );
    if (this.#others > 0) failures.push(failure('more fields than can be listed were refused', { group: undefined, count: this.#others }));
    return failures;
  }
}

function failure(message: string, { group, count }: { readonly group: MetricGroup | undefined; readonly count: number }): SourceFailure {
  const error = new AgentError('source_malformed', 'neuron-monitor', message);
  return { error, ...(group === undefined ? {} : { group }), ...(count === 1 ? {} : { count }) };
}

/**
 * One JSON object, read field by field. A missing or null field is absent: `undefined`, no failure. A field of the wrong type
 * is refused with its JSON path and is absent too: never a default. Members nobody asks for are not looked at.
 */
export class FieldReader {
  readonly #object: JsonObject;
  readonly #refusals: Refusals;
  readonly #group: MetricGroup | undefined;
  readonly #above: FieldReader | undefined;
  readonly #step: string;

  constructor(
    object: JsonObject,
    refusals: Refusals,
    at?: { readonly above: FieldReader; readonly step: string; readonly group?: MetricGroup },
  ) {
    this.#object = object;
    this.#refusals = refusals;
    this.#above = at?.above;
    this.#step = at?.step ?? '$';
    this.#group = at === undefined ? undefined : (at.group ?? at.above.#group);
  }

  number(name: string): number | undefined {
    const value = this.#object[name];
    if (value === undefined || value === null) return undefined;
    if (typeof value === 'number' && Number.isFinite(value)) return value;
    return this.refuse(name, 'finite number');
  }

  /** A number that counts or identifies: a whole one, zero or more. */
  index(name: string): number | undefined {
    const value = this.number(name);
    return value === undefined || (Number.isSafeInteger(value) && value >= 0) ? value : this.refuse(name, 'whole number');
  }

  /** As `index`, but a missing one is refused too: without it the object means nothing. */
  requiredIndex(name: string): number | undefined {
    return this.#isAbsent(name) ? this.refuse(name, 'whole number') : this.index(name);
  }

  text(name: string): string | undefined {
    const value = this.#object[name];
    if (value === undefined || value === null) return undefined;
    if (typeof value === 'string' && value.length <= MAX_TEXT_LENGTH) return value;
    return this.refuse(name, `text of at most ${MAX_TEXT_LENGTH} characters`);
  }

  /** As `text`, but a missing one is refused too. */
  requiredText(name: string): string | undefined {
    return this.#isAbsent(name) ? this.refuse(name, 'text') : this.text(name);
  }

  /** Text where "" is the vendor's way of saying that there is none. */
  filledText(name: string): string | undefined {
    const value = this.text(name);
    return value === '' ? undefined : value;
  }

  flag(name: string): boolean | undefined {
    const value = this.#object[name];
    if (value === undefined || value === null) return undefined;
    return typeof value === 'boolean' ? value : this.refuse(name, 'true or false');
  }

  /** Names of the members that match, in the order of the document. */
  names(pattern: RegExp): readonly string[] {
    return Object.keys(this.#object).filter((name) => pattern.test(name));
  }

  object(name: string, group?: MetricGroup): FieldReader | undefined {
    const value = this.#object[name];
    if (value === undefined || value === null) return undefined;
    return isJsonObject(value) ? this.#inner(value, `.${name}`, group) : this.refuse(name, 'object', group);
  }

  /** The objects of a list; null items are absent. `undefined` when there is no list. */
  objects(name: string): readonly FieldReader[] | undefined {
    const value: unknown = this.#object[name];
    if (value === undefined || value === null) return undefined;
    if (!Array.isArray(value)) return this.refuse(name, 'list');
    const items: readonly unknown[] = value;
    return items.flatMap((item, index) => {
      if (item === null) return [];
      if (isJsonObject(item)) return [this.#inner(item, `.${name}[${index}]`)];
      this.refuse(`${name}[${index}]`, 'object');
      return [];
    });
  }

  texts(name: string): readonly string[] | undefined {
    const value: unknown = this.#object[name];
    if (value === undefined || value === null) return undefined;
    if (Array.isArray(value) && value.every((item) => typeof item === 'string')) return value;
    return this.refuse(name, 'list of texts');
  }

  /** Members of a map whose keys are data; keys that do not match are refused. `undefined` when there is no map. */
  map<T>(name: string, keys: RegExp, read: (map: FieldReader, key: string) => T | undefined): Readonly<Record<string, T>> | undefined {
    const map = this.object(name);
    if (map === undefined) return undefined;
    const values: Record<string, T> = {};
    for (const key of Object.keys(map.#object)) {
      const value = keys.test(key) ? read(map, key) : map.refuse(key, `key like ${keys.source}`);
      if (value !== undefined) values[key] = value;
    }
    return values;
  }

  /** A map of numbers. Costs no copy when nothing has to be left out: these are most of a record's members. */
  numbers(name: string, keys?: RegExp): NumberMap | undefined {
    const map = this.object(name);
    if (map === undefined) return undefined;
    return areNumbers(map.#object, keys) ? map.#object : this.map(name, keys ?? /(?:)/, (inner, key) => inner.number(key));
  }

  /** Counts a failure at a member of this object. */
  refuse(name: string, expected: string, group?: MetricGroup): undefined {
    this.#refusals.add(`${this.#path()}.${name}`, expected, group ?? this.#group);
  }

  #isAbsent(name: string): boolean {
    const value = this.#object[name];
    return value === undefined || value === null;
  }

  #inner(object: JsonObject, step: string, group?: MetricGroup): FieldReader {
    return new FieldReader(object, this.#refusals, { above: this, step, ...(group === undefined ? {} : { group }) });
  }

  #path(): string {
    return this.#above === undefined ? this.#step : this.#above.#path() + this.#step;
  }
}

function areNumbers(object: JsonObject, keys: RegExp | undefined): object is NumberMap {
  for (const key in object) if (!Number.isFinite(object[key]) || (keys !== undefined && !keys.test(key))) return false;
  return true;
}

/** Leaves out what is absent, so that `undefined` never becomes a member. */
export function present<T extends object>(fields: { readonly [K in keyof T]: T[K] | undefined }): T {
  const given: JsonObject = { ...fields };
  const kept: Record<string, unknown> = {};
  for (const name in given) if (given[name] !== undefined) kept[name] = given[name];
  // The mapped type of the parameter already says which members T needs; the compiler cannot follow the loop.
  return kept as T;
}
