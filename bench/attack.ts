/**
 * `npm run bench -- attack [--rounds N] [--only ATTACK]`: what a good scraper notices while the endpoint is attacked, beside Debian's node_exporter
 * with the same users (bcrypt of cost 10) under the same attacks. Attacker, scraper and target are processes of their own.
 *
 * A scrape that is refused or cut off counts as one that took ten seconds. Memory is what the target keeps after an attack is over.
 */
import { fork } from 'node:child_process';
import type { ChildProcess } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { freePort } from '../test/e2e/support/ports.ts';
import { SCRAPE_TIMEOUT_MS } from './attack-limits.ts';
import { benchPasswords, benchTagFilters } from './attack-oracles.ts';
import { AUTHORIZATION, startAgent, startNodeExporter, writeWebConfig } from './attack-targets.ts';
import type { Target } from './attack-targets.ts';
import { closingLine, summarize } from './statistics.ts';

const ATTACKS = [
  'none',
  'idle_sockets',
  'slow_headers',
  'header_flood',
  'pipelining',
  'traversal',
  'methods_and_bodies',
  'wrong_passwords',
  'unknown_users',
] as const;

const DEFAULT_ROUNDS = 3;
const ATTACK_MS = 6_000;
/** What the target holds is given back by then. */
const SETTLE_MS = 10_000;
const MEBIBYTE = 2 ** 20;

interface Outcome {
  readonly p50Ms: number;
  readonly p99Ms: number;
  readonly failed: number;
  readonly growthMib: number;
  readonly descriptorsBefore: number;
  readonly descriptorsAfter: number;
}

export async function run(args: readonly string[]): Promise<void> {
  const { values } = parseArgs({ args: [...args], options: { rounds: { type: 'string' }, only: { type: 'string' } } });
  const rounds = values.rounds === undefined ? DEFAULT_ROUNDS : Number(values.rounds);
  if (!Number.isInteger(rounds) || rounds < 1) throw new RangeError('--rounds takes a positive whole number');
  const attacks = ATTACKS.filter((attack) => values.only === undefined || attack === values.only);
  const folder = mkdtempSync(join(tmpdir(), 'neuron-otel-bench-'));
  try {
    const webConfigFile = writeWebConfig(folder);
    await using ours = await startAgent(folder, webConfigFile, await freePort());
    await warmUp(ours);
    for (const attack of attacks) {
      const outcomes = { ours: new Array<Outcome>(), peer: new Array<Outcome>() };
      for (let round = 0; round < rounds; round += 1) {
        outcomes.ours.push(await attackOnce(ours, attack));
        // A new one each time: after some attacks it is busy for minutes, with the cores that the agent needs for its turn.
        await using peer = await startNodeExporter(webConfigFile, await freePort());
        outcomes.peer.push(await attackOnce(peer, attack));
      }
      report(attack, outcomes.ours, outcomes.peer);
    }
    if (values.only !== undefined) return;
    await using peer = await startNodeExporter(webConfigFile, await freePort());
    await benchPasswords(ours, peer);
  } finally {
    rmSync(folder, { recursive: true });
  }
  benchTagFilters();
}

/** One attack, the good scraper at work all the time. */
async function attackOnce(target: Target, attack: string, forMs = ATTACK_MS): Promise<Outcome> {
  const descriptorsBefore = target.descriptors;
  const bytesBefore = target.residentBytes;
  const scraper = fork(join(import.meta.dirname, 'attack-scraper.ts'), [String(target.port), AUTHORIZATION]);
  await message(scraper);
  scraper.send('start');
  const attacker = fork(join(import.meta.dirname, 'attack-attacker.ts'), [String(target.port), attack, String(forMs), AUTHORIZATION]);
  await exit(attacker);
  scraper.send('stop');
  const times = asTimes(await message(scraper));
  const gone = exit(scraper);
  scraper.disconnect();
  await gone;
  const growthBytes = await settled(target, descriptorsBefore, bytesBefore);
  const failed = times.filter((ms) => ms < 0).length;
  const waitedMs = times.map((ms) => (ms < 0 ? SCRAPE_TIMEOUT_MS : ms)).toSorted((a, b) => a - b);
  return {
    p50Ms: waitedMs[Math.floor(waitedMs.length * 0.5)] ?? Number.NaN,
    p99Ms: waitedMs[Math.floor(waitedMs.length * 0.99)] ?? Number.NaN,
    failed,
    growthMib: growthBytes / MEBIBYTE,
    descriptorsBefore,
    descriptorsAfter: target.descriptors,
  };
}

/** Code is compiled, the thread for passwords is there, garbage has been collected. */
async function warmUp(target: Target): Promise<void> {
  await attackOnce(target, 'none');
  await attackOnce(target, 'wrong_passwords', 1_000);
}

/** Waits until connections are closed and memory is given back, scraped now and then as always; returns how much memory is not. */
async function settled(target: Target, descriptorsBefore: number, bytesBefore: number): Promise<number> {
  const deadlineMs = performance.now() + SETTLE_MS;
  let least = Number.POSITIVE_INFINITY;
  while (performance.now() < deadlineMs) {
    least = Math.min(least, target.residentBytes - bytesBefore);
    if (target.descriptors <= descriptorsBefore + 1 && least <= 0) break;
    await target.scrape();
    await new Promise((done) => setTimeout(done, 250));
  }
  return least;
}

function report(attack: string, ours: readonly Outcome[], peer: readonly Outcome[]): void {
  for (const [who, outcomes] of [
    ['ours', ours],
    ['node_exporter', peer],
  ] as const) {
    const [p99, growth] = [summarize(outcomes.map(({ p99Ms }) => p99Ms)), summarize(outcomes.map(({ growthMib }) => growthMib))];
    const descriptors = outcomes.map(({ descriptorsBefore, descriptorsAfter }) => `${descriptorsBefore}→${descriptorsAfter}`).join(' ');
    const failed = outcomes.map((outcome) => outcome.failed).join(' ');
    console.log(
      `${attack}, ${who}: p99 ${p99.median.toFixed(1)} ms (${p99.min.toFixed(1)} … ${p99.max.toFixed(1)}), failed scrapes ${failed}, ` +
        `memory ${growth.median.toFixed(1)} MiB (${growth.min.toFixed(1)} … ${growth.max.toFixed(1)}), descriptors ${descriptors}`,
    );
  }
  const median = (outcomes: readonly Outcome[], value: (outcome: Outcome) => number): number => summarize(outcomes.map(value)).median;
  const compare = (measure: string, goal: string, value: (outcome: Outcome) => number): void =>
    console.log(
      closingLine({ measure: `attack/${attack}_${measure}`, ours: median(ours, value), peer: median(peer, value), better: 'less', goal }),
    );
  compare('p50_ms', 'none', ({ p50Ms }) => p50Ms);
  compare('p99_ms', '<100', ({ p99Ms }) => p99Ms);
  // A tenth at least, so that a ratio can be told.
  compare('growth_mib', '<=20', ({ growthMib }) => Math.max(growthMib, 0.1));
}

function message(child: ChildProcess): Promise<unknown> {
  return new Promise((resolve, reject) => {
    child.once('message', resolve);
    child.once('exit', (code) => reject(new Error(`a process of the benchmark ended with ${code}`)));
  });
}

function exit(child: ChildProcess): Promise<void> {
  return new Promise((resolve) => {
    child.once('exit', () => resolve());
  });
}

function asTimes(value: unknown): readonly number[] {
  if (Array.isArray(value) && value.every((time) => typeof time === 'number')) return value;
  throw new TypeError('the scraper said something else than times');
}
