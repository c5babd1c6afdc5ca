import { mkdirSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Host } from '../../src/host.ts';

/** One process of a synthetic `/proc`. */
export interface FixtureProcess {
  readonly pid: number;
  readonly startTicks: number;
  readonly command?: string;
  readonly parentPid?: number;
  /** Descriptor → what it links to. */
  readonly descriptors?: Readonly<Record<string, string>>;
  readonly environment?: Readonly<Record<string, string>>;
  readonly cgroup?: string;
  readonly executable?: string;
  readonly maps?: string;
  readonly userTicks?: number;
}

/** Writes the files of a process; whatever had this pid before is gone. */
export function startProcess(host: Host, process: FixtureProcess): void {
  const folder = join(host.procRoot, String(process.pid));
  rmSync(folder, { recursive: true, force: true });
  mkdirSync(join(folder, 'fd'), { recursive: true });
  const { pid, command = 'python3', parentPid = 1, startTicks, userTicks = 0 } = process;
  writeFileSync(
    join(folder, 'stat'),
    `${pid} (${command}) S ${parentPid} 1 1 0 -1 4194304 0 0 0 0 ${userTicks} 0 0 0 20 0 1 0 ${startTicks} 4096 1 0\n`,
  );
  for (const [descriptor, target] of Object.entries(process.descriptors ?? {})) symlinkSync(target, join(folder, 'fd', descriptor));
  const { environment, cgroup, executable, maps } = process;
  if (environment !== undefined) {
    const text = Object.entries(environment).map(([name, value]) => `${name}=${value}\0`);
    writeFileSync(join(folder, 'environ'), text.join(''));
  }
  if (cgroup !== undefined) writeFileSync(join(folder, 'cgroup'), cgroup);
  if (executable !== undefined) symlinkSync(executable, join(folder, 'exe'));
  if (maps !== undefined) writeFileSync(join(folder, 'maps'), maps);
}

export function endProcess(host: Host, pid: number): void {
  rmSync(join(host.procRoot, String(pid)), { recursive: true, force: true });
}
