import { readFileSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { Series } from './family.ts';
import type { Family, FamilyType } from './family.ts';

/** Facts about this process; undefined where the platform does not have them. */
export interface ProcessFacts {
  readonly virtualMemoryBytes: number | undefined;
  readonly residentMemoryBytes: number;
  readonly startTimeSeconds: number;
  readonly cpuSeconds: number;
  readonly openFiles: number | undefined;
  readonly maxOpenFiles: number | undefined;
}

/**
 * The `process_*` families that Prometheus client libraries add to a page, here about this agent. Dashboards and Datadog's check of
 * the AWS script read them; the `python_*` families next to them would describe an interpreter that is not there.
 */
export function processFamilies(facts: ProcessFacts): readonly Family[] {
  const families: Family[] = [];
  for (const { name, type, help, value } of FAMILIES) {
    const current = value(facts);
    if (current === undefined) continue;
    const series = new Series('', { value: current, startTime: [0, 0] });
    families.push({ name, type, help, unit: '', series: [series], numbers: 'python', created: 'unknown' });
  }
  return families;
}

/** Reads the facts of this process; `procRoot` is `/proc`, or where the host's is mounted. */
export function readProcessFacts(procRoot: string): ProcessFacts {
  const { user, system } = process.cpuUsage();
  return {
    // Field 23 of stat; the name of the process, field 2, may hold anything and ends with the last parenthesis.
    virtualMemoryBytes: numberIn(readText(join(procRoot, 'self/stat')), /\) (?:\S+ ){20}(\d+) /),
    residentMemoryBytes: process.memoryUsage.rss(),
    startTimeSeconds: performance.timeOrigin / 1000,
    cpuSeconds: (user + system) / 1e6,
    openFiles: countEntries(join(procRoot, 'self/fd')),
    maxOpenFiles: numberIn(readText(join(procRoot, 'self/limits')), /^Max open files\s+(\d+)/m),
  };
}

interface FamilyRow {
  readonly name: string;
  readonly type: FamilyType;
  readonly help: string;
  readonly value: (facts: ProcessFacts) => number | undefined;
}

/** Names, texts and order of Python's prometheus_client. */
const FAMILIES: readonly FamilyRow[] = [
  {
    name: 'process_virtual_memory_bytes',
    type: 'gauge',
    help: 'Virtual memory size in bytes.',
    value: (facts) => facts.virtualMemoryBytes,
  },
  {
    name: 'process_resident_memory_bytes',
    type: 'gauge',
    help: 'Resident memory size in bytes.',
    value: (facts) => facts.residentMemoryBytes,
  },
  {
    name: 'process_start_time_seconds',
    type: 'gauge',
    help: 'Start time of the process since unix epoch in seconds.',
    value: (facts) => facts.startTimeSeconds,
  },
  {
    name: 'process_cpu_seconds_total',
    type: 'counter',
    help: 'Total user and system CPU time spent in seconds.',
    value: (facts) => facts.cpuSeconds,
  },
  { name: 'process_open_fds', type: 'gauge', help: 'Number of open file descriptors.', value: (facts) => facts.openFiles },
  { name: 'process_max_fds', type: 'gauge', help: 'Maximum number of open file descriptors.', value: (facts) => facts.maxOpenFiles },
];

function readText(path: string): string | undefined {
  try {
    return readFileSync(path, 'utf8');
  } catch {
    // Not Linux, or /proc is hidden: the family is left out.
    return undefined;
  }
}

function countEntries(path: string): number | undefined {
  try {
    return readdirSync(path).length;
  } catch {
    return undefined;
  }
}

function numberIn(text: string | undefined, pattern: RegExp): number | undefined {
  const digits = text === undefined ? undefined : pattern.exec(text)?.[1];
  return digits === undefined ? undefined : Number(digits);
}
