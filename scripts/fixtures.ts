import { mkdirSync, writeFileSync } from 'node:fs';
import { fixtureCases } from './fixtures/cases.ts';
import type { FixtureCase } from './fixtures/cases.ts';
import { compact } from './fixtures/record.ts';

/** Writes test/fixtures/neuron-monitor. The same code writes the same bytes; a test keeps the committed files equal to it. */

const FOLDER = new URL('../test/fixtures/neuron-monitor/', import.meta.url);

/** The stream as neuron-monitor prints it: one compact object on each line. */
export function streamText(fixture: FixtureCase): string {
  return fixture.records.map((record) => `${compact(record)}\n`).join('');
}

export function noteText(fixture: FixtureCase): string {
  return [
    `# ${fixture.name}`,
    '',
    'Synthetic: written by `scripts/fixtures.ts`, no capture of a real host.',
    '',
    `- Instance: ${fixture.instance}`,
    `- Driver: none`,
    `- Tool: record of neuron-monitor ${fixture.toolVersion}`,
    ...fixture.shows.map((line) => `- Shows: ${line}`),
    '',
  ].join('\n');
}

if (import.meta.main) {
  for (const fixture of fixtureCases()) {
    const folder = new URL(`${fixture.name}/`, FOLDER);
    mkdirSync(folder, { recursive: true });
    writeFileSync(new URL('stream.ndjson', folder), streamText(fixture));
    writeFileSync(new URL('NOTE.md', folder), noteText(fixture));
  }
}
