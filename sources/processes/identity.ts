import { basename, join } from 'node:path';
import type { Host } from '../../src/host.ts';
import type { RuntimeRef } from '../../src/readings.ts';
import { parsePidStat, startTimeMs } from '../procfs/pid-stat.ts';
import type { PidStat } from '../procfs/pid-stat.ts';
import { readLink, readShortText, readText } from './proc-files.ts';

/** `ProcessIdentity` names a process. Pid and start time together name one process for the life of the host. */
export interface ProcessIdentity extends RuntimeRef {
  /** Names of semantic conventions: `process.executable.name`, `container.id`, `k8s.pod.uid`. */
  readonly attributes: Readonly<Record<string, string>>;
  /** Physical cores that form one logical core, from the environment of the process. */
  readonly logicalCoreConfig?: number;
}

/** A workload chooses the length of these files, so the agent reads no more than this. */
const MAX_CGROUP_BYTES = 64 * 1024;
const MAX_ENVIRONMENT_BYTES = 1024 * 1024;
const MAX_NAME_LENGTH = 255;

/** Reads `/proc/<pid>/stat`; undefined when there is no such process. */
export function readPidStat(host: Pick<Host, 'procRoot'>, pid: number): PidStat | undefined {
  const text = readShortText(`${host.procRoot}/${pid}/stat`);
  return text.is === 'seen' ? parsePidStat(text.value) : undefined;
}

/** `ProcessFacts` holds what the files of a process show at one moment; a file that cannot be read leaves its members out. */
interface ProcessFacts {
  readonly tag?: string;
  readonly logicalCoreConfig?: number;
  readonly attributes: Readonly<Record<string, string>>;
}

/**
 * Reads the identity of a process. `known` is its identity as it was read before: what a file does not show this time keeps its
 * last known value, so one failed read takes no label from a process that lives. The caller checks afterwards that the pid still
 * names the process with this `stat`: the pid may have got another owner while the files were read.
 */
export function readIdentity(
  host: Host,
  { pid, stat, bootMs, known }: { pid: number; stat: PidStat; bootMs: number | undefined; known?: ProcessIdentity | undefined },
): ProcessIdentity {
  const facts = readFacts(host, pid);
  const command = stat.command === '' ? {} : { 'process.executable.name': stat.command.slice(0, MAX_NAME_LENGTH) };
  const logicalCoreConfig = facts.logicalCoreConfig ?? known?.logicalCoreConfig;
  return {
    pid,
    // neuron-monitor prints the pid where no tag was set.
    tag: facts.tag ?? known?.tag ?? String(pid),
    ...(bootMs !== undefined && { startTimeMs: startTimeMs(bootMs, stat.startTicks) }),
    attributes: { ...command, ...known?.attributes, ...facts.attributes },
    ...(logicalCoreConfig !== undefined && { logicalCoreConfig }),
  };
}

/** Returns true when every file of the process has shown what the agent looks for, so that reading it again brings nothing. */
export function lacksNothing({ pid, tag, attributes }: ProcessIdentity): boolean {
  return tag !== String(pid) && attributes['container.id'] !== undefined;
}

function readFacts(host: Host, pid: number): ProcessFacts {
  const folder = join(host.procRoot, String(pid));
  const cgroup = readText(join(folder, 'cgroup'), MAX_CGROUP_BYTES);
  const environ = readText(join(folder, 'environ'), MAX_ENVIRONMENT_BYTES);
  const executable = readLink(join(folder, 'exe'));
  const { containerId, podUid } = cgroup.is === 'seen' ? parseCgroup(cgroup.value) : {};
  const { tag, logicalCoreConfig } = environ.is === 'seen' ? parseEnvironment(environ.value) : {};
  const name = executable.is === 'seen' ? basename(executable.value.replace(/ \(deleted\)$/, '')) : '';
  return {
    ...(tag !== undefined && { tag }),
    ...(logicalCoreConfig !== undefined && { logicalCoreConfig }),
    attributes: {
      ...(name !== '' && { 'process.executable.name': name.slice(0, MAX_NAME_LENGTH) }),
      ...(containerId !== undefined && { 'container.id': containerId }),
      ...(podUid !== undefined && { 'k8s.pod.uid': podUid }),
    },
  };
}

/** `ContainerIds` holds the ids of the container and the pod of a process, from the names of its control groups. */
export interface ContainerIds {
  /** Semantic conventions' `container.id`. */
  readonly containerId?: string;
  /** Semantic conventions' `k8s.pod.uid`, with dashes. */
  readonly podUid?: string;
}

/**
 * These are the names that container runtimes use, as the last name of a path or as a systemd scope in it: `docker-<id>.scope`, `cri-containerd-<id>.scope`,
 * `crio-<id>.scope`, `libpod-<id>.scope`, `….slice:cri-containerd:<id>`, or `<id>` alone. Ids are 64 hex digits; Amazon ECS on Fargate
 * has 32 hex digits and a number. `crio-conmon-<id>.scope` is the container's monitor, not the container.
 */
const CONTAINER =
  /^(?:(?:docker|cri-containerd|crio|libpod|nerdctl)-|[^/]*:(?:cri-containerd|docker|crio):)?([0-9a-f]{64}|[0-9a-f]{32}-\d{1,20})(?:\.scope)?$/;

/**
 * These are the names that kubelet uses: `pod<uid>` (cgroupfs) or `kubepods-burstable-pod<uid with underscores>.slice` (systemd).
 * A static pod's uid is a hash: 32 hex digits without dashes.
 */
const POD = /(?:^|-)pod([0-9a-f]{8}([-_])[0-9a-f]{4}\2[0-9a-f]{4}\2[0-9a-f]{4}\2[0-9a-f]{12}|[0-9a-f]{32})(?:\.slice)?(?::|$)/;

/**
 * Parses `/proc/<pid>/cgroup`, cgroups(7), of version 1 and 2. The innermost name wins, so that a container
 * within a container has its own id. A control group namespace hides the outer names of a path, and the pod may be among them.
 */
export function parseCgroup(text: string): ContainerIds {
  let containerId: string | undefined;
  let podUid: string | undefined;
  for (const line of text.split('\n')) {
    const path = /^\d+:[^:]*:(\/.*)$/.exec(line)?.[1];
    if (path === undefined) continue;
    for (const name of path.split('/').toReversed()) {
      containerId ??= CONTAINER.exec(name)?.[1];
      podUid ??= POD.exec(name)?.[1]?.replaceAll('_', '-');
    }
  }
  return { ...(containerId !== undefined && { containerId }), ...(podUid !== undefined && { podUid }) };
}

/** `NeuronEnvironment` holds the variables of a process that the agent uses. */
export interface NeuronEnvironment {
  /** `NEURON_PROCESS_TAG`, cut at 255 bytes as the Neuron runtime cuts it. */
  readonly tag?: string;
  /** Physical cores that form one logical core. */
  readonly logicalCoreConfig?: number;
}

/** `char tag[256]` of the Neuron runtime's public header nds/neuron_ds.h. */
const MAX_TAG_BYTES = 255;

/** AWS Neuron guide, Logical NeuronCore configuration; the second name is its older spelling. */
const LOGICAL_CORE_VARIABLES = ['NEURON_LOGICAL_NC_CONFIG', 'NEURON_RT_VIRTUAL_CORE_SIZE'];

/**
 * Parses `/proc/<pid>/environ`: the variables the program was started with. Variables that the program set itself are not in it.
 * The last variable may be cut off and is not used.
 */
export function parseEnvironment(text: string): NeuronEnvironment {
  const end = text.lastIndexOf('\0');
  const variables = new Map<string, string>();
  for (const assignment of text.slice(0, Math.max(end, 0)).split('\0')) {
    const equals = assignment.indexOf('=');
    if (equals > 0 && assignment.startsWith('NEURON_')) variables.set(assignment.slice(0, equals), assignment.slice(equals + 1));
  }
  const tag = cutTag(variables.get('NEURON_PROCESS_TAG') ?? '');
  const logicalCoreConfig = LOGICAL_CORE_VARIABLES.map((name) => parseLogicalCoreConfig(variables.get(name))).find(
    (value) => value !== undefined,
  );
  return { ...(tag !== '' && { tag }), ...(logicalCoreConfig !== undefined && { logicalCoreConfig }) };
}

/** 1 or 2; undefined for anything else. */
export function parseLogicalCoreConfig(text: string | undefined): number | undefined {
  const trimmed = text?.trim();
  return trimmed === '1' || trimmed === '2' ? Number(trimmed) : undefined;
}

function cutTag(tag: string): string {
  const bytes = Buffer.from(tag, 'utf8');
  if (bytes.length <= MAX_TAG_BYTES) return tag;
  // A character that was cut in two decodes as U+FFFD.
  return bytes
    .subarray(0, MAX_TAG_BYTES)
    .toString('utf8')
    .replace(/\uFFFD+$/, '');
}

const HOST_FILE = 'opt/aws/neuron/logical_nc_config';

/**
 * Reads how many physical cores form one logical core on this host. The host's file applies to every program that does not set the
 * variable itself; without the file the result is undefined, and the default of the device applies (`sources/hardware`).
 * Source: AWS Neuron guide, EKS prerequisites: a line `NEURON_LOGICAL_NC_CONFIG=1`.
 */
export function hostLogicalCoreConfig(host: Host): number | undefined {
  const file = readText(join(host.fsRoot, HOST_FILE), 4096);
  if (file.is !== 'seen') return undefined;
  return parseLogicalCoreConfig(/^\s*(?:export\s+)?NEURON_LOGICAL_NC_CONFIG=["']?([^"'\n]*)/m.exec(file.value)?.[1]);
}
