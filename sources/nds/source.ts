import { existsSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { withDeadline } from '../../src/deadline.ts';
import { AgentError } from '../../src/errors.ts';
import type { Host } from '../../src/host.ts';
import type { AnyGroupReading, MetricGroup, NeuronHardwareInfo, RuntimeRef } from '../../src/readings.ts';
import type { PullSource, ReadingBatch, SourceFailure } from '../../src/source.ts';
import { bootTimeMs, startTimeMs } from '../procfs/pid-stat.ts';
import { readPidStat } from '../processes/identity.ts';
import type { ProcessInspector } from '../processes/inspector.ts';
import { exitWithoutThreads } from './libc.ts';
import { createFileAccess } from './file-access.ts';
import { HostCores } from './core-numbering.ts';
import { LocalLink, WorkerLink } from './reader-link.ts';
import type { NdsGroup, ProcessWork, ReaderLink, WorkSample, WorkerAnswer } from './work.ts';
import { readingsOf } from './readings.ts';
import type { CoreNumbering } from './core-numbering.ts';
import { NDS_GROUPS } from './work.ts';

export interface NdsOptions {
  readonly host: Host;
  /** Reads the identities of processes. */
  readonly inspector: ProcessInspector;
  /** Latest facts about the hardware, where another source has them. */
  readonly hardwareInfo?: () => NeuronHardwareInfo | undefined;
}

/** The driver answers in microseconds, or, while a device is being reset, for seconds not at all. */
const ANSWER_DEADLINE_MS = 1_000;
const STOP_DEADLINE_MS = 1_000;
/** A worker that ended is started again after this time. */
const RESTART_MS = 60_000;

/**
 * Per-process data from the Neuron driver's datastore, without AWS's binary: `execution_stats`, `memory_used`,
 * `neuroncore_counters`. Devices are read in a worker thread.
 *
 * This source is not proven on hardware and is off unless `source.nds.enabled` is set: README.md has what is derived and what is inferred.
 */
export function createNdsSource(options: NdsOptions): PullSource {
  return new NdsSource(options);
}

/** `Round` holds what all readings of one round share. */
interface Round {
  readonly numbering: CoreNumbering;
  readonly sampledAtMs: number;
  readonly memoryPeriodSeconds: number | undefined;
}

class NdsSource implements PullSource {
  readonly kind = 'pull';
  readonly id = 'nds';
  readonly caveat = 'not proven on hardware';
  readonly #options: NdsOptions;
  readonly #bootTimeMs: number | undefined;
  readonly #cores: HostCores;
  #link: ReaderLink | undefined;
  /** Time of the last round that looked at memory. */
  #memoryReadMs: number | undefined;
  #restartAtMs = Number.NEGATIVE_INFINITY;
  #isDisposed = false;

  constructor(options: NdsOptions) {
    this.#options = options;
    this.#bootTimeMs = bootTimeMs(options.host);
    this.#cores = new HostCores(options.host);
  }

  groups(): ReadonlySet<MetricGroup> {
    return new Set(!this.#isDisposed && existsSync(join(this.#options.host.devRoot, 'neuron0')) ? NDS_GROUPS : []);
  }

  async read(groups: ReadonlySet<MetricGroup>, signal: AbortSignal): Promise<ReadingBatch> {
    const { clock } = this.#options.host;
    const wanted = NDS_GROUPS.filter((group) => groups.has(group));
    const numbering = this.#cores.numbering(this.#options.hardwareInfo?.());
    if (wanted.length === 0 || this.#isDisposed) return this.#batch(clock.nowMs(), [], []);
    if (numbering === undefined) {
      return this.#batch(clock.nowMs(), [], [failure(new AgentError('source_absent', this.id, 'the kind of Neuron device is not known'))]);
    }
    const memoryPeriodSeconds = this.#nextMemoryPeriod(wanted);
    const link = this.#currentLink();
    // Still inside the driver since an earlier read, which has said so.
    if (link === undefined || link.isBusy) return this.#batch(clock.nowMs(), [], []);
    try {
      const answer = await this.#ask(link, wanted, numbering, signal);
      const sampledAtMs = clock.nowMs();
      if (answer.kind !== 'sample') throw link.end ?? new AgentError('internal', this.id, 'the datastore reader gave no sample');
      return this.#batchOf(answer.sample, { numbering, sampledAtMs, memoryPeriodSeconds });
    } catch (thrown) {
      if (link.end !== undefined) this.#restartAtMs = clock.monotonicMs() + RESTART_MS;
      return this.#batch(clock.nowMs(), [], [failure(AgentError.from(thrown, 'internal', this.id))]);
    }
  }

  /** Unmaps and closes; a thread that is stuck in the driver is left behind, and will not hold up the exit of the process. */
  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#isDisposed) return;
    this.#isDisposed = true;
    const link = this.#link;
    if (link === undefined || link.end !== undefined) return;
    const stop = link.isBusy ? undefined : link.ask({ kind: 'stop' });
    const stopped = stop === undefined || (await withDeadline(this.#options.host.clock, settled(stop), STOP_DEADLINE_MS));
    const ended = stopped && (await withDeadline(this.#options.host.clock, link.terminate(), STOP_DEADLINE_MS));
    if (!ended) await exitWithoutThreads();
  }

  #currentLink(): ReaderLink | undefined {
    if (this.#link !== undefined && this.#link.end === undefined) return this.#link;
    if (this.#options.host.clock.monotonicMs() < this.#restartAtMs) return undefined;
    this.#link = createLink(this.#options.host);
    return this.#link;
  }

  async #ask(link: ReaderLink, groups: readonly NdsGroup[], numbering: CoreNumbering, signal: AbortSignal): Promise<WorkerAnswer> {
    const { clock } = this.#options.host;
    const knownPids = this.#options.inspector.scan(clock.monotonicMs()).map(({ pid }) => pid);
    const asked = link.ask({ kind: 'collect', request: { groups, coresPerDevice: numbering.coresPerDevice, knownPids } });
    const late = Promise.withResolvers<never>();
    const give = (): void =>
      late.reject(new AgentError('source_timeout', this.id, 'the driver does not answer: a device may be in the middle of a reset'));
    using _timer = clock.setTimer(give, ANSWER_DEADLINE_MS);
    signal.addEventListener('abort', give, { once: true });
    // An answer, or an end, that comes too late is nobody's any more.
    asked.catch(() => {});
    try {
      return await Promise.race([asked, late.promise]);
    } finally {
      signal.removeEventListener('abort', give);
    }
  }

  #batchOf(sample: WorkSample, { numbering, sampledAtMs, memoryPeriodSeconds }: Round): ReadingBatch {
    const failures = sample.failures.map(({ code, message }) => failure(new AgentError(code, this.id, message)));
    const known = sample.processes.map((work) => ({ work, ...this.#identify(work, numbering) }));
    const readings = known.flatMap(({ work, runtime, numbering: own }) => readingsOf(work, runtime, own, { memoryPeriodSeconds }));
    const batch = this.#batch(sampledAtMs, readings, failures);
    const { isComplete } = sample;
    const runtimes = known.map(({ runtime }) => runtime);
    this.#options.inspector.learn(runtimes, this.#options.host.clock.monotonicMs(), { isComplete });
    return isComplete ? { ...batch, runtimes } : batch;
  }

  /** Seconds since the round before that looked at memory; for all processes, also for one that is new. */
  #nextMemoryPeriod(wanted: readonly NdsGroup[]): number | undefined {
    const before = this.#memoryReadMs;
    if (!wanted.includes('memory_used')) return undefined;
    this.#memoryReadMs = this.#options.host.clock.monotonicMs();
    return before === undefined ? undefined : (this.#memoryReadMs - before) / 1000;
  }

  /** The datastore's word for the tag, procfs for the rest: if the pid still names the process the datastore was read from. */
  #identify(work: ProcessWork, numbering: CoreNumbering): { readonly runtime: RuntimeRef; readonly numbering: CoreNumbering } {
    const startedMs =
      this.#bootTimeMs === undefined || work.startTicks === undefined ? undefined : startTimeMs(this.#bootTimeMs, work.startTicks);
    const identity = work.startTicks === undefined ? undefined : this.#options.inspector.identify(work.pid);
    const isSame = identity !== undefined && identity.startTimeMs === startedMs;
    const runtime: RuntimeRef = {
      pid: work.pid,
      tag: work.tag ?? (isSame ? identity.tag : String(work.pid)),
      ...(startedMs !== undefined && { startTimeMs: startedMs }),
      attributes: {
        ...(isSame && identity.attributes),
        ...(work.runtimeVersion !== undefined && { 'neuron.runtime.version': work.runtimeVersion }),
      },
    };
    const logicalCoreConfig = (isSame ? identity.logicalCoreConfig : undefined) ?? numbering.logicalCoreConfig;
    return { runtime, numbering: { ...numbering, logicalCoreConfig } };
  }

  #batch(sampledAtMs: number, readings: readonly AnyGroupReading[], failures: readonly SourceFailure[]): ReadingBatch {
    return { source: this.id, sampledAtMs, readings, failures };
  }
}

/** A virtual host has a folder of files where a real one has a device. */
function createLink(host: Host): ReaderLink {
  const { clock, devRoot, procRoot } = host;
  const first = statSync(join(devRoot, 'neuron0'), { throwIfNoEntry: false });
  if (first?.isDirectory() !== true) return new WorkerLink({ devRoot, procRoot });
  return new LocalLink(clock, { access: createFileAccess(devRoot), startTicksOf: (pid) => readPidStat(host, pid)?.startTicks });
}

function failure(error: AgentError): SourceFailure {
  return { error };
}

async function settled(work: Promise<unknown>): Promise<void> {
  await Promise.allSettled([work]);
}
