/** gRPC status codes, by number (grpc/doc/statuscodes.md). */
export const GRPC_STATUS_NAMES = [
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
export type GrpcStatus = (typeof GRPC_STATUS_NAMES)[number];

/** OTLP specification, table of gRPC codes; `RESOURCE_EXHAUSTED` only when the receiver says when it will have recovered. */
export const RETRYABLE_GRPC_STATUS: ReadonlySet<GrpcStatus> = new Set([
  'CANCELLED',
  'DEADLINE_EXCEEDED',
  'ABORTED',
  'OUT_OF_RANGE',
  'UNAVAILABLE',
  'DATA_LOSS',
]);

/** HTTP statuses of a proxy that does not support gRPC (grpc/doc/http-grpc-status-mapping.md). */
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

/** Returns what an HTTP status without a gRPC status means. */
export function grpcStatusOfHttp(httpStatus: number): GrpcStatus {
  return BY_HTTP_STATUS.get(httpStatus) ?? 'UNKNOWN';
}
