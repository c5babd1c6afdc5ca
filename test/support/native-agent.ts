import { PassThrough } from 'node:stream';
import { assemble } from '../../cli/assemble.ts';
import type { Assembly } from '../../cli/assemble.ts';
import { FIRST_READINGS_APART_MS } from '../../cli/run.ts';
import { sourcesOnVirtualHost } from '../../cli/virtual.ts';
import { JsonStdoutExporter } from '../../exporters/json-stdout/exporter.ts';
import { COUNTER } from '../../simulator/truth.ts';
import type { Truth } from '../../simulator/truth.ts';
import { createVirtualHost } from '../../simulator/virtual-host.ts';
import type { VirtualHost, VirtualHostOptions } from '../../simulator/virtual-host.ts';
import type { Clock } from '../../src/host.ts';
import { silentLogger } from '../../src/log.ts';
import type { PullSource, SourceId } from '../../src/source.ts';
import { emptyHost } from './cli.ts';
import { ManualClock } from './manual-clock.ts';
import { scratchDirectory } from './scratch.ts';
import { loadInput } from './settings.ts';

export interface NativeAgentOptions extends Omit<VirtualHostOptions, 'directory' | 'clock' | 'imds'> {
  readonly config: object;
  /** Milliseconds that a source takes for its answer to a read; the values are read before. */
  readonly slowness?: Readonly<Partial<Record<SourceId, (read: number) => number>>>;
}

const FIRST_STEP_MS = 20;
const FIRST_STEPS_MS = 200;
const STEP_MS = 100;

/** A line on stdout, and when it came. */
export interface PrintedLine {
  readonly atMs: number;
  readonly text: string;
}

/** An agent that prints JSON from the native sources of a simulated host, as `neuron-otel` does without AWS's binary. Time is the test's. */
export class NativeAgent {
  readonly clock: ManualClock;
  readonly host: VirtualHost;
  readonly lines: PrintedLine[];
  readonly #assembly: Assembly;
  readonly #scratch: ReturnType<typeof scratchDirectory>;

  private constructor(
    parts: Pick<NativeAgent, 'clock' | 'host' | 'lines'> & { assembly: Assembly; scratch: Disposable & { path: string } },
  ) {
    this.clock = parts.clock;
    this.host = parts.host;
    this.lines = parts.lines;
    this.#assembly = parts.assembly;
    this.#scratch = parts.scratch;
  }

  /** The first readings have been taken when this resolves; nothing has been printed. */
  static async start(options: NativeAgentOptions): Promise<NativeAgent> {
    const scratch = scratchDirectory();
    const clock = new ManualClock();
    const host = await createVirtualHost({ ...options, directory: scratch.path, clock });
    const lines: PrintedLine[] = [];
    const stdout = new PassThrough();
    stdout.on('data', (chunk: Buffer) => lines.push({ atMs: clock.monotonicMs(), text: chunk.toString('utf8').trimEnd() }));
    const text = JSON.stringify({ source: { imds: { enabled: false } }, ...options.config });
    const loaded = loadInput({ text });
    if (!loaded.ok) throw new Error(`the configuration of the test is not valid: ${JSON.stringify(loaded)}`);
    const stdin = new PassThrough();
    const io = { stdin, stdout, stderr: new PassThrough(), host: emptyHost({ clock }), stop: new AbortController().signal };
    const sources = sourcesOnVirtualHost(loaded.config, { host: io.host, logger: silentLogger, stdin, runtimes: () => [] }, host);
    const assembly = await assemble({
      config: loaded.config,
      io,
      logger: silentLogger,
      sources: { ...sources, pullSources: sources.pullSources.map((source) => slowed(source, clock, options.slowness?.[source.id])) },
      exporters: (given) => [new JsonStdoutExporter({ ...given, output: stdout })],
      firstReadingsApartMs: FIRST_READINGS_APART_MS,
    });
    const agent = new NativeAgent({ clock, host, lines, assembly, scratch });
    await assembly.agent.start();
    await clock.advance(0);
    return agent;
  }

  /** Time passes; the host moves in steps, between which the agent reads it. The steps are small until the first line is out. */
  async live(durationMs: number): Promise<void> {
    const endMs = this.clock.monotonicMs() + durationMs;
    while (this.clock.monotonicMs() < endMs) {
      const stepMs = this.clock.monotonicMs() < FIRST_STEPS_MS ? FIRST_STEP_MS : STEP_MS;
      await this.clock.advance(stepMs / 2);
      this.host.step();
      await this.clock.advance(stepMs / 2);
    }
  }

  /** Time passes on the host while the agent is stopped, as by SIGSTOP: its timers fire late. */
  async stopped(durationMs: number): Promise<void> {
    this.clock.suspend(durationMs);
    this.host.step();
    await this.clock.advance(0);
  }

  /** Time passes while the host stands still. */
  async still(durationMs: number): Promise<void> {
    await this.clock.advance(durationMs);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    const stopping = this.#assembly.agent[Symbol.asyncDispose]();
    await this.clock.advance(5_000);
    await stopping;
    await this.#assembly.sources[Symbol.asyncDispose]();
    await this.host[Symbol.asyncDispose]();
    this.#scratch[Symbol.dispose]();
  }
}

/** The source itself, whose answers come later. */
function slowed(source: PullSource, clock: Clock, delayMs: ((read: number) => number) | undefined): PullSource {
  if (delayMs === undefined) return source;
  let reads = 0;
  return {
    kind: 'pull',
    id: source.id,
    groups: () => source.groups(),
    read: async (groups, signal) => {
      reads += 1;
      const batch = await source.read(groups, signal);
      const waited = Promise.withResolvers<void>();
      clock.setTimer(waited.resolve, delayMs(reads));
      await waited.promise;
      return batch;
    },
    [Symbol.asyncDispose]: () => source[Symbol.asyncDispose](),
  };
}

/** What the driver's counters are called in a record, by counter. */
const COUNTED = {
  completed: COUNTER.completed,
  completed_with_err: COUNTER.completedWithError,
  completed_with_num_err: COUNTER.completedWithNumError,
  timed_out: COUNTER.timedOut,
  incorrect_input: COUNTER.incorrectInput,
  failed_to_queue: COUNTER.failedToQueue,
  numerical: COUNTER.errorNumerical,
  hardware: COUNTER.errorHardware,
  runtime: COUNTER.errorRuntime,
} as const;

/** What each process has counted since it started, by tag and name of the count; processes that share a tag are added. */
export function countsByTag({ processes }: Truth): ReadonlyMap<string, number> {
  const counts = new Map<string, number>();
  for (const { tag, cores } of processes)
    for (const [name, counter] of Object.entries(COUNTED)) {
      const count = cores.reduce((sum, { counters }) => sum + Number(counters[counter] ?? 0n), 0);
      counts.set(`${tag} ${name}`, (counts.get(`${tag} ${name}`) ?? 0) + count);
    }
  return counts;
}
