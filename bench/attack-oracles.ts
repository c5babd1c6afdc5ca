/** What an attacker may learn or use up without a flood: which users exist, and time of tag filters. Part of `attack`. */
import { runInNewContext } from 'node:vm';
import { parseTagFilter } from '../config/tag-filter.ts';
import { EVIL_PATTERNS, HOSTILE_TAGS } from '../test/support/evil-patterns.ts';
import type { Target } from './attack-targets.ts';
import { closingLine, describeSummary, summarize } from './statistics.ts';

const GUESSES = 25;
/** V8's own engine is cut off after so long; many patterns would keep it for years. */
const CUT_OFF_MS = 20;

/** A guess for a user that exists must not take longer than one for a user that does not. */
export async function benchPasswords(ours: Target, peer: Target): Promise<void> {
  const medians = new Map<string, number>();
  for (const target of [ours, peer]) {
    const times = { known: new Array<number>(), unknown: new Array<number>() };
    for (let guess = 0; guess < GUESSES; guess += 1) {
      times.known.push(await timed(target, 'scraper', guess));
      times.unknown.push(await timed(target, `nobody-${guess}`, guess));
    }
    for (const [user, samples] of Object.entries(times)) {
      const summary = summarize(samples);
      medians.set(`${target.name} ${user}`, summary.median);
      console.log(describeSummary(`${target.name}, wrong password of ${user === 'known' ? 'a known' : 'an unknown'} user`, summary, 'ms'));
    }
  }
  const share = (name: string): number => (medians.get(`${name} known`) ?? Number.NaN) / (medians.get(`${name} unknown`) ?? Number.NaN);
  console.log(
    closingLine({
      measure: 'attack/known_by_unknown_user_time',
      ours: share('ours'),
      peer: share('node_exporter'),
      better: 'less',
      goal: '0.9..1.1',
    }),
  );
}

async function timed({ port }: Target, user: string, guess: number): Promise<number> {
  const authorization = `Basic ${Buffer.from(`${user}:wrong-${process.pid}-${guess}`).toString('base64')}`;
  const startedMs = performance.now();
  const { status } = await fetch(`http://127.0.0.1:${port}/metrics`, { headers: { authorization } });
  if (status !== 401) throw new Error(`a wrong password was answered with ${status}`);
  return performance.now() - startedMs;
}

/** Each pattern against each tag for the first time, as tags of new processes are: the best of three, each with a filter of its own. */
export function benchTagFilters(): void {
  const times = { ours: new Array<number>(), peer: new Array<number>() };
  for (const pattern of EVIL_PATTERNS) {
    for (const tag of HOSTILE_TAGS) {
      times.ours.push(Math.min(...Array.from({ length: 3 }, () => firstMatchMs(pattern, tag))));
      times.peer.push(elapsedMs(() => matchWithCutOff(pattern, tag)));
    }
  }
  const [ours, peer] = [summarize(times.ours), summarize(times.peer)];
  console.log(`${EVIL_PATTERNS.length} tag filters, ${HOSTILE_TAGS.length} tags of 255 characters; V8 is cut off after ${CUT_OFF_MS} ms`);
  console.log(describeSummary('RE2, one match', ours, 'ms'));
  console.log(describeSummary("V8's regular expressions, one match", peer, 'ms'));
  const better = 'less';
  console.log(closingLine({ measure: 'attack/tag_filter_max_ms', ours: ours.max, peer: peer.max, better, goal: '<5' }));
  console.log(closingLine({ measure: 'attack/tag_filter_median_ms', ours: ours.median, peer: peer.median, better, goal: '<5' }));
}

function firstMatchMs(pattern: string, tag: string): number {
  const filter = parseTagFilter(pattern);
  if (!filter.ok) throw new Error(`${pattern}: ${filter.reason}`);
  return elapsedMs(() => filter.value(tag));
}

function matchWithCutOff(pattern: string, tag: string): void {
  try {
    runInNewContext('new RegExp(pattern).test(tag)', { pattern, tag }, { timeout: CUT_OFF_MS });
  } catch {
    // Cut off.
  }
}

function elapsedMs(work: () => void): number {
  const startedMs = performance.now();
  work();
  return performance.now() - startedMs;
}
