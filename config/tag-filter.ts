import { RE2JS, RE2JSException } from 're2js';
import type { Parsed } from '../src/settings.ts';

/** Patterns come from administrators, tags from workloads; both are bounded so that one match stays cheap. */
export const MAX_PATTERN_LENGTH = 1024;
const MAX_PROGRAM_SIZE = 3_000;
const MAX_CACHED_TAGS = 4_096;

/** Compiles a `tag_filter`: RE2 as in Go, found anywhere in the tag unless anchored. */
export function parseTagFilter(pattern: string): Parsed<(tag: string) => boolean> {
  if (pattern.length > MAX_PATTERN_LENGTH) return { ok: false, reason: `is longer than ${MAX_PATTERN_LENGTH} characters` };
  try {
    const program = RE2JS.compile(pattern);
    if (program.programSize() > MAX_PROGRAM_SIZE) return { ok: false, reason: 'is too large a regular expression' };
    return { ok: true, value: (tag) => program.test(tag) };
  } catch (thrown) {
    if (!(thrown instanceof RE2JSException || thrown instanceof RangeError)) throw thrown;
    const [complaint = ''] = thrown.message.replace(/^error parsing regexp: /, '').split(': `', 1);
    return { ok: false, reason: `is not a regular expression in RE2 syntax: ${complaint}` };
  }
}

/** Answers for each tag which entry is the first whose filter finds it. The last 4,096 tags are remembered. */
export function firstMatch<T extends { readonly tagFilter?: string }>(entries: readonly T[]): (tag: string) => T | undefined {
  const filters = entries.map((entry) => ({ entry, matches: compiled(entry.tagFilter) }));
  const answers = new Map<string, T | undefined>();
  return (tag) => {
    const known = answers.get(tag);
    if (known !== undefined || answers.has(tag)) return known;
    const answer = filters.find((filter) => filter.matches(tag))?.entry;
    if (answers.size >= MAX_CACHED_TAGS) answers.delete(oldest(answers));
    answers.set(tag, answer);
    return answer;
  };
}

function compiled(pattern: string | undefined): (tag: string) => boolean {
  if (pattern === undefined) return () => true;
  const filter = parseTagFilter(pattern);
  // An unusable filter was refused with its path when the file was loaded.
  return filter.ok ? filter.value : () => false;
}

function oldest(answers: ReadonlyMap<string, unknown>): string {
  for (const tag of answers.keys()) return tag;
  return '';
}
