import { spawnSync } from 'node:child_process';
import { join } from 'node:path';
import { projectRoot } from './agent.ts';
import { parseObject } from './json.ts';
import { peerPath } from '../../../scripts/peers.ts';

/** The legacy page after one record, in both text formats. */
export interface LegacyPage {
  readonly text: string;
  readonly openMetrics: string;
}

const ORACLE = join(projectRoot, 'test/e2e/legacy_oracle.py');

/** The page after each of these records as Python's prometheus_client renders it; see `legacy_oracle.py`. */
export function oraclePages(records: readonly string[], eccCounts: 'cumulative' | 'tally' = 'cumulative'): readonly LegacyPage[] {
  return run(['--ecc', eccCounts], records)
    .map((line) => parseObject(line))
    .map(({ text, openmetrics }) => ({ text: withoutTimes(String(text)), openMetrics: withoutTimes(String(openmetrics)) }));
}

/** Numbers as the client spells them. */
export function clientSpelling(numbers: readonly number[]): readonly string[] {
  return run(
    ['--floats'],
    numbers.map((value) => (Object.is(value, -0) ? '-0.0' : String(value).replace('Infinity', 'inf'))),
  );
}

/** No two programs make a series at the same time: of creation times only the names and labels are compared. */
export function withoutTimes(page: string): string {
  return page.replaceAll(/^(\w+_created\{.*\}) \S+$/gm, '$1');
}

function run(args: readonly string[], lines: readonly string[]): readonly string[] {
  const input = lines.map((line) => `${line}\n`).join('');
  const { status, stdout, stderr, error } = spawnSync(peerPath('python'), [ORACLE, ...args], {
    input,
    encoding: 'utf8',
    maxBuffer: 1 << 29,
  });
  if (error !== undefined) throw error;
  if (status !== 0) throw new Error(stderr.trim().split('\n').slice(-5).join('\n'));
  return stdout.split('\n').slice(0, -1);
}
