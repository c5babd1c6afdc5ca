import { bytesField, numberField, protobufFields } from './protobuf-reader.ts';
import { clip, refusedVerdict, retryVerdict } from './verdict.ts';
import type { Verdict } from './verdict.ts';

/** gRPC status codes, by number (grpc/doc/statuscodes.md). */
const NAMES = [
  'OK',
  'CANCELLED',
  'UNKNOWN',
  'INVALID_ARGUMENT',
  'DEADLINE_EXCEEDED',
  'NOT_FOUND',
  'ALREADY_EXISTS',
  'PERMISSION_DENIED',
  'RESOURCE_EXHAUSTED',
  'FAILED_PRECONDITION',
  'ABORTED',
  'OUT_OF_RANGE',
  'UNIMPLEMENTED',
  'INTERNAL',
  'UNAVAILABLE',
  'DATA_LOSS',
  'UNAUTHENTICATED',
] as const;
export type GrpcStatus = (typeof NAMES)[number];

/** OTLP specification, table of gRPC codes; `RESOURCE_EXHAUSTED` only when the receiver says when it will have recovered. */
const RETRYABLE: ReadonlySet<GrpcStatus> = new Set([
  'CANCELLED',
  'DEADLINE_EXCEEDED',
  'ABORTED',
  'OUT_OF_RANGE',
  'UNAVAILABLE',
  'DATA_LOSS',
]);

/** What a proxy that does not speak gRPC answers (grpc/doc/http-grpc-status-mapping.md). */
const BY_HTTP_STATUS: ReadonlyMap<number, GrpcStatus> = new Map([
  [400, 'INTERNAL'],
  [401, 'UNAUTHENTICATED'],
  [403, 'PERMISSION_DENIED'],
  [404, 'UNIMPLEMENTED'],
  [429, 'UNAVAILABLE'],
  [502, 'UNAVAILABLE'],
  [503, 'UNAVAILABLE'],
  [504, 'UNAVAILABLE'],
]);

/** Headers or trailers of a response. */
export type GrpcHeaders = Readonly<Record<string, string | number | readonly string[] | undefined>>;

/** The status in trailers; without one, what the HTTP status means. */
export function grpcStatus(trailers: GrpcHeaders, httpStatus: number): GrpcStatus {
  const code = trailers['grpc-status'];
  if (code === undefined) return httpStatus === 200 ? 'UNKNOWN' : (BY_HTTP_STATUS.get(httpStatus) ?? 'UNKNOWN');
  return NAMES[Number(code)] ?? 'UNKNOWN';
}

/** The verdict on a call that did not end with `OK`. */
export function failedCallVerdict(status: GrpcStatus, trailers: GrpcHeaders): Verdict {
  const message = `gRPC ${status} ${messageOf(trailers)}`.trimEnd();
  const retryAfterMs = retryDelayMs(trailers['grpc-status-details-bin']);
  const isRetryable = RETRYABLE.has(status) || (status === 'RESOURCE_EXHAUSTED' && retryAfterMs !== undefined);
  if (!isRetryable) return refusedVerdict(message, status === 'UNIMPLEMENTED');
  return retryVerdict(message, retryAfterMs === undefined ? {} : { retryAfterMs });
}

const MAX_RETRY_AFTER_MS = 3_600_000;

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
function messageOf(trailers: GrpcHeaders): string {
  const message = trailers['grpc-message'];
  if (typeof message !== 'string') return '';
  try {
    return clip(decodeURIComponent(message));
  } catch {
    // Not percent-encoded after all.
    return clip(message);
  }
}
