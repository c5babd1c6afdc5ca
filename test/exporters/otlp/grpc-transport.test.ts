import { gzipSync } from 'node:zlib';
import { afterEach, describe, expect, it, vi } from 'vitest';
import { HeaderSource, TlsSource } from '../../../exporters/delivery/credentials.ts';
import { GrpcTransport } from '../../../exporters/delivery/grpc-transport.ts';
import { Secret } from '../../../src/secret.ts';
import { otlpSettings } from '../../support/settings.ts';
import type { SomeOtlpSettings } from '../../support/settings.ts';
import type { DeliveryRequest } from '../../../exporters/delivery/request.ts';
import type { SendOutcome } from '../../../exporters/delivery/outcome.ts';
import { systemClock } from '../../../src/host.ts';
import { silentLogger } from '../../../src/log.ts';
import { ProtobufWriter } from '../../../exporters/wire/protobuf-writer.ts';
import { grpcConnectionRemedy } from '../../../exporters/otlp/remedies.ts';
import { classifyGrpc } from '../../../exporters/otlp/response.ts';
import { MisbehavingGrpcServer } from '../../support/misbehaving-grpc-server.ts';
import type { CallBehaviour } from '../../support/misbehaving-grpc-server.ts';
import { certificatePath, certificateText } from '../../support/web-configs.ts';

const MIB = 1024 * 1024;
const NEVER = new AbortController().signal;

const open: AsyncDisposable[] = [];
afterEach(async () => {
  for (const one of open.splice(0).toReversed()) await one[Symbol.asyncDispose]();
});

function transportTo(server: MisbehavingGrpcServer, timeoutMs = 5000, tls: NonNullable<SomeOtlpSettings['tls']> = {}): GrpcTransport {
  const transport = new GrpcTransport({
    endpoint: server.url,
    headers: new HeaderSource([['X-Tenant', new Secret('a')]], silentLogger),
    tls: new TlsSource(otlpSettings({ endpoint: '', tls }).tls, silentLogger),
    timeoutMs,
    userAgent: 'neuron-otel/test',
    clock: systemClock,
    method: '/opentelemetry.proto.collector.metrics.v1.MetricsService/Export',
    classify: classifyGrpc,
    remedy: grpcConnectionRemedy,
  });
  open.push(server, { [Symbol.asyncDispose]: () => transport.close() });
  return transport;
}

function request(overrides: Partial<DeliveryRequest> = {}): DeliveryRequest {
  return {
    body: Buffer.from('body'),
    points: 10,
    rawBytes: 4,
    contentType: 'application/x-protobuf',
    contentEncoding: 'none',
    enqueuedAtMs: 0,
    ...overrides,
  };
}

/** Without the address of the server, which is another one in each test. */
function summary(outcome: SendOutcome): unknown {
  if (outcome.kind === 'accepted') return { accepted: outcome.rejectedPoints, message: outcome.message };
  const message = outcome.error.message.replaceAll(/https?:\/\/localhost:\d+\//g, 'URL');
  if (outcome.kind === 'retry') return { retry: message, afterMs: outcome.retryAfterMs };
  return { [outcome.kind]: message };
}

function partialSuccess(rejected: number, message: string): Buffer {
  const writer = new ProtobufWriter();
  writer.message(1, () => {
    writer.tag(1, 0);
    writer.varint(rejected);
    writer.string(2, message);
  });
  return writer.take();
}

/** `google.rpc.Status` with one detail. */
function statusDetails(type: string, seconds: number, nanos: number): Buffer {
  const writer = new ProtobufWriter();
  writer.tag(1, 0);
  writer.varint(14);
  writer.message(3, () => {
    writer.string(1, `type.googleapis.com/${type}`);
    writer.message(2, () => {
      writer.message(1, () => {
        writer.tag(1, 0);
        writer.varint(seconds);
        writer.tag(2, 0);
        writer.varint(nanos);
      });
    });
  });
  return writer.take();
}

const accepted = { accepted: 0, message: '' };
const RETRY_INFO = statusDetails('google.rpc.RetryInfo', 7, 500_000_000);

/** OTLP specification: table of gRPC codes, "OTLP/gRPC Throttling"; gRPC: http-grpc-status-mapping.md. */
const CODES = [
  { code: 1, name: 'CANCELLED', isRetryable: true },
  { code: 2, name: 'UNKNOWN', isRetryable: false },
  { code: 3, name: 'INVALID_ARGUMENT', isRetryable: false },
  { code: 4, name: 'DEADLINE_EXCEEDED', isRetryable: true },
  { code: 5, name: 'NOT_FOUND', isRetryable: false },
  { code: 6, name: 'ALREADY_EXISTS', isRetryable: false },
  { code: 7, name: 'PERMISSION_DENIED', isRetryable: false },
  { code: 8, name: 'RESOURCE_EXHAUSTED', isRetryable: false },
  { code: 9, name: 'FAILED_PRECONDITION', isRetryable: false },
  { code: 10, name: 'ABORTED', isRetryable: true },
  { code: 11, name: 'OUT_OF_RANGE', isRetryable: true },
  { code: 12, name: 'UNIMPLEMENTED', isRetryable: false },
  { code: 13, name: 'INTERNAL', isRetryable: false },
  { code: 14, name: 'UNAVAILABLE', isRetryable: true },
  { code: 15, name: 'DATA_LOSS', isRetryable: true },
  { code: 16, name: 'UNAUTHENTICATED', isRetryable: false },
] as const;

const MATRIX: readonly (readonly [string, CallBehaviour, unknown])[] = [
  ['OK', { kind: 'answer', status: 0 }, accepted],
  ['OK with partial success', { kind: 'answer', status: 0, body: partialSuccess(4, 'too old') }, { accepted: 4, message: 'too old' }],
  [
    'OK with partial success, compressed',
    { kind: 'answer', status: 0, body: gzipSync(partialSuccess(4, 'too old')), encoding: 'gzip' },
    { accepted: 4, message: 'too old' },
  ],
  ['OK with 5 MiB', { kind: 'answer', status: 0, body: Buffer.alloc(5 * MIB) }, { refused: 'gRPC response above 4194304 bytes from URL' }],
  [
    'OK with a compressed bomb',
    { kind: 'answer', status: 0, body: gzipSync(Buffer.alloc(64 * MIB)), encoding: 'gzip' },
    { refused: 'gRPC response above 4194304 bytes from URL' },
  ],
  [
    'OK with a message that is not compressed as it says',
    { kind: 'answer', status: 0, body: Buffer.from('x'), encoding: 'gzip' },
    accepted,
  ],
  ...CODES.flatMap(({ code, name, isRetryable }) =>
    [false, true].map((isTrailersOnly) => {
      const expected = isRetryable
        ? { retry: `gRPC ${name} from URL: why not`, afterMs: undefined }
        : { refused: expect.stringContaining(`gRPC ${name} from URL: why not`) };
      const behaviour = { kind: 'answer', status: code, message: 'why%20not', isTrailersOnly } as const;
      return [`${name}${isTrailersOnly ? ' without a body' : ''}`, behaviour, expected] as const;
    }),
  ),
  ['a code that does not exist', { kind: 'answer', status: 99 }, { refused: 'gRPC UNKNOWN from URL' }],
  [
    'UNAVAILABLE with RetryInfo',
    { kind: 'answer', status: 14, details: RETRY_INFO },
    { retry: 'gRPC UNAVAILABLE from URL', afterMs: 7500 },
  ],
  [
    'RESOURCE_EXHAUSTED with RetryInfo',
    { kind: 'answer', status: 8, details: RETRY_INFO },
    { retry: 'gRPC RESOURCE_EXHAUSTED from URL', afterMs: 7500 },
  ],
  [
    'RESOURCE_EXHAUSTED with another detail',
    { kind: 'answer', status: 8, details: statusDetails('google.rpc.QuotaFailure', 7, 0) },
    { refused: 'gRPC RESOURCE_EXHAUSTED from URL' },
  ],
  [
    'details that are garbage',
    { kind: 'answer', status: 8, details: Buffer.from('garbage') },
    { refused: 'gRPC RESOURCE_EXHAUSTED from URL' },
  ],
  ...[429, 502, 503, 504].map(
    (status) =>
      [
        `HTTP ${status}`,
        { kind: 'http', status },
        { retry: `gRPC UNAVAILABLE: HTTP ${status} without a gRPC status from URL`, afterMs: undefined },
      ] as const,
  ),
  [
    'HTTP 401',
    { kind: 'http', status: 401 },
    { refused: expect.stringMatching(/^gRPC UNAUTHENTICATED: HTTP 401 without a gRPC status from URL/) },
  ],
  [
    'HTTP 403',
    { kind: 'http', status: 403 },
    { refused: expect.stringMatching(/^gRPC PERMISSION_DENIED: HTTP 403 without a gRPC status from URL/) },
  ],
  [
    'HTTP 404',
    { kind: 'http', status: 404 },
    { refused: expect.stringMatching(/^gRPC UNIMPLEMENTED: HTTP 404 without a gRPC status from URL/) },
  ],
  [
    'HTTP 400',
    { kind: 'http', status: 400 },
    { refused: expect.stringMatching(/^gRPC INTERNAL: HTTP 400 without a gRPC status from URL/) },
  ],
  ['HTTP 302', { kind: 'http', status: 302 }, { refused: expect.stringMatching(/^gRPC UNKNOWN: HTTP 302 without a gRPC status from URL/) }],
  [
    'HTTP 200 from something that does not speak gRPC',
    { kind: 'http', status: 200 },
    { retry: 'HTTP 200 without a gRPC status from URL (no content type): what answers there is no OTLP/gRPC receiver', afterMs: undefined },
  ],
  [
    'RESOURCE_EXHAUSTED of a message that is too large',
    { kind: 'answer', status: 8, message: 'grpc: received message larger than max (5000000 vs. 4194304)' },
    { too_large: 'gRPC RESOURCE_EXHAUSTED from URL: grpc: received message larger than max (5000000 vs. 4194304)' },
  ],
  ['HTTP 413', { kind: 'http', status: 413 }, { too_large: 'HTTP 413 without a gRPC status from URL' }],
];

describe('GrpcTransport', () => {
  it.each(MATRIX)('classifies %s', async (_name, behaviour, expected) => {
    const server = await MisbehavingGrpcServer.start();
    server.behave = () => behaviour;
    expect(summary(await transportTo(server).send(request(), NEVER))).toEqual(expected);
    expect(server.calls).toHaveLength(1);
  });

  it.each([
    { name: 'closes the connection', behaviour: { kind: 'reset' } },
    { name: 'closes the connection in the middle of its answer', behaviour: { kind: 'half_answer' } },
    { name: 'does not answer', behaviour: { kind: 'blackhole' } },
  ] as const)('wants another attempt when the receiver $name', async ({ behaviour }) => {
    const server = await MisbehavingGrpcServer.start();
    server.behave = () => behaviour;
    const transport = transportTo(server, 200);
    expect(await transport.send(request(), NEVER)).toMatchObject({ kind: 'retry' });
    server.behave = () => ({ kind: 'answer', status: 0 });
    expect(summary(await transport.send(request(), NEVER))).toEqual(accepted);
  });

  it('sends the message with its length, encoding, deadline and metadata', async () => {
    const server = await MisbehavingGrpcServer.start();
    const transport = transportTo(server);
    await transport.send(request(), NEVER);
    await transport.send(request({ body: gzipSync('abc'), contentEncoding: 'gzip' }), NEVER);
    expect(server.calls.map(({ message }) => message.toString())).toEqual(['body', 'abc']);
    expect(server.calls[1]?.headers).toMatchObject({
      ':path': '/opentelemetry.proto.collector.metrics.v1.MetricsService/Export',
      'content-type': 'application/grpc',
      'grpc-encoding': 'gzip',
      'grpc-timeout': '5000m',
      te: 'trailers',
      'user-agent': 'neuron-otel/test',
      'x-tenant': 'a',
    });
    expect(server.calls[0]?.headers).not.toHaveProperty('grpc-encoding');
  });

  it('keeps its connection, and makes a new one after it was closed or asked to leave', async () => {
    const server = await MisbehavingGrpcServer.start();
    const transport = transportTo(server);
    for (let index = 0; index < 3; index += 1) await transport.send(request(), NEVER);
    expect(server.connections).toBe(1);
    server.goAway();
    await vi.waitFor(async () => {
      expect(summary(await transport.send(request(), NEVER))).toEqual(accepted);
      expect(server.connections).toBe(2);
    });
    server.dropConnections();
    await vi.waitFor(async () => {
      expect(summary(await transport.send(request(), NEVER))).toEqual(accepted);
      expect(server.connections).toBe(3);
    });
  });

  it('refuses what was queued as JSON', async () => {
    const server = await MisbehavingGrpcServer.start();
    expect(summary(await transportTo(server).send(request({ contentType: 'application/json' }), NEVER))).toEqual({
      refused: 'queued as application/json, which gRPC does not carry',
    });
  });

  it('speaks TLS to https endpoints', async () => {
    const tls = { cert: certificateText('server.crt'), key: certificateText('server.key') };
    const server = await MisbehavingGrpcServer.start(tls);
    expect(summary(await transportTo(server, 5000, { ca_file: certificatePath('server.crt') }).send(request(), NEVER))).toEqual(accepted);
    expect(summary(await transportTo(await MisbehavingGrpcServer.start(tls)).send(request(), NEVER))).toEqual({
      retry:
        'no response from URL: DEPTH_ZERO_SELF_SIGNED_CERT (no trusted authority signed the certificate of the receiver: set tls.ca_file)',
      afterMs: undefined,
    });
  });
});
