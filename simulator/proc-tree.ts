import type { Truth, ProcessTruth } from './truth.ts';
import type { TreeFile, TreeWriter } from './tree-writer.ts';

const TICKS_PER_SECOND = 100;
const PAGE_BYTES = 4096;
const KIB = 1024;

/** Processes that have nothing to do with Neuron devices, so that whoever looks for Neuron processes has something to leave out. */
const OTHERS: readonly (readonly [pid: number, name: string])[] = [
  [1, 'systemd'],
  [812, 'sshd'],
  [1377, 'containerd'],
];

/** Keeps a `/proc` with the host's counters and its processes, proc(5). */
export class ProcTree {
  readonly #writer: TreeWriter;
  readonly #truth: Truth;
  readonly #processes = new Set<ProcessTruth>();

  constructor(writer: TreeWriter, truth: Truth) {
    this.#writer = writer;
    this.#truth = truth;
    writer.add({ path: 'stat', content: () => statText(truth) });
    writer.add({ path: 'meminfo', content: () => memInfoText(truth) });
    writer.add({ path: 'uptime', content: () => uptimeText(truth) });
    for (const [pid, name] of OTHERS) {
      writer.add({ path: `${pid}/stat`, content: () => `${statFields(pid, name, { startTicks: pid })}\n` });
      writer.add({ path: `${pid}/cmdline`, content: () => `/usr/sbin/${name}\0` });
      writer.add({ path: `${pid}/cgroup`, content: () => `0::/system.slice/${name}.service\n` });
      writer.addLink(`${pid}/fd/0`, '/dev/null');
    }
  }

  removeEnded(): void {
    const alive = new Set(this.#truth.processes);
    for (const process of this.#processes) {
      if (alive.has(process)) continue;
      this.#processes.delete(process);
      this.#writer.remove(String(process.pid));
    }
  }

  addStarted(): void {
    for (const process of this.#truth.processes) {
      if (this.#processes.has(process)) continue;
      this.#processes.add(process);
      this.#writer.addWhole(String(process.pid), processFiles(process, this.#truth), descriptorLinks(process));
    }
  }
}

function processFiles(process: ProcessTruth, truth: Truth): readonly TreeFile[] {
  const [executable = ''] = process.command;
  return [
    { path: 'stat', content: () => processStatText(process, truth) },
    { path: 'comm', content: () => `${executable}\n` },
    { path: 'cmdline', content: () => `${process.command.join('\0')}\0` },
    { path: 'cgroup', content: () => cgroupText(process) },
    { path: 'maps', content: () => mapsText(process) },
    { path: 'environ', content: () => environText(process), mode: 0o400 },
  ];
}

/** `fd/<N>` → what it is. */
function descriptorLinks({ devices }: ProcessTruth): ReadonlyMap<string, string> {
  const standard = [0, 1, 2].map((fd) => [`fd/${fd}`, '/dev/null'] as const);
  return new Map([...standard, ...devices.map((device, i) => [`fd/${i + 8}`, `/dev/neuron${device}`] as const)]);
}

function statText(truth: Truth): string {
  const { vcpuSeconds, contextSwitches, forks } = truth.host;
  const ticks = vcpuSeconds.map((modes) => Array.from(modes, (seconds) => Math.floor(seconds * TICKS_PER_SECOND)));
  const sums = ticks.reduce((sum, modes) => sum.map((value, i) => value + (modes[i] ?? 0)));
  const lines = ticks.map((modes, cpu) => `cpu${cpu} ${modes.join(' ')} 0 0`);
  return [
    `cpu  ${sums.join(' ')} 0 0`,
    ...lines,
    'intr 0',
    `ctxt ${contextSwitches}`,
    `btime ${Math.floor(truth.bootTimeMs / 1000)}`,
    `processes ${forks}`,
    'procs_running 1',
    'procs_blocked 0',
    '',
  ].join('\n');
}

function memInfoText({ host }: Truth): string {
  return [
    memoryLine('MemTotal', host.memoryTotalBytes),
    memoryLine('MemFree', host.memoryFreeBytes),
    memoryLine('MemAvailable', host.memoryAvailableBytes),
    memoryLine('Buffers', host.buffersBytes),
    memoryLine('Cached', host.cachedBytes),
    memoryLine('SwapCached', 0),
    memoryLine('SwapTotal', 0),
    memoryLine('SwapFree', 0),
    '',
  ].join('\n');
}

function memoryLine(name: string, bytes: number): string {
  return `${`${name}:`.padEnd(16)}${String(Math.floor(bytes / KIB)).padStart(12)} kB`;
}

function uptimeSeconds(truth: Truth): number {
  return (truth.originMs + truth.elapsedMs - truth.bootTimeMs) / 1000;
}

function uptimeText(truth: Truth): string {
  const seconds = uptimeSeconds(truth);
  return `${seconds.toFixed(2)} ${(seconds * truth.instance.vcpuCount * 0.9).toFixed(2)}\n`;
}

interface StatFields {
  readonly userTicks?: number;
  readonly systemTicks?: number;
  readonly threads?: number;
  readonly startTicks: number;
  readonly residentBytes?: number;
}

function processStatText(process: ProcessTruth, truth: Truth): string {
  const startedMs = truth.originMs + process.startedAtMs - truth.bootTimeMs;
  const text = statFields(process.pid, process.command[0] ?? '', {
    userTicks: Math.floor(process.cpuUserSeconds * TICKS_PER_SECOND),
    systemTicks: Math.floor(process.cpuSystemSeconds * TICKS_PER_SECOND),
    threads: process.threadCount,
    startTicks: Math.floor((startedMs * TICKS_PER_SECOND) / 1000),
    residentBytes: process.residentBytes,
  });
  return `${text}\n`;
}

/** The 52 fields of proc(5), those the model does not know as zeros. */
function statFields(
  pid: number,
  name: string,
  { userTicks = 0, systemTicks = 0, threads = 1, startTicks, residentBytes = 0 }: StatFields,
): string {
  const fields: (string | number)[] = [pid, `(${name.slice(0, 15)})`, 'S', pid === 1 ? 0 : 1, ...Array.from({ length: 48 }, () => 0)];
  const set = (field: number, value: number): void => {
    fields[field - 1] = value;
  };
  set(14, userTicks);
  set(15, systemTicks);
  set(18, 20);
  set(20, threads);
  set(22, startTicks);
  set(23, Math.floor(residentBytes) * 3);
  set(24, Math.floor(residentBytes / PAGE_BYTES));
  return fields.join(' ');
}

/** cgroup v2, as containerd under systemd names it. */
function cgroupText({ containerId, podUid }: ProcessTruth): string {
  if (containerId === undefined || podUid === undefined) return '0::/user.slice/user-1000.slice/session-3.scope\n';
  const pod = `kubepods-burstable-pod${podUid.replaceAll('-', '_')}.slice`;
  return `0::/kubepods.slice/kubepods-burstable.slice/${pod}/cri-containerd-${containerId}.scope\n`;
}

/** A runtime has its devices mapped, not only open. */
function mapsText({ devices, command }: ProcessTruth): string {
  const mappings = [`/usr/bin/${command[0] ?? ''}`, ...devices.map((device) => `/dev/neuron${device}`)];
  return mappings.map((path, i) => mapsLine(i, path)).join('');
}

function mapsLine(index: number, path: string): string {
  const start = 0x7f00_0000_0000 + index * 0x10_0000;
  return `${start.toString(16)}-${(start + 0x4_0000).toString(16)} ${index === 0 ? 'r-xp' : 'rw-s'} 00000000 00:05 ${index + 1} ${path}\n`;
}

function environText({ environment }: ProcessTruth): string {
  return Object.entries(environment)
    .map(([name, value]) => `${name}=${value}\0`)
    .join('');
}
