import { basename, join } from 'node:path';
import type { Host } from '../../src/host.ts';
import type { RuntimeRef } from '../../src/readings.ts';
import { startTimeMs } from '../procfs/boot-time.ts';
import { parsePidStat } from '../procfs/pid-stat.ts';
import type { PidStat } from '../procfs/pid-stat.ts';
import { parseCgroup } from './cgroup.ts';
import { parseEnvironment } from './environment.ts';
import { readLink, readShortText, readText } from './proc-files.ts';

/** Who a process is. Pid and start time together name one process for the life of the host. */
export interface ProcessIdentity extends RuntimeRef {
  /** Names of semantic conventions: `process.executable.name`, `container.id`, `k8s.pod.uid`. */
  readonly attributes: Readonly<Record<string, string>>;
  /** Physical cores that form one logical core, as the environment of the process says. */
  readonly logicalCoreConfig?: number;
}

/** What a workload can make as long as it likes. */
const MAX_CGROUP_BYTES = 64 * 1024;
const MAX_ENVIRONMENT_BYTES = 1024 * 1024;
const MAX_NAME_LENGTH = 255;

/** `/proc/<pid>/stat` now; undefined when there is no such process. */
export function readPidStat(host: Pick<Host, 'procRoot'>, pid: number): PidStat | undefined {
  const text = readShortText(`${host.procRoot}/${pid}/stat`);
  return text.is === 'seen' ? parsePidStat(text.value) : undefined;
}

/**
 * Reads who a process is. The caller checks afterwards that the pid still names the process with this `stat`:
 * it may have been given to another one while the files were read.
 */
export function readIdentity(host: Host, pid: number, stat: PidStat, bootMs: number | undefined): ProcessIdentity {
  const folder = join(host.procRoot, String(pid));
  const cgroup = readText(join(folder, 'cgroup'), MAX_CGROUP_BYTES);
  const environ = readText(join(folder, 'environ'), MAX_ENVIRONMENT_BYTES);
  const executable = readLink(join(folder, 'exe'));
  const { containerId, podUid } = cgroup.is === 'seen' ? parseCgroup(cgroup.value) : {};
  const { tag, logicalCoreConfig } = environ.is === 'seen' ? parseEnvironment(environ.value) : {};
  const name = executable.is === 'seen' ? basename(executable.value.replace(/ \(deleted\)$/, '')) : stat.command;
  return {
    pid,
    // neuron-monitor prints the pid where no tag was set.
    tag: tag ?? String(pid),
    ...(bootMs !== undefined && { startTimeMs: startTimeMs(bootMs, stat.startTicks) }),
    attributes: {
      ...(name !== '' && { 'process.executable.name': name.slice(0, MAX_NAME_LENGTH) }),
      ...(containerId !== undefined && { 'container.id': containerId }),
      ...(podUid !== undefined && { 'k8s.pod.uid': podUid }),
    },
    ...(logicalCoreConfig !== undefined && { logicalCoreConfig }),
  };
}
