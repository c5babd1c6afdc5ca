import { withDeadline } from '../../src/deadline.ts';
import { AgentError } from '../../src/errors.ts';
import type { ReportExporter } from '../../src/exporter.ts';
import { errnoName } from '../../src/file-error.ts';
import type { Clock } from '../../src/host.ts';
import type { Logger } from '../../src/log.ts';
import type { Report } from '../../src/report.ts';

/** Bytes that may wait for a slow reader. One line may be as large as the limit on lines of the stream. */
const MAX_PENDING_BYTES = 16 * 1024 * 1024;
const LF = Buffer.from('\n');

/** The destination of the lines: `process.stdout`, or any stream like it. */
export interface LineOutput {
  write(chunk: Uint8Array, callback: (error?: Error | null) => void): boolean;
  on(event: 'error', listener: (error: Error) => void): unknown;
  on(event: 'close', listener: () => void): unknown;
}

/** `full`: the reader is too slow. `closed`: there is no reader. `unencodable`: JSON cannot express the document. */
export type DropReason = 'full' | 'closed' | 'unencodable';

/** The reason why nothing can be written. A reader that goes away is an ordinary end of a pipeline, as in `neuron-otel | head -1`. */
export type OutputEnd = { readonly end: 'reader_gone' } | { readonly end: 'failed'; readonly error: AgentError };

export interface JsonStdoutOptions {
  readonly output: LineOutput;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly maxPendingBytes?: number;
  readonly onWritten?: () => void;
  readonly onDropped?: (reason: DropReason, error: AgentError) => void;
}

/**
 * Writes each report as one line, whole or not at all: when the reader is slow and the bound on pending bytes is reached, whole
 * reports are dropped and counted until there is room again. Never waits and never throws.
 */
export class JsonStdoutExporter implements ReportExporter {
  readonly kind = 'report';
  readonly id = 'json_stdout';
  readonly #options: JsonStdoutOptions;
  readonly #maxPendingBytes: number;
  readonly #closed = Promise.withResolvers<OutputEnd>();
  #pendingBytes = 0;
  #isDisposed = false;
  #isDropping = false;
  #flushed: PromiseWithResolvers<void> | undefined;

  constructor(options: JsonStdoutOptions) {
    this.#options = options;
    this.#maxPendingBytes = options.maxPendingBytes ?? MAX_PENDING_BYTES;
    // These listeners stay for good: an error of a stream without one would end the process.
    options.output.on('error', (error) => this.#onError(error));
    options.output.on('close', () => this.#closed.resolve({ end: 'reader_gone' }));
  }

  /**
   * Resolves when the output refuses a report for the first time; never rejects. The caller may go on all the same: each report is
   * tried and counted, and a named pipe works again when somebody opens it again.
   */
  get closed(): Promise<OutputEnd> {
    return this.#closed.promise;
  }

  get pendingBytes(): number {
    return this.#pendingBytes;
  }

  /** Writes the bytes of the stream when the report has them, so that nothing is lost or reordered; else the encoded document. */
  export(report: Report): void {
    if (this.#isDisposed) {
      this.#drop('closed', new AgentError('export_permanent', this.id, 'the exporter was disposed'));
      return;
    }
    const line = report.line === undefined ? this.#encode(report) : Buffer.concat([report.line.bytes, LF]);
    if (line !== undefined) this.#offer(line);
  }

  /** Waits until the reader has taken everything, but no longer than `deadlineMs`. */
  async flush(deadlineMs: number): Promise<void> {
    if (this.#pendingBytes === 0) return;
    this.#flushed ??= Promise.withResolvers();
    await withDeadline(this.#options.clock, this.#flushed.promise, deadlineMs);
  }

  /** Ends the writing. The stream itself belongs to its creator. */
  [Symbol.asyncDispose](): Promise<void> {
    this.#isDisposed = true;
    return Promise.resolve();
  }

  /** `JSON.stringify` throws when a document nests deeper than the stack allows. */
  #encode({ document }: Report): Buffer | undefined {
    try {
      return Buffer.from(`${JSON.stringify(document)}\n`);
    } catch (thrown) {
      this.#drop('unencodable', AgentError.from(thrown, 'internal', this.id));
      return undefined;
    }
  }

  #offer(line: Buffer): void {
    if (this.#pendingBytes === 0 || this.#pendingBytes + line.length <= this.#maxPendingBytes) {
      this.#write(line);
      return;
    }
    if (!this.#isDropping)
      this.#options.logger.warn({ pendingBytes: this.#pendingBytes }, 'stdout is read too slowly, reports are dropped');
    this.#isDropping = true;
    this.#drop('full', new AgentError('export_retryable', this.id, 'stdout is read too slowly'));
  }

  #write(line: Buffer): void {
    this.#pendingBytes += line.length;
    this.#options.output.write(line, (error) => {
      this.#pendingBytes -= line.length;
      if (error === undefined || error === null) {
        this.#options.onWritten?.();
      } else {
        this.#drop('closed', AgentError.from(error, 'export_permanent', this.id));
        this.#onError(error);
      }
      if (this.#pendingBytes === 0) this.#onDrained();
    });
  }

  #onDrained(): void {
    if (this.#isDropping) this.#options.logger.info({}, 'stdout has taken everything that waited');
    this.#isDropping = false;
    this.#flushed?.resolve();
    this.#flushed = undefined;
  }

  #drop(reason: DropReason, error: AgentError): void {
    this.#options.onDropped?.(reason, error);
  }

  #onError(error: Error): void {
    if (errnoName(error) === 'EPIPE') this.#closed.resolve({ end: 'reader_gone' });
    else this.#closed.resolve({ end: 'failed', error: AgentError.from(error, 'export_permanent', this.id) });
  }
}
