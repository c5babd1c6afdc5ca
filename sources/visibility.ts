import { existsSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { AgentError } from '../src/errors.ts';
import { errnoName } from '../src/file-error.ts';
import type { Host } from '../src/host.ts';
import type { MetricGroup } from '../src/readings.ts';
import type { SourceId } from '../src/source.ts';
import { hasNeuronDevices, scanHolders } from './processes/device-holders.ts';
import { readText } from './processes/proc-files.ts';

/**
 * `Finding` names one thing of this host that the agent cannot see, in one of three words: `denied` (the agent lacks a right),
 * `hidden` (a mount does not show it) or `absent` (it is not there).
 */
export interface Finding {
  readonly object: 'processes' | 'host' | 'devices';
  readonly is: 'denied' | 'hidden' | 'absent';
  /** Groups that lose data. */
  readonly groups: readonly MetricGroup[];
  /** Objects that are denied, where they can be counted. */
  readonly count?: number;
  readonly message: string;
  /** The setting or the right that mends it. */
  readonly remedy: string;
}

const PROCESS_GROUPS: readonly MetricGroup[] = ['neuron_runtime_vcpu_usage', 'execution_stats', 'memory_used', 'neuroncore_counters'];
const HOST_GROUPS: readonly MetricGroup[] = ['vcpu_usage', 'memory_info'];
const DEVICE_GROUPS: readonly MetricGroup[] = ['neuron_device_counters', 'neuron_hw_counters', 'neuron_hardware_info'];

/** `/proc/<pid>/mounts` of a crowded host has some hundred kilobytes. */
const MAX_MOUNTS_BYTES = 4 * 1024 * 1024;

/** Returns a finding as the failure of a source. The message is constant; the number and the remedy are fields of the log line. */
export function failureOf(finding: Finding, source: SourceId): AgentError {
  const { count, message, remedy } = finding;
  const code = finding.is === 'absent' ? 'source_absent' : 'source_denied';
  return new AgentError(code, source, message, { details: { ...(count !== undefined && { [finding.object]: count }), remedy } });
}

/** The agent has no right to look at this many processes. */
export function deniedProcesses(count: number): Finding {
  return {
    object: 'processes',
    is: 'denied',
    groups: PROCESS_GROUPS,
    count,
    message: 'processes of other users may not be looked at, so Neuron processes among them are missing',
    remedy: 'give the agent CAP_SYS_PTRACE (docs/deploy.md, rights)',
  };
}

/**
 * Looks at the host as the native sources do, and returns what they cannot see. An empty list means that nothing is withheld.
 * It scans all processes at once, so it is meant for commands, not for a cycle.
 */
export function visibilityOf(host: Host): readonly Finding[] {
  return [hostFinding(host), deviceFinding(host), processFinding(host)].filter((finding) => finding !== undefined);
}

/** Undefined when `/proc` shows the host. Mounted with `subset=pid` it shows processes and nothing of the host. */
export function hostFinding(host: Host): Finding | undefined {
  if (existsSync(join(host.procRoot, 'stat'))) return undefined;
  const base = { object: 'host', groups: HOST_GROUPS } as const;
  if (!existsSync(join(host.procRoot, 'self')))
    return { ...base, is: 'absent', message: `${host.procRoot} is no procfs`, remedy: 'mount the procfs of the host there' };
  const message = `${host.procRoot} shows processes only (mount option subset=pid)`;
  return { ...base, is: 'hidden', message, remedy: 'mount it without subset=pid; in a systemd unit, remove ProcSubset=pid' };
}

/** Undefined when sysfs has the class of Neuron devices. A container may have the device nodes and a `/sys` that masks the class. */
export function deviceFinding(host: Host): Finding | undefined {
  const base = { object: 'devices', groups: DEVICE_GROUPS } as const;
  const folder = join(host.sysRoot, 'class', 'neuron_device');
  try {
    readdirSync(folder);
    return undefined;
  } catch (thrown) {
    const errno = errnoName(thrown);
    if (errno === 'EACCES' || errno === 'EPERM')
      return { ...base, is: 'denied', message: `${folder} may not be listed`, remedy: 'let the agent read /sys' };
    if (existsSync(join(host.devRoot, 'neuron0')))
      return { ...base, is: 'hidden', message: `${folder} is missing, but /dev has Neuron devices`, remedy: 'mount the /sys of the host' };
    return { ...base, is: 'absent', message: `${folder} is missing`, remedy: 'install the driver (aws-neuronx-dkms) on a Neuron instance' };
  }
}

function processFinding(host: Host): Finding | undefined {
  if (!hasNeuronDevices(host)) return undefined;
  const hidden = hiddenProcesses(host);
  if (hidden !== undefined) return hidden;
  const denied = deniedNow(host);
  return denied === 0 ? undefined : deniedProcesses(denied);
}

/**
 * Undefined when the processes of other users are listed. With `hidepid` they are not, and nothing says how many there are. A reader
 * with CAP_SYS_PTRACE sees all of them, so process 1 decides.
 */
export function hiddenProcesses(host: Host): Finding | undefined {
  if (existsSync(join(host.procRoot, '1'))) return undefined;
  const mounts = readText(join(host.procRoot, 'self', 'mounts'), MAX_MOUNTS_BYTES);
  if (mounts.is !== 'seen' || !/^\S+ \S+ proc [^\n]*\bhidepid=(?:2|4|invisible|ptraceable)\b/m.test(mounts.value)) return undefined;
  return {
    object: 'processes',
    is: 'hidden',
    groups: PROCESS_GROUPS,
    message: `${host.procRoot} hides the processes of other users (mount option hidepid), so Neuron processes among them are missing`,
    remedy: 'mount it without hidepid, add the agent to the group of its gid= option, or give the agent CAP_SYS_PTRACE',
  };
}

function deniedNow(host: Host): number {
  const steps = scanHolders(host);
  for (;;) {
    const { done, value } = steps.next();
    if (done === true) return value.denied;
  }
}
