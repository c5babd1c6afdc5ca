import { existsSync, readFileSync } from 'node:fs';
import { join, normalize } from 'node:path';
import { AgentError } from '../../src/errors.ts';
import { errnoName, fileError } from '../../src/file-error.ts';
import type { Host } from '../../src/host.ts';
import type { AnyGroupReading, MetricGroup, RuntimeRef } from '../../src/readings.ts';
import type { PullSource, ReadingBatch, SourceFailure } from '../../src/source.ts';
import { deniedProcesses, failureOf, hostFinding } from '../visibility.ts';
import type { ScanResult } from '../processes/inspector.ts';
import { TICKS_PER_SECOND } from './counts.ts';
import { parseCpuStat } from './cpu-stat.ts';
import type { CpuStat } from './cpu-stat.ts';
import { HostUsage } from './cpu-usage.ts';
import { KeptFile } from './kept-file.ts';
import { parseMemInfo } from './mem-info.ts';
import { bootTimeMs, parsePidStat, startTimeMs } from './pid-stat.ts';
import type { PidStat } from './pid-stat.ts';
import { ProcessUsage, pageBytes } from './process-usage.ts';
import type { Moment } from './process-usage.ts';

export interface ProcfsOptions {
  readonly host: Host;
  /** The Neuron processes to read, asked at each read. */
  readonly runtimes: () => readonly RuntimeRef[];
  /** Scans for Neuron processes so far; absent when the processes come from elsewhere. */
  readonly scans?: () => ScanResult;
}

/**
 * Host CPU, host memory and CPU of Neuron processes from `host.procRoot`, in neuron-monitor's shape and with its arithmetic.
 * Every period is counted from the previous read of the same group. Reads are synchronous and never throw.
 */
export function createProcfsSource(options: ProcfsOptions): PullSource {
  return new ProcfsSource(options);
}

class ProcfsSource implements PullSource {
  readonly kind = 'pull';
  readonly id = 'procfs';
  readonly #options: ProcfsOptions;
  readonly #procRoot: string;
  readonly #bootTimeMs: number | undefined;
  readonly #statFile: KeptFile;
  readonly #memoryFile: KeptFile;
  readonly #uptimeFile: KeptFile;
  readonly #hostUsage = new HostUsage();
  readonly #processUsage: ProcessUsage;
  #memoryReadMs: number | undefined;
  #scansSeen = 0;

  constructor(options: ProcfsOptions) {
    const { host } = options;
    this.#options = options;
    this.#procRoot = normalize(host.procRoot).replace(/\/$/, '');
    this.#bootTimeMs = bootTimeMs(host);
    this.#statFile = new KeptFile(join(host.procRoot, 'stat'));
    this.#memoryFile = new KeptFile(join(host.procRoot, 'meminfo'));
    this.#uptimeFile = new KeptFile(join(host.procRoot, 'uptime'));
    this.#processUsage = new ProcessUsage({ pageBytes: pageBytes(host) });
  }

  /** A `/proc` that hides the host is offered as well: reading it fails, and the failure names the mount option. */
  groups(): ReadonlySet<MetricGroup> {
    const groups = new Set<MetricGroup>();
    const isHidden = hostFinding(this.#options.host)?.is === 'hidden';
    if (isHidden || existsSync(this.#statFile.path)) groups.add('vcpu_usage').add('neuron_runtime_vcpu_usage');
    if (isHidden || existsSync(this.#memoryFile.path)) groups.add('memory_info');
    return groups;
  }

  read(groups: ReadonlySet<MetricGroup>): ReadingBatch {
    const { clock } = this.#options.host;
    const wanted = { host: groups.has('vcpu_usage'), processes: groups.has('neuron_runtime_vcpu_usage') };
    const cycle = new Cycle();
    const sampledAtMs = clock.nowMs();
    const monotonicMs = clock.monotonicMs();
    const stat = wanted.host || wanted.processes ? this.#readStat(cycle, wanted.host) : undefined;
    if (wanted.host && stat !== undefined) cycle.readings.push(this.#hostUsage.next(stat, monotonicMs));
    if (groups.has('memory_info')) this.#readMemory(cycle, monotonicMs);
    const runtimes = wanted.processes ? this.#readProcesses(cycle, this.#moment(stat, monotonicMs)) : undefined;
    const denied = wanted.processes ? this.#deniedProcesses(cycle) : undefined;
    const { readings, failures } = cycle;
    return {
      source: this.id,
      sampledAtMs,
      readings,
      failures,
      ...(runtimes !== undefined && { runtimes }),
      ...(denied !== undefined && { deniedProcesses: denied }),
    };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const file of [this.#statFile, this.#memoryFile, this.#uptimeFile]) file.close();
  }

  /** Each scan that was denied something is one failure; its words are the same each time, so the log has one line. */
  #deniedProcesses(cycle: Cycle): number | undefined {
    const scans = this.#options.scans?.();
    if (scans === undefined || scans.count === 0) return undefined;
    const { count, denied, hidden } = scans;
    const finding = hidden ?? (denied > 0 ? deniedProcesses(denied) : undefined);
    if (count !== this.#scansSeen && finding !== undefined) cycle.fail('neuron_runtime_vcpu_usage', failureOf(finding, this.id));
    this.#scansSeen = count;
    return denied;
  }

  #readStat(cycle: Cycle, forHost: boolean): CpuStat | undefined {
    const group = forHost ? 'vcpu_usage' : 'neuron_runtime_vcpu_usage';
    try {
      const stat = parseCpuStat(this.#statFile.read());
      if (stat.malformedLines > 0 || stat.all === undefined) cycle.fail(group, malformed(this.#statFile.path, stat));
      return stat;
    } catch (thrown) {
      cycle.fail(group, this.#fileFailure(thrown));
      return undefined;
    }
  }

  #readMemory(cycle: Cycle, monotonicMs: number): void {
    try {
      const impossible: string[] = [];
      const data = parseMemInfo(this.#memoryFile.text(), impossible);
      if (data.memory_total_bytes === undefined || data.memory_used_bytes === undefined)
        cycle.fail('memory_info', new AgentError('source_malformed', this.id, `${this.#memoryFile.path}: no MemTotal or MemFree`));
      else if (impossible.length > 0) cycle.fail('memory_info', impossibleValues(this.#memoryFile.path, impossible.join(', ')));
      const before = this.#memoryReadMs;
      this.#memoryReadMs = monotonicMs;
      const period = before === undefined ? undefined : { periodSeconds: (monotonicMs - before) / 1000 };
      cycle.readings.push({ group: 'memory_info', data, ...period });
    } catch (thrown) {
      cycle.fail('memory_info', this.#fileFailure(thrown));
    }
  }

  #fileFailure(thrown: unknown): AgentError {
    const finding = errnoName(thrown) === 'ENOENT' ? hostFinding(this.#options.host) : undefined;
    return finding?.is === 'hidden' ? failureOf(finding, this.id) : fileError(thrown, this.id);
  }

  /** Returns the processes that are alive: those named, without those that were seen before and have ended since. */
  #readProcesses(cycle: Cycle, moment: Moment): readonly RuntimeRef[] {
    const alive: RuntimeRef[] = [];
    for (const runtime of this.#options.runtimes()) {
      const stat = this.#readProcess(cycle, runtime);
      if (stat === 'ended') continue;
      alive.push(runtime);
      if (stat !== undefined) cycle.readings.push(this.#processUsage.next(runtime, stat, moment));
    }
    this.#processUsage.retain(alive);
    return alive;
  }

  #readProcess(cycle: Cycle, runtime: RuntimeRef): PidStat | 'ended' | undefined {
    const path = `${this.#procRoot}/${runtime.pid}/stat`;
    let text: string;
    try {
      text = readFileSync(path, 'utf8');
    } catch (thrown) {
      const errno = errnoName(thrown);
      if ((errno === 'ENOENT' || errno === 'ESRCH') && this.#wasSeen(runtime)) return 'ended';
      cycle.readings.push({ group: 'neuron_runtime_vcpu_usage', runtime, data: {}, error: sentence(path, thrown) });
      return undefined;
    }
    const stat = parsePidStat(text);
    if (stat === undefined) cycle.fail('neuron_runtime_vcpu_usage', new AgentError('source_malformed', this.id, `${path}: not understood`));
    else if (!this.#isSame(runtime, stat)) return 'ended';
    else if (stat.impossibleFields !== undefined) cycle.fail('neuron_runtime_vcpu_usage', impossibleValues(path, 'vsize or rss'));
    return stat;
  }

  /** True for a process that was read before, here or by the reader of its start time, which is nowhere but under `/proc`. */
  #wasSeen(runtime: RuntimeRef): boolean {
    return runtime.startTimeMs !== undefined || this.#processUsage.knows(runtime);
  }

  /** A pid alone does not name a process: it may have another owner by now. */
  #isSame(runtime: RuntimeRef, stat: PidStat): boolean {
    if (runtime.startTimeMs === undefined || this.#bootTimeMs === undefined) return true;
    return Math.abs(startTimeMs(this.#bootTimeMs, stat.startTicks) - runtime.startTimeMs) < 1000 / TICKS_PER_SECOND;
  }

  #moment(stat: CpuStat | undefined, monotonicMs: number): Moment {
    const uptimeTicks = this.#uptimeTicks();
    return {
      monotonicMs,
      ...(stat?.all !== undefined && { cpuTicks: stat.all }),
      ...(uptimeTicks !== undefined && { uptimeTicks }),
    };
  }

  /** Only uptimes of processes depend on it, and those are left out without it. */
  #uptimeTicks(): number | undefined {
    try {
      const seconds = /^(\d+(?:\.\d+)?) /.exec(this.#uptimeFile.text())?.[1];
      return seconds === undefined ? undefined : Number(seconds) * TICKS_PER_SECOND;
    } catch {
      return undefined;
    }
  }
}

/** `Cycle` collects the readings and failures of one read. */
class Cycle {
  readonly readings: AnyGroupReading[] = [];
  readonly failures: SourceFailure[] = [];

  fail(group: MetricGroup, error: AgentError): void {
    this.failures.push({ group, error });
  }
}

function malformed(path: string, stat: CpuStat): AgentError {
  const what = stat.all === undefined ? 'no cpu line' : `${stat.malformedLines} lines not understood`;
  return new AgentError('source_malformed', 'procfs', `${path}: ${what}`);
}

/** Values that no machine has are dropped; the rest of the file counts. */
function impossibleValues(path: string, what: string): AgentError {
  return new AgentError('source_malformed', 'procfs', `${path}: ${what} cannot be right`);
}

/** Returns neuron-monitor's own words: `open /proc/1/stat: no such file or directory`. */
function sentence(path: string, thrown: unknown): string {
  const errno = errnoName(thrown);
  if (errno === 'ENOENT') return `open ${path}: no such file or directory`;
  if (errno === 'EACCES' || errno === 'EPERM') return `open ${path}: permission denied`;
  return `read ${path}: ${errno ?? 'failed'}`;
}
