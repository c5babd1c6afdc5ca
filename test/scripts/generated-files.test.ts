import { readFileSync, readdirSync } from 'node:fs';
import { resolve } from 'node:path';
import { describe, expect, it } from 'vitest';
import { noteText, streamText } from '../../scripts/fixtures.ts';
import { fixtureCases } from '../../scripts/fixtures/cases.ts';
import { metricsDocument } from '../../scripts/metrics-doc.ts';

const ROOT = resolve(import.meta.dirname, '../..');
const FIXTURES = resolve(ROOT, 'test/fixtures/neuron-monitor');

it('docs/METRICS.md is what scripts/metrics-doc.ts makes of the tables (npm run golden writes it)', () => {
  expect(metricsDocument()).toBe(readFileSync(resolve(ROOT, 'docs/METRICS.md'), 'utf8'));
});

describe('neuron-monitor fixtures are what scripts/fixtures.ts writes', () => {
  it.each(fixtureCases().map((fixture) => [fixture.name, fixture] as const))('%s', (name, fixture) => {
    // Not toBe: a difference of 440 kB lines is not worth printing.
    expect(readFileSync(resolve(FIXTURES, name, 'stream.ndjson'), 'utf8') === streamText(fixture)).toBe(true);
    expect(readFileSync(resolve(FIXTURES, name, 'NOTE.md'), 'utf8')).toBe(noteText(fixture));
  });

  it('every folder of fixtures has its note', () => {
    for (const name of readdirSync(FIXTURES)) expect(readdirSync(resolve(FIXTURES, name))).toContain('NOTE.md');
  });
});
