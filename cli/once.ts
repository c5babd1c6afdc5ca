import { prometheusText } from '../exporters/prometheus/page.ts';
import { periodsOf } from '../config/groups.ts';
import { AgentError, EXIT } from '../src/errors.ts';
import type { ReportExporter } from '../src/exporter.ts';
import type { Report } from '../src/report.ts';
import { assemble } from './assemble.ts';
import type { Assembly } from './assemble.ts';
import { sourceSpecOf } from '../sources/settings.ts';
import { load } from './config.ts';
import type { ConfigInput } from './config.ts';
import type { CliIo } from './io.ts';

export interface OnceInput extends ConfigInput {
  readonly format: 'json' | 'prometheus' | 'otlp-json';
  readonly naming: 'otel' | 'legacy' | 'both';
  readonly selfMetrics?: boolean;
}

/** The first record of a live stream covers some milliseconds only. */
const STREAM_RECORDS = 2;
/** Tallies, averages and shares need two readings; these are so far apart, or one period where it is shorter. */
const READINGS_APART_MS = 1_000;

/**
 * Prints one collection and exits. Of a recorded stream that is everything it holds, at its end; of a live source its first sample
 * with meaningful averages.
 */
export async function once(input: OnceInput, io: CliIo): Promise<number> {
  const loaded = load({ ...input, flags: { '--speed': 'max', ...input.flags } }, io);
  if (typeof loaded === 'number') return loaded;
  const { config, logger } = loaded;
  const last = new LastReport();
  const assembly = await assemble({
    config,
    io,
    logger,
    exporters: () => [last],
    legacySnapshots: input.format === 'prometheus',
    firstReadingsApartMs: Math.min(READINGS_APART_MS, ...periodsOf(config).values()),
  });
  try {
    await assembly.agent.start();
    await enough(assembly, io, sourceSpecOf(config.source).kind === 'file');
    if (!assembly.agent.ready) {
      io.stderr.write('neuron-otel: no sample came, nothing to print\n');
      return EXIT.failure;
    }
    await write(io, await render(assembly, input, last));
    return EXIT.ok;
  } catch (thrown) {
    logger.error({ err: AgentError.from(thrown, 'internal', 'once') }, 'cannot collect');
    return EXIT.failure;
  } finally {
    await assembly[Symbol.asyncDispose]();
  }
}

async function enough({ agent, sources }: Assembly, io: CliIo, isRecording: boolean): Promise<void> {
  const stopped = new Promise<void>((resolve) => {
    if (io.stop.aborted) resolve();
    else io.stop.addEventListener('abort', () => resolve(), { once: true });
  });
  const sampled = isRecording ? new Promise<void>(() => {}) : agent.collected(sources.stream === undefined ? 1 : STREAM_RECORDS);
  await Promise.race([agent.ended, stopped, sampled]);
}

async function render({ agent }: Assembly, input: OnceInput, last: LastReport): Promise<string> {
  if (input.format === 'json') return last.text();
  const resourceMetrics = await agent.snapshot({ selfMetrics: input.selfMetrics === true });
  if (input.format === 'prometheus') return prometheusText(resourceMetrics, { naming: input.naming });
  const { otlpJson } = await import('../exporters/otlp/json.ts');
  return `${otlpJson(resourceMetrics).toString()}\n`;
}

/** Keeps the latest report instead of writing each one. */
class LastReport implements ReportExporter {
  readonly kind = 'report';
  readonly id = 'json_stdout';
  #report: Report | undefined;

  export(report: Report): void {
    this.#report = report;
  }

  /** One line with its end; a line of a stream as it came. */
  text(): string {
    if (this.#report === undefined) return '';
    const { document, line } = this.#report;
    return `${line === undefined ? JSON.stringify(document) : Buffer.from(line.bytes).toString('utf8')}\n`;
  }

  flush(): Promise<void> {
    return Promise.resolve();
  }

  [Symbol.asyncDispose](): Promise<void> {
    return Promise.resolve();
  }
}

function write(io: CliIo, text: string): Promise<void> {
  return new Promise((resolve) => {
    // A reader that went away has what it wanted.
    io.stdout.on('error', () => resolve());
    io.stdout.write(text, () => resolve());
  });
}
