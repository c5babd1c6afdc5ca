import { gzipSync } from 'node:zlib';
import { afterEach, describe, expect, it } from 'vitest';
import { HeaderSource, TlsSource } from '../../../exporters/delivery/credentials.ts';
import { OTLP_DEFAULTS } from '../../../exporters/otlp/settings.ts';
import { Secret } from '../../../src/secret.ts';
import { HttpTransport } from '../../../exporters/delivery/http-transport.ts';
import { ProtobufWriter } from '../../../exporters/wire/protobuf-writer.ts';
import type { DeliveryRequest } from '../../../exporters/delivery/request.ts';
import type { SendOutcome } from '../../../exporters/delivery/outcome.ts';
import { systemClock } from '../../../src/host.ts';
import { silentLogger } from '../../../src/log.ts';
import { httpConnectionRemedy } from '../../../exporters/otlp/remedies.ts';
import { classifyHttp } from '../../../exporters/otlp/response.ts';
import { MisbehavingOtlpServer } from '../../support/misbehaving-otlp-server.ts';
import type { Behaviour } from '../../support/misbehaving-otlp-server.ts';

const MIB = 1024 * 1024;
const NEVER = new AbortController().signal;
const PROTOBUF = { 'content-type': 'application/x-protobuf' };
const HTML = { 'content-type': 'text/html' };
const TEXT = { 'content-type': 'text/plain' };
const JSON_TYPE = { 'content-type': 'application/json' };

const open: AsyncDisposable[] = [];
afterEach(async () => {
  for (const one of open.splice(0).toReversed()) await one[Symbol.asyncDispose]();
});

async function transportTo(behaviour: Behaviour, timeoutMs = 5000) {
  const server = await MisbehavingOtlpServer.start();
  server.behave = () => behaviour;
  const transport = new HttpTransport({
    endpoint: server.url,
    headers: new HeaderSource([['X-Tenant', new Secret('a')]], silentLogger),
    tls: new TlsSource(OTLP_DEFAULTS.tls, silentLogger),
    timeoutMs,
    userAgent: 'neuron-otel/test',
    clock: systemClock,
    classify: classifyHttp,
    remedy: httpConnectionRemedy,
  });
  open.push(server, { [Symbol.asyncDispose]: () => transport.close() });
  return { server, transport };
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
  const message = outcome.error.message.replaceAll(/http:\/\/localhost:\d+\/v1\/metrics/g, 'URL');
  if (outcome.kind === 'retry') return { retry: message, afterMs: outcome.retryAfterMs };
  return { [outcome.kind]: message };
}

function protobufPartialSuccess(rejected: number, message: string): Buffer {
  const writer = new ProtobufWriter();
  writer.message(1, () => {
    writer.tag(1, 0);
    writer.varint(rejected);
    writer.string(2, message);
  });
  return writer.take();
}

function protobufStatus(message: string): Buffer {
  const writer = new ProtobufWriter();
  writer.tag(1, 0);
  writer.varint(3);
  writer.string(2, message);
  return writer.take();
}

const serverDate = 'Sun, 22 Nov 2026 12:00:00 GMT';
const accepted = { accepted: 0, message: '' };

/** Bodies of a success that no OTLP receiver sends. */
const NO_ANSWERS: readonly {
  readonly name: string;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: string;
  readonly what: string;
}[] = [
  {
    name: 'a login page',
    headers: HTML,
    body: '<!DOCTYPE html><title>Sign in</title>',
    what: 'text/html: <!DOCTYPE html><title>Sign in</title>',
  },
  {
    name: 'a page that claims to be protobuf',
    headers: PROTOBUF,
    body: '\n<html>Sign in</html>',
    what: 'application/x-protobuf: <html>Sign in</html>',
  },
  { name: 'a page without a content type', headers: {}, body: '<html>Sign in</html>', what: 'no content type: <html>Sign in</html>' },
  { name: 'JSON that is none', headers: JSON_TYPE, body: 'hello', what: 'application/json: hello' },
  { name: 'a JSON list', headers: JSON_TYPE, body: '[]', what: 'application/json: []' },
  { name: 'plain text', headers: TEXT, body: 'hi', what: 'text/plain: hi' },
];

/** OTLP specification: "Full Success", "Partial Success", "Failures", "Retryable Response Codes", "OTLP/HTTP Throttling". */
const MATRIX: readonly (readonly [string, Behaviour, unknown])[] = [
  ['200', { kind: 'respond', status: 200 }, accepted],
  ['202', { kind: 'respond', status: 202 }, accepted],
  ['204', { kind: 'respond', status: 204 }, accepted],
  ['200 with a body that is no response', { kind: 'respond', status: 200, headers: PROTOBUF, body: 'hello' }, accepted],
  ['200 with an empty JSON object', { kind: 'respond', status: 200, headers: JSON_TYPE, body: '{}' }, accepted],
  [
    '200 with OTLP of the wrong content type',
    { kind: 'respond', status: 200, headers: TEXT, body: protobufPartialSuccess(0, '') },
    accepted,
  ],
  ['200 with JSON of the wrong content type', { kind: 'respond', status: 200, headers: TEXT, body: '{"partialSuccess":{}}' }, accepted],
  ['200 with a page and no content', { kind: 'respond', status: 200, headers: HTML }, accepted],
  ...NO_ANSWERS.map(
    ({ name, headers, body, what }) =>
      [
        `200 with ${name}`,
        { kind: 'respond', status: 200, headers, body },
        {
          retry: `HTTP 200 from URL is no answer of an OTLP receiver (${what}): is a login page or a proxy in front of it, or is the path wrong?`,
          afterMs: undefined,
        },
      ] as const,
  ),
  [
    '200 with partial success',
    { kind: 'respond', status: 200, headers: PROTOBUF, body: protobufPartialSuccess(3, 'too old') },
    { accepted: 3, message: 'too old' },
  ],
  [
    '200 with a warning only',
    { kind: 'respond', status: 200, headers: PROTOBUF, body: protobufPartialSuccess(0, 'slow down') },
    { accepted: 0, message: 'slow down' },
  ],
  [
    '200 that rejects more points than were sent',
    { kind: 'respond', status: 200, headers: PROTOBUF, body: protobufPartialSuccess(99, 'all') },
    { accepted: 10, message: 'all' },
  ],
  [
    '200 that rejects a negative number of points',
    { kind: 'respond', status: 200, headers: PROTOBUF, body: protobufPartialSuccess(-5, '') },
    accepted,
  ],
  [
    '200 with partial success in JSON',
    { kind: 'respond', status: 200, headers: JSON_TYPE, body: '{"partialSuccess":{"rejectedDataPoints":"3","errorMessage":"too\\nold"}}' },
    { accepted: 3, message: 'too old' },
  ],
  [
    '200 with partial success, compressed',
    {
      kind: 'respond',
      status: 200,
      headers: { ...PROTOBUF, 'content-encoding': 'gzip' },
      body: gzipSync(protobufPartialSuccess(2, 'x')),
    },
    { accepted: 2, message: 'x' },
  ],
  [
    '200 with 5 MiB',
    { kind: 'respond', status: 200, body: Buffer.alloc(5 * MIB) },
    { refused: 'HTTP 200 from URL with a response above 4194304 bytes' },
  ],
  ['200 with 4 MiB', { kind: 'respond', status: 200, body: Buffer.alloc(4 * MIB) }, accepted],
  [
    '200 with a compressed bomb',
    { kind: 'respond', status: 200, headers: { 'content-encoding': 'gzip' }, body: gzipSync(Buffer.alloc(64 * MIB)) },
    { refused: 'HTTP 200 from URL with a response above 4194304 bytes' },
  ],
  [
    '200 with a body that is not compressed as it says',
    { kind: 'respond', status: 200, headers: { 'content-encoding': 'gzip' }, body: 'plain' },
    accepted,
  ],
  ['200 cut off in the middle of the body', { kind: 'half_response' }, accepted],
  ...[429, 502, 503, 504].map(
    (status) => [`${status}`, { kind: 'respond', status }, { retry: `HTTP ${status} from URL`, afterMs: undefined }] as const,
  ),
  [
    '503 with Retry-After in seconds',
    { kind: 'respond', status: 503, headers: { 'retry-after': '120' } },
    { retry: 'HTTP 503 from URL', afterMs: 120_000 },
  ],
  [
    '429 with Retry-After as a date',
    { kind: 'respond', status: 429, headers: { 'retry-after': 'Sun, 22 Nov 2026 12:01:30 GMT', date: serverDate } },
    { retry: 'HTTP 429 from URL', afterMs: 90_000 },
  ],
  [
    '429 with Retry-After in the past',
    { kind: 'respond', status: 429, headers: { 'retry-after': 'Sun, 22 Nov 2026 11:00:00 GMT', date: serverDate } },
    { retry: 'HTTP 429 from URL', afterMs: 0 },
  ],
  [
    '503 with Retry-After of ten years',
    { kind: 'respond', status: 503, headers: { 'retry-after': '315360000' } },
    { retry: 'HTTP 503 from URL', afterMs: 3_600_000 },
  ],
  [
    '503 with Retry-After that is neither',
    { kind: 'respond', status: 503, headers: { 'retry-after': 'soon' } },
    { retry: 'HTTP 503 from URL', afterMs: undefined },
  ],
  [
    '503 with a negative Retry-After',
    { kind: 'respond', status: 503, headers: { 'retry-after': '-1' } },
    { retry: 'HTTP 503 from URL', afterMs: undefined },
  ],
  [
    '503 with a message',
    { kind: 'respond', status: 503, headers: PROTOBUF, body: protobufStatus('overloaded') },
    { retry: 'HTTP 503 from URL: overloaded', afterMs: undefined },
  ],
  ['503 with 5 MiB', { kind: 'respond', status: 503, body: Buffer.alloc(5 * MIB) }, { retry: 'HTTP 503 from URL', afterMs: undefined }],
  ...[400, 402, 406, 408, 409, 410, 411, 414, 422, 425, 431, 451, 500, 501, 505, 507, 508, 511, 599].map(
    (status) => [`${status}`, { kind: 'respond', status }, { refused: `HTTP ${status} from URL` }] as const,
  ),
  ['413', { kind: 'respond', status: 413 }, { too_large: 'HTTP 413 from URL' }],
  ...[401, 403].map(
    (status) =>
      [
        `${status}`,
        { kind: 'respond', status },
        { refused: `HTTP ${status} from URL (the receiver wants other credentials: check headers, usually authorization or an API key)` },
      ] as const,
  ),
  ...[404, 405].map(
    (status) =>
      [
        `${status}`,
        { kind: 'respond', status },
        { refused: `HTTP ${status} from URL (no OTLP receiver is at this path: check the endpoint against the documents of the receiver)` },
      ] as const,
  ),
  [
    '400 with a message',
    { kind: 'respond', status: 400, headers: PROTOBUF, body: protobufStatus('bad data') },
    { refused: 'HTTP 400 from URL: bad data' },
  ],
  [
    '400 with a message in JSON',
    { kind: 'respond', status: 400, headers: JSON_TYPE, body: '{"message":"bad data"}' },
    { refused: 'HTTP 400 from URL: bad data' },
  ],
  [
    '400 with text that would fake a log line',
    { kind: 'respond', status: 400, headers: { 'content-type': 'text/plain' }, body: 'bad\n\u001b[31mdata' },
    { refused: 'HTTP 400 from URL: bad [31mdata' },
  ],
  ...[301, 302, 303, 307, 308].map(
    (status) => [`${status}`, { kind: 'respond', status, headers: { location: '/elsewhere?token=S3CRET' } }, expect.anything()] as const,
  ),
  ['304', { kind: 'respond', status: 304 }, expect.anything()],
  [
    'a connection closed without a response',
    { kind: 'reset' },
    expect.objectContaining({ retry: expect.stringMatching(/^no response from URL: ECONNRESET/) }),
  ],
];

describe('HttpTransport', () => {
  it.each(MATRIX)('classifies %s', async (_name, behaviour, expected) => {
    const { transport, server } = await transportTo(behaviour);
    expect(summary(await transport.send(request(), NEVER))).toEqual(expected);
    expect(server.attempts).toBe(1);
  });

  it.each([
    { name: 'no answer', behaviour: { kind: 'blackhole' }, expected: { retry: 'no response from URL within 150 ms', afterMs: undefined } },
    { name: 'a slowly dripping 200', behaviour: { kind: 'drip', status: 200, everyMs: 10 }, expected: accepted },
    {
      name: 'a slowly dripping 503',
      behaviour: { kind: 'drip', status: 503, everyMs: 10 },
      expected: { retry: 'HTTP 503 from URL', afterMs: undefined },
    },
  ] as const)('ends an attempt after its timeout: $name', async ({ behaviour, expected }) => {
    const { transport } = await transportTo(behaviour, 150);
    expect(summary(await transport.send(request(), NEVER))).toEqual(expected);
  });

  it('wants a refused connection tried again', async () => {
    const { transport, server } = await transportTo({ kind: 'respond', status: 200 });
    await server.refuse();
    expect(summary(await transport.send(request(), NEVER))).toMatchObject({ retry: expect.stringContaining('ECONNREFUSED') });
  });

  it('ends when the signal says so', async () => {
    const { transport, server } = await transportTo({ kind: 'blackhole' });
    const controller = new AbortController();
    server.behave = () => {
      controller.abort();
      return { kind: 'blackhole' };
    };
    expect(await transport.send(request(), controller.signal)).toMatchObject({ kind: 'retry', isAnswered: false });
  });

  it('sends length, type, encoding, agent and headers', async () => {
    const { transport, server } = await transportTo({ kind: 'respond', status: 200 });
    await transport.send(request({ body: gzipSync('abc'), contentEncoding: 'gzip' }), NEVER);
    const [received] = server.accepted;
    expect(received?.body.toString()).toBe('abc');
    expect(received?.headers).toMatchObject({
      'content-length': String(gzipSync('abc').length),
      'content-type': 'application/x-protobuf',
      'content-encoding': 'gzip',
      'user-agent': 'neuron-otel/test',
      'x-tenant': 'a',
    });
    expect(received?.headers).not.toHaveProperty('transfer-encoding');
  });

  it('keeps its connection', async () => {
    const { transport, server } = await transportTo({ kind: 'respond', status: 200, body: 'answer' });
    for (let index = 0; index < 5; index += 1) await transport.send(request(), NEVER);
    expect(server.connections).toBe(1);
  });

  it('repeats at once on a new connection when the kept one turns out to be closed', async () => {
    const { transport, server } = await transportTo({ kind: 'respond', status: 200 });
    await transport.send(request(), NEVER);
    server.behave = (_request, index) => (index === 1 ? { kind: 'reset' } : { kind: 'respond', status: 200 });
    expect(summary(await transport.send(request(), NEVER))).toEqual(accepted);
    expect(server.connections).toBe(2);
  });

  it('does not use a connection again after a reply that was too large', async () => {
    const { transport, server } = await transportTo({ kind: 'respond', status: 200, body: Buffer.alloc(5 * MIB) });
    await transport.send(request(), NEVER);
    server.behave = () => ({ kind: 'respond', status: 200 });
    expect(summary(await transport.send(request(), NEVER))).toEqual(accepted);
    expect(server.connections).toBe(2);
  });
});
