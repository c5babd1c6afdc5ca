import * as fc from 'fast-check';
import { expect, test } from 'vitest';
import { indexOf } from '../../receivers/core-index.ts';
import type { Recorder } from '../../src/receiver.ts';

/** What is made of a member name, and what was said about it. */
function read(key: string): { readonly index: number | undefined; readonly failures: readonly string[] } {
  const failures: string[] = [];
  const unused = (): never => {
    throw new Error('reading a name records nothing');
  };
  const recorder: Recorder = {
    wants: unused,
    set: unused,
    add: unused,
    total: unused,
    distribution: unused,
    resource: unused,
    fail: (code) => void failures.push(code),
  };
  return { index: indexOf(key, recorder), failures };
}

test.each([
  ['0', 0],
  ['12', 12],
  ['999999', 999_999],
])('%j is an index', (key, index) => {
  expect(read(key)).toEqual({ index, failures: [] });
});

test.each(['', '00', '012', '1000000', '-1', '+1', '1.0', '1e3', ' 1', '1\n', '٣', 'core'])(
  '%j is no index of a core, and counts as a failure',
  (key) => {
    expect(read(key)).toEqual({ index: undefined, failures: ['source_malformed'] });
  },
);

test('an index matches its pattern, whatever the name of the member', () => {
  const name = fc.oneof(fc.string(), fc.stringMatching(/^[0-9]{0,8}$/), fc.nat().map(String));
  fc.assert(
    fc.property(name, (key) => {
      expect(read(key).index).toBe(/^(?:0|[1-9]\d{0,5})$/.test(key) ? Number(key) : undefined);
    }),
    { numRuns: 2_000 },
  );
});
