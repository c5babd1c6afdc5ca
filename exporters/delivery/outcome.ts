import { AgentError } from '../../src/errors.ts';
import { errnoName } from '../../src/file-error.ts';
import type { Clock } from '../../src/host.ts';
import type { DeliveryRequest } from './request.ts';

/** Delivered; the receiver may have rejected some of the points, which are not sent again. */
export interface Accepted {
  readonly kind: 'accepted';
  readonly rejectedPoints: number;
  readonly message: string;
}

/** To be tried again, not before `retryAfterMs` if the receiver asks for it. */
export interface RetryLater {
  readonly kind: 'retry';
  readonly error: AgentError;
  /** True when a receiver answered and refused, false when nothing answered that is one. */
  readonly isAnswered: boolean;
  readonly retryAfterMs?: number;
}

/** The receiver takes smaller requests only. */
export interface TooLarge {
  readonly kind: 'too_large';
  readonly error: AgentError;
}

/** Never to be sent again. */
export interface Refused {
  readonly kind: 'refused';
  readonly error: AgentError;
  /** Another compression may be worth an attempt. */
  readonly isEncodingDoubtful?: boolean;
}

/** The outcome of one attempt to send a request. */
export type SendOutcome = Accepted | RetryLater | TooLarge | Refused;

/** Sends requests to one destination. Failures are outcomes; `send` never rejects. */
export interface Transport {
  send(request: DeliveryRequest, signal: AbortSignal): Promise<SendOutcome>;
  close(): Promise<void>;
}

/** The receiver answered that it takes the request later. */
export function retryLater(message: string, afterMs?: number): RetryLater {
  const error = new AgentError('export_retryable', 'delivery', message);
  return { kind: 'retry', error, isAnswered: true, ...(afterMs === undefined ? {} : { retryAfterMs: afterMs }) };
}

/** Nothing answered that is a receiver. */
export function noReceiver(message: string, cause?: unknown): RetryLater {
  return { kind: 'retry', error: new AgentError('export_retryable', 'delivery', message, { cause }), isAnswered: false };
}

export function refused(message: string, isEncodingDoubtful = false): Refused {
  return { kind: 'refused', error: new AgentError('export_permanent', 'delivery', message), isEncodingDoubtful };
}

export function tooLarge(message: string): TooLarge {
  return { kind: 'too_large', error: new AgentError('export_permanent', 'delivery', message) };
}

export interface AttemptOptions {
  /** Ends the attempt from outside. */
  readonly signal: AbortSignal;
  readonly timeoutMs: number;
  readonly clock: Clock;
  /** The destination of the attempt, as messages show it. */
  readonly target: string;
  /** Adds a remedy to what happened to the connection; undefined when none is known. */
  readonly remedy?: (code: string) => string | undefined;
}

/** Runs one attempt under its deadline; a rejection means that there was no response. */
export async function attempt(options: AttemptOptions, send: (signal: AbortSignal) => Promise<SendOutcome>): Promise<SendOutcome> {
  const { signal, timeoutMs, clock, target } = options;
  // One controller for each attempt: dependent signals of one that lasts as long as the process would pile up.
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
    if (isLate) return noReceiver(`no response from ${target} within ${timeoutMs} ms`, thrown);
    const code = failureName(thrown);
    const remedy = code === undefined ? undefined : (options.remedy?.(code) ?? connectionRemedy(code));
    return noReceiver(`no response from ${target}: ${code ?? messageOf(thrown)}${remedy === undefined ? '' : ` (${remedy})`}`, thrown);
  } finally {
    signal.removeEventListener('abort', stop);
  }
}

/** Rejects as soon as the signal aborts, whatever becomes of the work: reading a file may hang for ever. */
export async function unlessAborted<T>(work: Promise<T>, signal: AbortSignal): Promise<T> {
  const aborted = Promise.withResolvers<never>();
  const onAbort = (): void => aborted.reject(new Error('ended before there was a connection'));
  signal.addEventListener('abort', onAbort, { once: true });
  if (signal.aborted) onAbort();
  try {
    return await Promise.race([work, aborted.promise]);
  } finally {
    signal.removeEventListener('abort', onAbort);
  }
}

/** HTTP/2 wraps what happened to the connection in what happened to the stream. */
function failureName(thrown: unknown): string | undefined {
  const cause = thrown instanceof Error ? thrown.cause : undefined;
  return (cause === undefined ? undefined : failureName(cause)) ?? errnoName(thrown);
}

function messageOf(thrown: unknown): string {
  return clip(thrown instanceof Error ? thrown.message : String(thrown));
}

const UNTRUSTED: ReadonlySet<string> = new Set([
  'DEPTH_ZERO_SELF_SIGNED_CERT',
  'SELF_SIGNED_CERT_IN_CHAIN',
  'UNABLE_TO_GET_ISSUER_CERT',
  'UNABLE_TO_GET_ISSUER_CERT_LOCALLY',
  'UNABLE_TO_VERIFY_LEAF_SIGNATURE',
]);

/** Returns true when a connection failed because no trusted authority signed the receiver's certificate. */
export function isUntrusted(thrown: unknown): boolean {
  return UNTRUSTED.has(failureName(thrown) ?? '');
}

/** The remedy for a failed connection that does not depend on what the receiver is. */
function connectionRemedy(code: string): string | undefined {
  if (UNTRUSTED.has(code)) return 'no trusted authority signed the certificate of the receiver: set tls.ca_file';
  if (code === 'ERR_TLS_CERT_ALTNAME_INVALID')
    return 'the certificate is for another host name: correct the endpoint or set tls.server_name';
  if (code === 'CERT_HAS_EXPIRED') return 'the certificate of the receiver has expired';
  if (code === 'EPROTO' || code === 'ERR_SSL_WRONG_VERSION_NUMBER' || code === 'ERR_SSL_PACKET_LENGTH_TOO_LONG')
    return 'this port does not use TLS as the endpoint asks for: perhaps http:// instead of https://';
  if (code === 'ENOTFOUND' || code === 'EAI_AGAIN')
    return 'the host name cannot be resolved; where only a proxy reaches it, set HTTPS_PROXY or HTTP_PROXY';
  if (code === 'ECONNREFUSED') return 'nothing listens there';
  return undefined;
}

/** The receiver can be asked to be left alone for long, but not for ever. */
export const MAX_RETRY_AFTER_MS = 3_600_000;
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

/** One line without control characters, for logs. */
export function clip(text: string): string {
  // oxlint-disable-next-line no-control-regex
  return text.slice(0, MAX_MESSAGE_LENGTH).replace(/[\u0000-\u001f\u007f]+/g, ' ');
}
