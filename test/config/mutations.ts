import { readdirSync, readFileSync } from 'node:fs';
import { expect, it } from 'vitest';
import * as fc from 'fast-check';
import { loadInput } from '../support/settings.ts';
import { shownConfig } from '../../cli/validate.ts';
import { BAD_CONFIGS } from './bad-configs.ts';

const EXAMPLES = new URL('../../config/examples/', import.meta.url);
const SEEDS: readonly string[] = [
  ...readdirSync(EXAMPLES).map((file) => readFileSync(new URL(file, EXAMPLES), 'utf8')),
  ...BAD_CONFIGS.map(({ text }) => text),
];
const BOUND_MS = 2_000;

/** Everything that may be put in the place of something else. */
const junk = fc.constantFrom<unknown>(
  null,
  true,
  false,
  0,
  -1,
  1.5,
  1e308,
  '',
  '5s',
  '${X}',
  '${file:/dev/null}',
  '$',
  '__proto__',
  [],
  {},
  [[]],
  { a: null },
  ['5s'],
  { type: 'memory_used' },
);
const key = fc.constantFrom(
  '__proto__',
  'constructor',
  'prototype',
  'toString',
  'hasOwnProperty',
  'type',
  'period',
  'spec',
  '',
  'a.b',
  'otlp',
  '_cvtProperties',
  '<<',
);

/** What is wrong with how a configuration was handled; nothing may be. */
function violations(text: string): readonly string[] {
  const started = performance.now();
  const result = loadInput({ text, readFile: () => 'content' });
  const found: string[] = [];
  if (performance.now() - started > BOUND_MS) found.push('it took too long');
  if (Object.getOwnPropertyNames(Object.prototype).includes('polluted')) found.push('it reached the prototype of all objects');
  if (result.ok) shownConfig(result.config);
  else if (result.problems.length === 0) found.push('it was refused without a problem');
  for (const { path, message } of result.ok ? result.warnings : result.problems) {
    if (path === '' || message === '') found.push('a problem has no path or no message');
    if (/\p{Cc}/u.test(`${path}${message}`)) found.push('a problem is not one printable line');
    if (message === 'does not fit the schema') found.push('convict refused what the formats accepted');
  }
  return found;
}

function mutateTree(value: unknown, steps: readonly number[], put: unknown, name: string): unknown {
  const [step, ...rest] = steps;
  if (typeof value !== 'object' || value === null || step === undefined) return put;
  if (Array.isArray(value)) {
    if (value.length === 0) return [put];
    return value.map((item: unknown, index) => (index === step % value.length ? mutateTree(item, rest, put, name) : item));
  }
  const entries = Object.entries(value);
  const index = step % (entries.length + 1);
  // A key that is not there yet, or one renamed, or one whose value changes.
  if (index === entries.length)
    return JSON.parse(`{${[...entries, [name, put]].map(([k, v]) => `${JSON.stringify(k)}:${JSON.stringify(v)}`).join()}}`);
  return Object.fromEntries(
    entries.map(([k, v], at) =>
      at !== index ? [k, v] : rest.length === 0 && step % 2 === 1 ? [`${k}${name}`, v] : [k, mutateTree(v, rest, put, name)],
    ),
  );
}

/** JSON text in which `__proto__` is a key like any other. */
function toJson(value: unknown): string {
  if (Array.isArray(value)) return `[${value.map(toJson).join()}]`;
  if (typeof value !== 'object' || value === null) return JSON.stringify(value) ?? 'null';
  return `{${Object.entries(value)
    .map(([k, v]) => `${JSON.stringify(k)}:${toJson(v)}`)
    .join()}}`;
}

/** Declares tests that load `count` mutated configurations and expect each to give a configuration or problems, and nothing else. */
export function describeMutatedConfigurations(count: number): void {
  const runs = count / 4;
  const seed = fc.constantFrom(...SEEDS);
  const parsedSeeds = SEEDS.flatMap((text) => {
    try {
      return [JSON.parse(text) as unknown];
    } catch {
      return [];
    }
  });

  it('bytes flipped', () => {
    fc.assert(
      fc.property(seed, fc.array(fc.tuple(fc.nat(), fc.integer({ min: 0, max: 255 })), { minLength: 1, maxLength: 4 }), (text, flips) => {
        const bytes = Buffer.from(text);
        for (const [at, byte] of flips) if (bytes.length > 0) bytes[at % bytes.length] = byte;
        expect(violations(bytes.toString('latin1'))).toEqual([]);
      }),
      { numRuns: runs },
    );
  });

  it('cut off, doubled and spliced', () => {
    fc.assert(
      fc.property(seed, seed, fc.nat(), fc.nat(), (first, second, at, from) => {
        const spliced = first.slice(0, at % (first.length + 1)) + second.slice(from % (second.length + 1));
        expect(violations(spliced)).toEqual([]);
      }),
      { numRuns: runs },
    );
  });

  it('values of other types', () => {
    const steps = fc.array(fc.nat({ max: 11 }), { minLength: 1, maxLength: 7 });
    fc.assert(
      fc.property(fc.constantFrom(...parsedSeeds), steps, junk, key, (config, path, put, name) => {
        expect(violations(toJson(mutateTree(config, path, put, name)))).toEqual([]);
      }),
      { numRuns: runs },
    );
  });

  it('any JSON below known keys, forbidden names among it', () => {
    const anyJson = fc.letrec((tie) => ({
      value: fc.oneof({ maxDepth: 4, withCrossShrink: true }, junk, fc.string(), fc.double(), tie('list'), tie('map')),
      list: fc.array(tie('value'), { maxLength: 4 }),
      map: fc
        .array(fc.tuple(fc.oneof(key, fc.string({ maxLength: 8 })), tie('value')), { maxLength: 4 })
        .map((pairs) => Object.fromEntries(pairs)),
    })).value;
    const root = fc.constantFrom(
      'period',
      'neuron_runtimes',
      'system_metrics',
      'exporters',
      'source',
      'resource',
      'telemetry',
      'metrics',
      'runtimes',
    );
    fc.assert(
      fc.property(fc.dictionary(root, anyJson), key, (config, name) => {
        expect(violations(toJson(config))).toEqual([]);
        expect(violations(`{${JSON.stringify(name)}:{"polluted":1},${toJson(config).slice(1)}`)).toEqual([]);
      }),
      { numRuns: runs / 2 },
    );
  });
}
