import { FACT_GROUPS } from './readings.ts';
import type { MetricGroup, RuntimeGroup, RuntimeRef, SystemGroup } from './readings.ts';

/** The groups and periods that the configuration asks for. */
export interface Selection {
  /** Groups wanted of a runtime; undefined when its tag matches no entry. */
  runtimeGroups(runtime: RuntimeRef): ReadonlySet<RuntimeGroup> | undefined;
  readonly systemGroups: ReadonlySet<SystemGroup>;
  /** Shortest period of each configured group, milliseconds. */
  readonly periodsMs: ReadonlyMap<MetricGroup, number>;
  /** Period of facts, and of groups without a configured period. */
  readonly defaultPeriodMs: number;
}

/** One reader for each distinct period; facts go with the default period, or with the shortest when nothing else has it. */
export function groupsByPeriod(selection: Selection): ReadonlyMap<number, ReadonlySet<MetricGroup>> {
  const byPeriod = new Map<number, Set<MetricGroup>>();
  for (const [group, periodMs] of selection.periodsMs) {
    const groups = byPeriod.get(periodMs);
    if (groups === undefined) byPeriod.set(periodMs, new Set([group]));
    else groups.add(group);
  }
  const periods = [...byPeriod.keys()];
  const factsPeriodMs = byPeriod.has(selection.defaultPeriodMs) || periods.length === 0 ? selection.defaultPeriodMs : Math.min(...periods);
  const withFacts = byPeriod.get(factsPeriodMs) ?? new Set<MetricGroup>();
  for (const group of FACT_GROUPS) withFacts.add(group);
  byPeriod.set(factsPeriodMs, withFacts);
  return new Map([...byPeriod].toSorted(([a], [b]) => a - b));
}
