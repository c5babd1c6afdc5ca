import { RUNTIME_GROUPS, SYSTEM_GROUPS } from '../src/readings.ts';
import type { MetricGroup, RuntimeGroup, SystemGroup } from '../src/readings.ts';
import type { Selection } from '../src/selection.ts';
import type { Collection, GroupSettings, RuntimeEntry } from './neuron-monitor.ts';
import { firstMatch } from './tag-filter.ts';

/** The shortest period of each configured group, milliseconds, in neuron-monitor's order of groups. */
export function periodsOf(config: Pick<Collection, 'runtimes' | 'systemGroups'>): Map<MetricGroup, number> {
  const periods = new Map<MetricGroup, number>();
  for (const group of RUNTIME_GROUPS) {
    const ofEntries = config.runtimes.flatMap((entry) => entry.groups[group]?.periodMs ?? []);
    if (ofEntries.length > 0) periods.set(group, Math.min(...ofEntries));
  }
  for (const group of SYSTEM_GROUPS) {
    const periodMs = config.systemGroups[group]?.periodMs;
    if (periodMs !== undefined) periods.set(group, periodMs);
  }
  return periods;
}

/** The configuration as the collection needs it. */
export function selectionOf(config: Collection): Selection {
  const select = firstMatch(config.runtimes);
  const groups = new Map<RuntimeEntry, ReadonlySet<RuntimeGroup>>();
  for (const entry of config.runtimes) groups.set(entry, new Set(RUNTIME_GROUPS.filter((group) => entry.groups[group] !== undefined)));
  return {
    runtimeGroups: ({ tag }) => {
      const entry = select(tag);
      return entry === undefined ? undefined : groups.get(entry);
    },
    systemGroups: new Set<SystemGroup>(SYSTEM_GROUPS.filter((group) => config.systemGroups[group] !== undefined)),
    periodsMs: periodsOf(config),
    defaultPeriodMs: config.periodMs,
  };
}

/**
 * The same choice as the content of a file that neuron-monitor itself can read. It knows whole seconds only, so other periods are rounded
 * up, and refuses groups it does not have.
 */
export function neuronMonitorFile(config: Collection): Readonly<Record<string, unknown>> {
  const list = (groups: Readonly<Partial<Record<string, GroupSettings>>>) =>
    Object.entries(groups).flatMap(([type, settings]) =>
      settings === undefined ? [] : [{ type, period: wholeSeconds(settings.periodMs) }],
    );
  return {
    period: wholeSeconds(config.periodMs),
    neuron_runtimes: config.runtimes.map((entry) => ({ tag_filter: entry.tagFilter ?? '.*', metrics: list(entry.groups) })),
    system_metrics: list({ ...config.systemGroups, neuron_device_counters: undefined }),
  };
}

function wholeSeconds(periodMs: number): string {
  return `${Math.ceil(periodMs / 1_000)}s`;
}
