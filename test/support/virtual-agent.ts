import { PassThrough } from 'node:stream';
import type { ExporterServices } from '../../exporters/index.ts';
import { JsonStdoutExporter } from '../../exporters/json-stdout/exporter.ts';
import { ProtobufEncoder } from '../../exporters/otlp/protobuf.ts';
import { UNLIMITED } from '../../exporters/otlp/requests.ts';
import { PageEncoder, Pages } from '../../exporters/prometheus/page.ts';
import type { PageOptions } from '../../exporters/prometheus/page.ts';
import { sourcesOnVirtualHost } from '../../cli/virtual.ts';
import type { SourceSet } from '../../sources/index.ts';
import { createVirtualHost } from '../../simulator/virtual-host.ts';
import type { VirtualHost, VirtualHostOptions } from '../../simulator/virtual-host.ts';
import type { Truth } from '../../simulator/truth.ts';
import { assemble } from '../../cli/assemble.ts';
import type { Assembly } from '../../cli/assemble.ts';
import type { ExportOutcome, MetricsBatch, PushExporter } from '../../src/exporter.ts';
import { silentLogger } from '../../src/log.ts';
import { countPoints } from '../../src/readers.ts';
import { emptyHost } from './cli.ts';
import { ManualClock } from './manual-clock.ts';
import { decodeRequest } from './otlp-decode.ts';
import type { DecodedPoint } from './otlp-decode.ts';
import { scratchDirectory } from './scratch.ts';
import { loadInput } from './settings.ts';

export interface VirtualAgentOptions extends Omit<VirtualHostOptions, 'directory' | 'clock' | 'imds'> {
  readonly periodMs: number;
  /** How often the files of the host are brought up to date; a part of the period. */
  readonly stepMs?: number;
  /** Further keys of the configuration. */
  readonly settings?: Readonly<Record<string, unknown>>;
  /** Pages that can be asked for, by name. */
  readonly pages: Readonly<Record<string, PageOptions>>;
}

/** What one sample of the agent left at its outputs. */
export interface Sampled {
  /** Points of the OTLP requests of this sample. */
  readonly otlp: readonly DecodedPoint[];
  /** Its line on stdout. */
  readonly line: string;
  /** The first reading of a host is a baseline: no group of it has a period, and no group is on the line. */
  readonly isFirst: boolean;
}

/**
 * An agent with its exporters on a simulated host, in a time that moves sample by sample. The files of the host stand still while they
 * are read: what is true after a sample is what the sample saw.
 */
export class VirtualAgent {
  readonly host: VirtualHost;
  readonly clock: ManualClock;
  /** What the pages left out. */
  readonly conflicts: string[] = [];
  readonly #options: VirtualAgentOptions;
  readonly #scratch: ReturnType<typeof scratchDirectory>;
  readonly #assembly: Assembly;
  readonly #sources: SourceSet;
  readonly #otlp: OtlpCapture;
  readonly #lines: readonly string[];
  readonly #pages: ReadonlyMap<string, Pages>;

  private constructor(parts: {
    readonly options: VirtualAgentOptions;
    readonly scratch: ReturnType<typeof scratchDirectory>;
    readonly clock: ManualClock;
    readonly host: VirtualHost;
    readonly sources: SourceSet;
    readonly assembly: Assembly;
    readonly otlp: OtlpCapture;
    readonly lines: readonly string[];
  }) {
    this.host = parts.host;
    this.clock = parts.clock;
    this.#options = parts.options;
    this.#scratch = parts.scratch;
    this.#assembly = parts.assembly;
    this.#sources = parts.sources;
    this.#otlp = parts.otlp;
    this.#lines = parts.lines;
    this.#pages = new Map(Object.entries(parts.options.pages).map(([name, page]) => [name, this.#createPages(page)]));
  }

  /** The first sample has been taken when this resolves. */
  static async start(options: VirtualAgentOptions): Promise<VirtualAgent> {
    const scratch = scratchDirectory();
    const clock = new ManualClock();
    const host = await createVirtualHost({ ...options, directory: scratch.path, clock });
    const lines: string[] = [];
    const stdout = new PassThrough();
    stdout.on('data', (chunk: Buffer) => lines.push(chunk.toString('utf8')));
    const text = JSON.stringify({ period: `${options.periodMs}ms`, source: { imds: { enabled: false } }, ...options.settings });
    const loaded = loadInput({ text });
    if (!loaded.ok) throw new Error('the configuration of the test is not valid');
    const io = {
      stdin: new PassThrough(),
      stdout,
      stderr: new PassThrough(),
      host: emptyHost({ clock }),
      stop: new AbortController().signal,
    };
    const services = { host: io.host, logger: silentLogger, stdin: io.stdin, runtimes: () => [] };
    const sources = sourcesOnVirtualHost(loaded.config, services, host);
    const otlp = new OtlpCapture();
    const exporters = (given: ExporterServices) => [otlp, new JsonStdoutExporter({ ...given, output: stdout })];
    const assembly = await assemble({ config: loaded.config, io, logger: silentLogger, sources, exporters });
    const agent = new VirtualAgent({ options, scratch, clock, host, sources, assembly, otlp, lines });
    await assembly.agent.start();
    await clock.advance(0);
    return agent;
  }

  /** The model itself, as it was when the last sample was taken. */
  get truth(): Truth {
    return this.host.truth();
  }

  /** Outputs of the first sample, before any call of `next`. */
  get sampled(): Sampled {
    return { otlp: this.#otlp.points, line: this.#lines.at(-1) ?? '', isFirst: this.#lines.length <= 1 };
  }

  /** Goes on by one period: the host's files change step by step, each step half of a step after the last look at them, then comes the sample. */
  async next(onStep: () => void = () => {}): Promise<Sampled> {
    const { periodMs, stepMs = periodMs } = this.#options;
    this.#otlp.points = [];
    const before = this.#lines.length;
    for (let passed = 0; passed < periodMs; passed += stepMs) {
      await this.clock.advance(stepMs / 2);
      this.host.step();
      onStep();
      await this.clock.advance(stepMs / 2);
    }
    if (this.#lines.length !== before + 1) throw new Error(`${this.#lines.length - before} lines came with one sample`);
    return this.sampled;
  }

  /** A page as a scrape gets it now. */
  async page(name: string): Promise<string> {
    const pages = this.#pages.get(name);
    if (pages === undefined) throw new RangeError(`no page ${name}`);
    const page = pages.page({ format: 'text', escaping: 'underscores', selection: undefined });
    return (await page.bytes).toString('utf8');
  }

  async [Symbol.asyncDispose](): Promise<void> {
    const stopping = this.#assembly.agent[Symbol.asyncDispose]();
    await this.clock.advance(1);
    await stopping;
    await this.#sources[Symbol.asyncDispose]();
    await this.host[Symbol.asyncDispose]();
    this.#scratch[Symbol.dispose]();
  }

  #createPages(options: PageOptions): Pages {
    const { agent } = this.#assembly;
    return new Pages({
      collect: () => agent.snapshot({ selfMetrics: true }),
      generation: () => agent.generation,
      clock: this.clock,
      encoder: new PageEncoder(options),
      onConflicts: (conflicts) => this.conflicts.push(...conflicts),
    });
  }
}

/** The encoder of the OTLP exporter, with its bytes decoded at once. */
class OtlpCapture implements PushExporter {
  readonly kind = 'push';
  readonly id = 'otlp';
  points: DecodedPoint[] = [];
  readonly #encoder = new ProtobufEncoder();

  export({ resourceMetrics }: MetricsBatch): Promise<ExportOutcome> {
    for (const { body } of this.#encoder.encode(resourceMetrics, UNLIMITED).requests) this.points.push(...decodeRequest(body));
    return Promise.resolve({ outcome: 'sent', points: countPoints(resourceMetrics) });
  }

  flush(): Promise<void> {
    return Promise.resolve();
  }

  [Symbol.asyncDispose](): Promise<void> {
    return Promise.resolve();
  }
}
