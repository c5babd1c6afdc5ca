import { withDeadline } from '../../src/deadline.ts';
import { AgentError } from '../../src/errors.ts';
import type { ReportExporter } from '../../src/exporter.ts';
import { errnoName } from '../../src/file-error.ts';
import type { Clock } from '../../src/host.ts';
import type { Logger } from '../../src/log.ts';
import type { Report } from '../../src/report.ts';
import { DocumentEncoder } from './encode.ts';
import { JsonWriter } from './json-writer.ts';

/** Bytes that may wait for a slow reader. One line may be as large as the limit on lines of the stream. */
const MAX_PENDING_BYTES = 16 * 1024 * 1024;
/** A buffer larger than this is not kept for the next line. */
const MAX_KEPT_BYTES = 1024 * 1024;
const LF = Buffer.from('\n');
const [LF_CODE = 0] = LF;

/** Where lines go: `process.stdout`, or any stream that has used the bytes of a chunk when it calls back: then they are written over. */
export interface LineOutput {
  write(chunk: Uint8Array, callback: (error?: Error | null) => void): boolean;
  on(event: 'error', listener: (error: Error) => void): unknown;
  on(event: 'close', listener: () => void): unknown;
}

/** `full`: the reader is too slow. `closed`: there is no reader. `unencodable`: the document is no report. */
export type DropReason = 'full' | 'closed' | 'unencodable';

/** Why nothing could be written. A reader that goes away is an ordinary end of a pipeline, as in `neuron-otel | head -1`. */
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
  readonly #encoder = new DocumentEncoder();
  readonly #closed = Promise.withResolvers<OutputEnd>();
  #writer = new JsonWriter();
  /** The output has not used the bytes in the writer yet. */
  #isWriterBusy = false;
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
   * Resolves when the output could take a report no more, the first time; never rejects. Whoever goes on nevertheless may: each
   * report is tried and counted, and a named pipe works again when somebody opens it again.
   */
  get closed(): Promise<OutputEnd> {
    return this.#closed.promise;
  }

  get pendingBytes(): number {
    return this.#pendingBytes;
  }

  /** The bytes of the stream where there are any, so that nothing is lost or reordered; else the encoded document. */
  export(report: Report): void {
    if (this.#isDisposed) {
      this.#drop('closed', new AgentError('export_permanent', this.id, 'the exporter was disposed'));
      return;
    }
    if (report.line !== undefined) {
      this.#offer(Buffer.concat([report.line.bytes, LF]), false);
      return;
    }
    const isKept = !this.#isWriterBusy;
    const line = this.#encode(report, isKept);
    if (line !== undefined) this.#offer(line, isKept);
  }

  /** Waits until everything was taken by the reader, but no longer than `deadlineMs`. */
  async flush(deadlineMs: number): Promise<void> {
    if (this.#pendingBytes === 0) return;
    this.#flushed ??= Promise.withResolvers();
    await withDeadline(this.#options.clock, this.#flushed.promise, deadlineMs);
  }

  /** Writes no more. The stream itself belongs to whoever made it. */
  [Symbol.asyncDispose](): Promise<void> {
    this.#isDisposed = true;
    return Promise.resolve();
  }

  /** The line in the kept buffer, or in one of its own that is no larger than it must be: many may have to wait. */
  #encode({ document }: Report, isKept: boolean): Buffer | undefined {
    const writer = isKept ? this.#writer : new JsonWriter();
    writer.clear();
    try {
      this.#encoder.encode(document, writer);
    } catch (thrown) {
      this.#drop('unencodable', AgentError.from(thrown, 'internal', this.id));
      return undefined;
    }
    writer.byte(LF_CODE);
    return isKept ? writer.bytes : Buffer.from(writer.bytes);
  }

  #offer(line: Buffer, isKept: boolean): void {
    if (this.#pendingBytes === 0 || this.#pendingBytes + line.length <= this.#maxPendingBytes) {
      this.#write(line, isKept);
      return;
    }
    if (!this.#isDropping)
      this.#options.logger.warn({ pendingBytes: this.#pendingBytes }, 'stdout is read too slowly, reports are dropped');
    this.#isDropping = true;
    this.#drop('full', new AgentError('export_retryable', this.id, 'stdout is read too slowly'));
  }

  #write(line: Buffer, isKept: boolean): void {
    this.#pendingBytes += line.length;
    if (isKept) this.#isWriterBusy = true;
    this.#options.output.write(line, (error) => {
      this.#pendingBytes -= line.length;
      const isWritten = error === undefined || error === null;
      if (isKept) this.#release(isWritten);
      if (isWritten) {
        this.#options.onWritten?.();
      } else {
        this.#drop('closed', AgentError.from(error, 'export_permanent', this.id));
        this.#onError(error);
      }
      if (this.#pendingBytes === 0) this.#onDrained();
    });
  }

  /** A stream that failed may still hold the bytes, and a line that was unusually long needs no buffer for ever. */
  #release(isWritten: boolean): void {
    if (!isWritten || this.#writer.capacity > MAX_KEPT_BYTES) this.#writer = new JsonWriter();
    this.#isWriterBusy = false;
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
