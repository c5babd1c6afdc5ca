/**
 * What `.ci/run` does once the packages are installed. Each step is an npm script that a person can run as well.
 * Closes with `N passed, N failed`: tests one by one, every other step as one.
 */
import { spawnSync } from 'node:child_process';
import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';

interface Step {
  readonly title: string;
  /** Arguments of `npm run`. */
  readonly script: readonly string[];
  /** Tests are counted one by one. */
  readonly isVitest?: boolean;
}

const STEPS: readonly Step[] = [
  { title: 'tests', script: ['test'], isVitest: true },
  { title: 'long tests', script: ['test:long'], isVitest: true },
  { title: 'types, lint, format, generated documents', script: ['check'] },
  { title: 'bundle', script: ['build'] },
  { title: 'end-to-end tests with real peers', script: ['test:e2e'], isVitest: true },
  { title: 'benchmark of a 440 kB record', script: ['bench', '--', 'line', '--rounds', '4'] },
];

/** A step that hangs is a failed step. */
const STEP_TIMEOUT_MS = 30 * 60_000;

interface Tally {
  readonly passed: number;
  readonly failed: number;
  readonly skipped: number;
}

const root = resolve(import.meta.dirname, '..');
const resultsFolder = mkdtempSync(join(tmpdir(), 'neuron-otel-ci-'));
const tallies = STEPS.map((step) => runStep(step));
rmSync(resultsFolder, { recursive: true, force: true });

const total = {
  passed: sum(tallies.map(({ passed }) => passed)),
  failed: sum(tallies.map(({ failed }) => failed)),
  skipped: sum(tallies.map(({ skipped }) => skipped)),
};
for (const [index, tally] of tallies.entries()) {
  const { title } = STEPS[index] ?? { title: 'step' };
  console.log(`ci: ${title}: ${tallyText(tally)}`);
}
process.exitCode = total.failed === 0 ? 0 : 1;
console.log(tallyText(total));

function runStep({ title, script, isVitest }: Step): Tally {
  console.log(`\nci: ${title} (npm run ${script.join(' ')})`);
  const startedMs = performance.now();
  const resultsPath = join(resultsFolder, `${script[0] ?? 'step'}.json`.replaceAll(':', '-'));
  const reporters = isVitest === true ? ['--', '--reporter=default', '--reporter=json', `--outputFile.json=${resultsPath}`] : [];
  const { status, error } = spawnSync('npm', ['run', '--silent', ...script, ...reporters], {
    cwd: root,
    env: { ...process.env, CI: 'true' },
    stdio: ['ignore', 'inherit', 'inherit'],
    timeout: STEP_TIMEOUT_MS,
  });
  if (error !== undefined) console.error(`ci: ${title}: ${error.message}`);
  const succeeded = status === 0;
  console.log(`ci: ${title}: ${succeeded ? 'done' : 'FAILED'} after ${Math.round((performance.now() - startedMs) / 1000)} s`);
  if (isVitest !== true) return { passed: succeeded ? 1 : 0, failed: succeeded ? 0 : 1, skipped: 0 };
  return vitestTally(resultsPath, succeeded);
}

/** Counts of vitest's JSON report. A run that failed without a failed test (a file that does not load) counts as one failure. */
function vitestTally(path: string, succeeded: boolean): Tally {
  if (!existsSync(path)) return { passed: 0, failed: 1, skipped: 0 };
  const results: unknown = JSON.parse(readFileSync(path, 'utf8'));
  const failed = count(results, 'numFailedTests');
  const passed = count(results, 'numPassedTests');
  const ranNothing = passed + failed === 0;
  const failedOtherwise = failed === 0 && (!succeeded || ranNothing);
  return { passed, failed: failedOtherwise ? 1 : failed, skipped: count(results, 'numPendingTests') + count(results, 'numTodoTests') };
}

function count(results: unknown, key: string): number {
  if (typeof results !== 'object' || results === null) return 0;
  const value: unknown = Reflect.get(results, key);
  return typeof value === 'number' ? value : 0;
}

function tallyText({ passed, failed, skipped }: Tally): string {
  return `${passed} passed, ${failed} failed${skipped === 0 ? '' : `, ${skipped} skipped`}`;
}

function sum(values: readonly number[]): number {
  return values.reduce((soFar, value) => soFar + value, 0);
}
