import { existsSync, readFileSync, readdirSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { projectRoot } from './agent.ts';
import { parseObject } from './json.ts';
import type { JsonObject } from './json.ts';

/** A neuron-monitor stream: its bytes and its records. */
export interface Recording {
  readonly name: string;
  readonly bytes: Buffer;
  readonly lines: readonly string[];
  readonly records: readonly JsonObject[];
}

const fixtures = join(projectRoot, 'test/fixtures/neuron-monitor');

/** Real captures that are not part of the project; absent on most machines. */
const samples = resolve(projectRoot, '../shared/samples');

/** The project's own synthetic streams. */
export const FIXTURE_NAMES: readonly string[] = readdirSync(fixtures, { withFileTypes: true })
  .filter((entry) => entry.isDirectory())
  .map(({ name }) => name)
  .toSorted();

export function fixture(name: string): Recording {
  return recording(name, join(fixtures, name, 'stream.ndjson'));
}

export function fixturePath(name: string): string {
  return join(fixtures, name, 'stream.ndjson');
}

/** Nine records of one run on a trn1.2xlarge: start, load, idle. Undefined where the captures are absent. */
export function nineRealRecords(): Recording | undefined {
  const path = join(samples, 'ndjson-trn1.2xlarge-idle-load-idle-tools2.25.145-2026.txt');
  return existsSync(path) ? recording('nine real records', path) : undefined;
}

function recording(name: string, path: string): Recording {
  const bytes = readFileSync(path);
  const lines = bytes
    .toString('utf8')
    .split('\n')
    .filter((line) => line !== '');
  return { name, bytes, lines, records: lines.map(parseObject) };
}

/** The records as a neuron-monitor with another period would print them. */
export function withPeriod(lines: readonly string[], periodSeconds: number): readonly string[] {
  return lines.map((line) => line.replaceAll(/"period":[\d.]+/g, `"period":${periodSeconds}`));
}
