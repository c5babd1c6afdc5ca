import { AgentError } from '../../src/errors.ts';
import { errnoName } from '../../src/file-error.ts';
import type { Clock } from '../../src/host.ts';
import { bytesField, numberField } from './protobuf-reader.ts';
import type { OtlpRequest } from './record.ts';

/** What became of one attempt to send a request. */
export type Verdict =
  | { readonly kind: 'accepted'; readonly rejectedPoints: number; readonly message: string }
  /** To be tried again, not before `retryAfterMs` if the receiver says so. */
  | { readonly kind: 'retry'; readonly error: AgentError; readonly retryAfterMs?: number }
  /** Never to be sent again. `isEncodingDoubtful`: another compression may be worth an attempt. */
  | { readonly kind: 'refused'; readonly error: AgentError; readonly isEncodingDoubtful?: boolean };

/** Sends requests to one destination. Failures are verdicts; `send` never rejects. */
export interface Transport {
  send(request: OtlpRequest, signal: AbortSignal): Promise<Verdict>;
  close(): Promise<void>;
}

export function retryVerdict(message: string, options: { readonly cause?: unknown; readonly retryAfterMs?: number } = {}): Verdict {
  const error = new AgentError('export_retryable', 'otlp', message, { cause: options.cause });
  return { kind: 'retry', error, ...(options.retryAfterMs === undefined ? {} : { retryAfterMs: options.retryAfterMs }) };
}

export interface AttemptOptions {
  /** Ends the attempt from outside. */
  readonly signal: AbortSignal;
  readonly timeoutMs: number;
  readonly clock: Clock;
}

/** Runs one attempt under its deadline; what it rejects with means that there was no response, and becomes a verdict. */
export async function attempt(options: AttemptOptions, send: (signal: AbortSignal) => Promise<Verdict>): Promise<Verdict> {
  const { signal, timeoutMs, clock } = options;
  // One controller for each attempt: dependent signals of one that lives for ever would pile up.
  const controller = new AbortController();
  const stop = (): void => controller.abort();
  let isLate = false;
  using _timer = clock.setTimer(
    () => {
      isLate = true;
      stop();
    },
    timeoutMs,
    { background: true },
  );
  signal.addEventListener('abort', stop, { once: true });
  if (signal.aborted) stop();
  try {
    return await send(controller.signal);
  } catch (thrown) {
    const what = isLate ? `no response within ${timeoutMs} ms` : `no response: ${failureName(thrown) ?? 'failed'}`;
    return retryVerdict(what, { cause: thrown });
  } finally {
    signal.removeEventListener('abort', stop);
  }
}

/** HTTP/2 wraps what happened to the connection in what happened to the stream. */
function failureName(thrown: unknown): string | undefined {
  const cause = thrown instanceof Error ? thrown.cause : undefined;
  return (cause === undefined ? undefined : failureName(cause)) ?? errnoName(thrown);
}

export function refusedVerdict(message: string, isEncodingDoubtful = false): Verdict {
  return { kind: 'refused', error: new AgentError('export_permanent', 'otlp', message), isEncodingDoubtful };
}

/** The receiver can be asked to be left alone for long, but not for ever. */
const MAX_RETRY_AFTER_MS = 3_600_000;
const MAX_MESSAGE_LENGTH = 300;

/** Milliseconds that `Retry-After` asks for, in either form of RFC 9110; a date counts from the response's own `Date`. */
export function retryAfterMs(retryAfter: string | undefined, date: string | undefined, nowMs: number): number | undefined {
  if (retryAfter === undefined) return undefined;
  const text = retryAfter.trim();
  if (/^\d+$/.test(text)) return Math.min(Number(text) * 1000, MAX_RETRY_AFTER_MS);
  const untilMs = Date.parse(text);
  if (!/[a-z]/i.test(text) || Number.isNaN(untilMs)) return undefined;
  const serverMs = Date.parse(date ?? '');
  return Math.min(Math.max(0, untilMs - (Number.isNaN(serverMs) ? nowMs : serverMs)), MAX_RETRY_AFTER_MS);
}

/** Reads ExportMetricsServiceResponse; a body that is none says nothing, and the request was accepted. */
export function acceptedVerdict(body: Buffer, contentType: string | undefined, points: number): Verdict {
  const { rejected, message } = isJson(contentType) ? jsonPartialSuccess(body) : protobufPartialSuccess(body);
  const rejectedPoints = Number.isFinite(rejected) ? Math.min(Math.max(0, Math.trunc(rejected)), points) : 0;
  return { kind: 'accepted', rejectedPoints, message: clip(message) };
}

/** The message of a `google.rpc.Status` in a failed response, or whatever text there is. */
export function statusMessage(body: Buffer, contentType: string | undefined): string {
  if (isJson(contentType)) return clip(textOf(parseJson(body), 'message'));
  if (contentType?.startsWith('text/') === true) return clip(body.toString());
  return clip(bytesField(body, 2)?.toString() ?? '');
}

/** One line without control characters, for logs. */
export function clip(text: string): string {
  // oxlint-disable-next-line no-control-regex
  return text.slice(0, MAX_MESSAGE_LENGTH).replace(/[\u0000-\u001f\u007f]+/g, ' ');
}

function protobufPartialSuccess(body: Buffer): { rejected: number; message: string } {
  const partialSuccess = bytesField(body, 1) ?? Buffer.alloc(0);
  return { rejected: numberField(partialSuccess, 1) ?? 0, message: bytesField(partialSuccess, 2)?.toString() ?? '' };
}

function jsonPartialSuccess(body: Buffer): { rejected: number; message: string } {
  const partialSuccess = fieldOf(parseJson(body), 'partialSuccess');
  // 64-bit integers come as numbers or as strings; anything else would be the receiver's fault and says nothing.
  const rejected = fieldOf(partialSuccess, 'rejectedDataPoints');
  return {
    rejected: typeof rejected === 'string' || typeof rejected === 'number' ? Number(rejected) : 0,
    message: textOf(partialSuccess, 'errorMessage'),
  };
}

function isJson(contentType: string | undefined): boolean {
  return contentType?.startsWith('application/json') === true;
}

function parseJson(body: Buffer): unknown {
  try {
    return JSON.parse(body.toString());
  } catch {
    // Not JSON: a proxy's page, perhaps. The status alone counts.
    return undefined;
  }
}

function fieldOf(value: unknown, key: string): unknown {
  return typeof value === 'object' && value !== null ? Object.entries(value).find(([name]) => name === key)?.[1] : undefined;
}

function textOf(value: unknown, key: string): string {
  const text = fieldOf(value, key);
  return typeof text === 'string' ? text : '';
}
