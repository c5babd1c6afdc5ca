import { METRIC_GROUPS } from '../../src/readings.ts';
import type { PageRequest } from './pages.ts';

/** The query asks for what does not exist, or for too much at once; the message is for the client. */
export class GroupSelectionError extends Error {
  override readonly name = 'GroupSelectionError';
}

/**
 * Reads `?collect[]=GROUP` (only these metric groups) or `?exclude[]=GROUP` (all but these), as node_exporter takes them; other
 * parameters are ignored. Undefined when the query selects nothing.
 */
export function parseGroupSelection(query: string): PageRequest['selection'] {
  if (query === '') return undefined;
  const parameters = new URLSearchParams(query);
  const collect = groupsOf(parameters.getAll('collect[]'));
  const exclude = groupsOf(parameters.getAll('exclude[]'));
  if (collect.size > 0 && exclude.size > 0) throw new GroupSelectionError('Combined collect and exclude queries are not allowed.');
  if (collect.size > 0) return { key: `collect ${[...collect].toSorted().join(' ')}`, shows: (scope) => collect.has(scope) };
  if (exclude.size > 0) return { key: `exclude ${[...exclude].toSorted().join(' ')}`, shows: (scope) => !exclude.has(scope) };
  return undefined;
}

function groupsOf(names: readonly string[]): ReadonlySet<string> {
  const known: readonly string[] = METRIC_GROUPS;
  for (const name of names) {
    if (!known.includes(name))
      throw new GroupSelectionError(`Unknown metric group ${JSON.stringify(name.slice(0, 64))}; known: ${known.join(', ')}.`);
  }
  return new Set(names);
}
