import type { GrpcHeaders, GrpcResponse } from '../delivery/grpc-transport.ts';
import type { HttpResponse } from '../delivery/http-transport.ts';
import { MAX_RETRY_AFTER_MS, clip, noReceiver, refused, retryAfterMs, retryLater, tooLarge } from '../delivery/outcome.ts';
import type { SendOutcome } from '../delivery/outcome.ts';
import { MAX_RESPONSE_BYTES } from '../delivery/response-body.ts';
import { shownUrl } from '../../src/shown-url.ts';
import { GRPC_STATUS_NAMES, RETRYABLE_GRPC_STATUS, grpcStatusOfHttp } from './grpc-status.ts';
import type { GrpcStatus } from './grpc-status.ts';
import { bytesField, numberField, protobufFields } from './protobuf-reader.ts';
import { httpRemedy } from './remedies.ts';

/** OTLP specification, "Retryable Response Codes": these and no others. */
const RETRYABLE_STATUS: ReadonlySet<number> = new Set([429, 502, 503, 504]);
/** Receivers that do not know a compression answer with one of these. */
const DOUBTFUL_ENCODING_STATUS: ReadonlySet<number> = new Set([400, 415]);

/** Classifies a response of OTLP/HTTP. */
export function classifyHttp(response: HttpResponse): SendOutcome {
  const { status, headers, body, url, nowMs } = response;
  if (status >= 200 && status < 300) return classifySuccess(response);
  const bytes = body.kind === 'whole' ? body.bytes : Buffer.alloc(0);
  const reported = statusMessage(bytes, headers['content-type']);
  const message = `HTTP ${status} from ${shownUrl(url)}${reported === '' ? '' : `: ${reported}`}`;
  if (RETRYABLE_STATUS.has(status)) return retryLater(message, retryAfterMs(headers['retry-after'], headers.date, nowMs));
  if (status === 413) return tooLarge(message);
  const remedy = httpRemedy({ status, url, headers, reported });
  return refused(remedy === undefined ? message : `${message} (${remedy})`, DOUBTFUL_ENCODING_STATUS.has(status));
}

/**
 * A success with an answer that no OTLP receiver gives, such as the page of a login, is tried again: nobody has taken the request, and
 * what answers there will change. What was cut off, or is empty, or has the content type of OTLP, counts as an answer: repeating the
 * request would be a duplicate.
 */
function classifySuccess({ status, headers, body, url, points }: HttpResponse): SendOutcome {
  const type = headers['content-type'];
  if (body.kind === 'too_large') return refused(`HTTP ${status} from ${shownUrl(url)} with a response above ${MAX_RESPONSE_BYTES} bytes`);
  const bytes = body.kind === 'whole' ? body.bytes : Buffer.alloc(0);
  if (body.kind === 'whole' ? isAnswer(bytes, type) : !isPage(bytes, type)) return classifyAccepted(bytes, points);
  const what = `${type ?? 'no content type'}: ${clip(bytes.toString('utf8').trim().slice(0, 80))}`;
  return noReceiver(
    `HTTP ${status} from ${shownUrl(url)} is no answer of an OTLP receiver (${what}): is a login page or a proxy in front of it, or is the path wrong?`,
  );
}

function isAnswer(bytes: Buffer, type: string | undefined): boolean {
  if (bytes.length === 0) return true;
  if (isPage(bytes, type)) return false;
  if (type === undefined || isProtobuf(type)) return true;
  return isJsonObject(bytes) || (!isJson(type) && isProtobufAnswer(bytes));
}

function isPage(bytes: Buffer, type: string | undefined): boolean {
  return type?.startsWith('text/html') === true || /^\s*<(!doctype|html|head|body|\?xml)/i.test(bytes.subarray(0, 200).toString('latin1'));
}

/** ExportMetricsServiceResponse has one field only. */
function isProtobufAnswer(bytes: Buffer): boolean {
  const fields = [...protobufFields(bytes)];
  return fields.at(-1)?.end === bytes.length && fields.every(({ number, value }) => number === 1 && typeof value !== 'number');
}

/** Reads ExportMetricsServiceResponse; what cannot be read counts as an answer without a message. */
export function classifyAccepted(body: Buffer, points: number): SendOutcome {
  const { rejected, message } = isJsonObject(body) ? jsonPartialSuccess(body) : protobufPartialSuccess(body);
  const rejectedPoints = Number.isFinite(rejected) ? Math.min(Math.max(0, Math.trunc(rejected)), points) : 0;
  return { kind: 'accepted', rejectedPoints, message: clip(message) };
}

/** Classifies a finished call of OTLP/gRPC. */
export function classifyGrpc({ httpStatus, headers, trailers, message, url, points }: GrpcResponse): SendOutcome {
  const code = trailers['grpc-status'];
  if (code === undefined) return classifyNoGrpc(httpStatus, headers, url);
  const status = GRPC_STATUS_NAMES[Number(code)] ?? 'UNKNOWN';
  return status === 'OK' ? classifyAccepted(message, points) : classifyFailedCall(status, trailers, url);
}

/** A proxy or a server that does not speak gRPC: its HTTP status decides, as gRPC maps it. */
function classifyNoGrpc(httpStatus: number, headers: GrpcHeaders, url: URL): SendOutcome {
  const type = headers['content-type'];
  const message = `HTTP ${httpStatus} without a gRPC status from ${shownUrl(url)}`;
  if (httpStatus >= 200 && httpStatus < 300)
    return noReceiver(`${message} (${typeof type === 'string' ? type : 'no content type'}): what answers there is no OTLP/gRPC receiver`);
  const status = grpcStatusOfHttp(httpStatus);
  if (RETRYABLE_GRPC_STATUS.has(status)) return retryLater(`gRPC ${status}: ${message}`);
  if (httpStatus === 413) return tooLarge(message);
  const { location, ...others } = headers;
  const text = typeof location === 'string' ? { location } : {};
  const remedy = httpRemedy({ status: httpStatus, url, headers: { ...text, server: String(others['server'] ?? '') }, reported: '' });
  return refused(`gRPC ${status}: ${message}${remedy === undefined ? '' : ` (${remedy})`}`, status === 'UNIMPLEMENTED');
}

function classifyFailedCall(status: GrpcStatus, trailers: GrpcHeaders, url: URL): SendOutcome {
  const reported = grpcMessage(trailers);
  const message = `gRPC ${status} from ${shownUrl(url)}${reported === '' ? '' : `: ${reported}`}`;
  const retryMs = retryDelayMs(trailers['grpc-status-details-bin']);
  if (RETRYABLE_GRPC_STATUS.has(status) || (status === 'RESOURCE_EXHAUSTED' && retryMs !== undefined)) return retryLater(message, retryMs);
  // grpc-go, grpc-java and grpc-core speak of the message; without RetryInfo the status means nothing else here.
  if (status === 'RESOURCE_EXHAUSTED' && /message|too large|larger|size/i.test(reported)) return tooLarge(message);
  const remedy = httpRemedy({ status: HTTP_OF_GRPC[status] ?? 0, url, headers: {}, reported });
  return refused(remedy === undefined ? message : `${message} (${remedy})`, status === 'UNIMPLEMENTED');
}

const HTTP_OF_GRPC: Partial<Record<GrpcStatus, number>> = { UNAUTHENTICATED: 401, PERMISSION_DENIED: 403 };

/** The message of a `google.rpc.Status` in a failed response, or whatever text there is. */
export function statusMessage(body: Buffer, contentType: string | undefined): string {
  if (isJson(contentType)) return clip(textOf(parseJson(body), 'message'));
  if (contentType?.startsWith('text/') === true) return clip(body.toString()).trim();
  return clip(bytesField(body, 2)?.toString() ?? '');
}

function protobufPartialSuccess(body: Buffer): { rejected: number; message: string } {
  const partialSuccess = bytesField(body, 1) ?? Buffer.alloc(0);
  return { rejected: numberField(partialSuccess, 1) ?? 0, message: bytesField(partialSuccess, 2)?.toString() ?? '' };
}

function jsonPartialSuccess(body: Buffer): { rejected: number; message: string } {
  const partialSuccess = fieldOf(parseJson(body), 'partialSuccess');
  // 64-bit integers come as numbers or as strings; anything else would be the receiver's fault and means nothing.
  const rejected = fieldOf(partialSuccess, 'rejectedDataPoints');
  return {
    rejected: typeof rejected === 'string' || typeof rejected === 'number' ? Number(rejected) : 0,
    message: textOf(partialSuccess, 'errorMessage'),
  };
}

/** `google.rpc.RetryInfo` among the details of a `google.rpc.Status`. */
function retryDelayMs(details: GrpcHeaders[string]): number | undefined {
  if (typeof details !== 'string') return undefined;
  for (const { number, value } of protobufFields(Buffer.from(details, 'base64'))) {
    if (number !== 3 || typeof value === 'number') continue;
    if (bytesField(value, 1)?.toString().endsWith('/google.rpc.RetryInfo') !== true) continue;
    const delay = bytesField(bytesField(value, 2) ?? Buffer.alloc(0), 1) ?? Buffer.alloc(0);
    const delayMs = (numberField(delay, 1) ?? 0) * 1000 + (numberField(delay, 2) ?? 0) / 1e6;
    return Math.min(Math.max(0, delayMs), MAX_RETRY_AFTER_MS);
  }
  return undefined;
}

/** Percent-encoded, as the protocol demands. */
function grpcMessage(trailers: GrpcHeaders): string {
  const message = trailers['grpc-message'];
  if (typeof message !== 'string') return '';
  try {
    return clip(decodeURIComponent(message));
  } catch {
    // Not percent-encoded after all.
    return clip(message);
  }
}

function isProtobuf(contentType: string | undefined): boolean {
  return contentType !== undefined && /^application\/(x-)?protobuf\b/.test(contentType);
}

function isJson(contentType: string | undefined): boolean {
  return contentType?.startsWith('application/json') === true;
}

function isJsonObject(body: Buffer): boolean {
  const value = parseJson(body);
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function parseJson(body: Buffer): unknown {
  try {
    return JSON.parse(body.toString());
  } catch {
    // The caller asks what it is.
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
