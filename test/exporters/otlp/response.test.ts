import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { bytesField, numberField, protobufFields } from '../../../exporters/otlp/protobuf-reader.ts';
import { attempt, retryAfterMs } from '../../../exporters/delivery/outcome.ts';
import { classifyAccepted, classifyGrpc, classifyHttp, statusMessage } from '../../../exporters/otlp/response.ts';
import { ProtobufWriter } from '../../../exporters/wire/protobuf-writer.ts';
import { ManualClock } from '../../support/manual-clock.ts';

const NOW_MS = Date.UTC(2026, 10, 22, 12);
const contentType = fc.constantFrom(undefined, 'application/json', 'application/x-protobuf', 'text/html');
const bytes = fc.uint8Array({ maxLength: 200 }).map((array) => Buffer.from(array));

describe('answers of receivers', () => {
  it('are classified whatever they hold, and never reject more points than were sent', () => {
    fc.assert(
      fc.property(bytes, contentType, fc.nat(1000), (body, type, points) => {
        const outcome = classifyAccepted(body, points);
        const rejected = outcome.kind === 'accepted' ? outcome.rejectedPoints : Number.NaN;
        expect(rejected).toBeGreaterThanOrEqual(0);
        expect(rejected).toBeLessThanOrEqual(points);
        expect(statusMessage(body, type).length).toBeLessThanOrEqual(300);
      }),
      { numRuns: 2000 },
    );
  });

  it('are classified whatever JSON they hold', () => {
    const partial = fc.record({ rejectedDataPoints: fc.jsonValue(), errorMessage: fc.jsonValue() }, { requiredKeys: [] });
    fc.assert(
      fc.property(fc.record({ partialSuccess: fc.oneof(partial, fc.jsonValue()), message: fc.jsonValue() }), (document) => {
        const body = Buffer.from(JSON.stringify(document));
        expect(classifyAccepted(body, 10)).toMatchObject({ kind: 'accepted' });
        expect(typeof statusMessage(body, 'application/json; charset=utf-8')).toBe('string');
      }),
    );
  });

  it('are classified whatever gRPC trailers they hold', () => {
    fc.assert(
      fc.property(fc.string(), fc.string(), bytes, (code, message, details) => {
        const trailers = { 'grpc-status': code, 'grpc-message': message, 'grpc-status-details-bin': details.toString('base64') };
        const response = { httpStatus: 200, headers: {}, trailers, message: Buffer.alloc(0), url: new URL('http://h'), points: 1 };
        expect(['retry', 'refused', 'too_large', 'accepted']).toContain(classifyGrpc(response).kind);
      }),
    );
  });
});

describe('a refusal', () => {
  const refuse = (status: number, url: string, headers: Readonly<Record<string, string>> = {}, text = ''): string => {
    const outcome = classifyHttp({
      status,
      headers: { 'content-type': 'text/plain', ...headers },
      body: { kind: 'whole', bytes: Buffer.from(text) },
      url: new URL(url),
      points: 1,
      nowMs: NOW_MS,
    });
    return outcome.kind === 'refused' ? outcome.error.message : outcome.kind;
  };

  it.each([301, 302, 303, 307, 308])('with status %s names where it points to, without secrets', (status) => {
    const location = { location: 'https://user:S3CRET@collector.example/v1/metrics?token=S3CRET' };
    const message = refuse(status, 'http://h/v1/metrics', location);
    expect(message).toContain('a redirect to https://[redacted]@collector.example/v1/metrics?[redacted] is not followed');
    expect(message).not.toContain('S3CRET');
  });

  it('resolves a relative location', () => {
    expect(refuse(308, 'http://h/v1/metrics', { location: '/otlp' })).toContain('a redirect to http://h/otlp is not followed');
  });

  it('never shows the query or the user info of the endpoint', () => {
    expect(refuse(400, 'http://user:S3CRET@h/v1/metrics?token=S3CRET')).toBe('HTTP 400 from http://[redacted]@h/v1/metrics?[redacted]');
  });

  it.each([
    ['https://monitoring.eu-west-1.amazonaws.com/v1/metrics', {}, ''],
    ['https://monitoring.cn-north-1.amazonaws.com.cn/v1/metrics', {}, ''],
    ['http://localhost:4318/v1/metrics', { 'content-type': 'application/json' }, '{"message":"Missing Authentication Token"}'],
    ['http://gateway/v1/metrics', { 'x-amzn-errortype': 'MissingAuthenticationTokenException' }, ''],
  ])('of AWS speaks of SigV4: %s', (url, headers, text) => {
    expect(refuse(403, url, headers, text)).toContain('SigV4');
  });

  it('does not take every name that contains amazonaws.com for AWS', () => {
    expect(refuse(403, 'https://amazonaws.com.example/v1/metrics')).not.toContain('SigV4');
  });

  it('of a path that does not end in /v1/metrics names the path', () => {
    expect(refuse(404, 'http://h/')).toContain('paths of OTLP metrics end in /v1/metrics');
  });

  it('of HTTP on a TLS port names https', () => {
    expect(refuse(400, 'http://h:1/v1/metrics', {}, 'Client sent an HTTP request to an HTTPS server.')).toContain('https://');
    expect(refuse(400, 'http://h:1/v1/metrics', {}, 'The plain HTTP request was sent to HTTPS port')).toContain('https://');
  });
});

describe('Retry-After', () => {
  it.each([
    ['0', undefined, 0],
    ['  7 ', undefined, 7000],
    ['3601', undefined, 3_600_000],
    ['Sun, 22 Nov 2026 12:00:10 GMT', undefined, 10_000],
    ['Sun, 22 Nov 2026 12:00:10 GMT', 'Sun, 22 Nov 2026 12:00:04 GMT', 6000],
    ['Sunday, 22-Nov-26 12:00:10 GMT', undefined, 10_000],
    ['Sun Nov 22 12:00:10 2026 GMT', undefined, 10_000],
    ['Sun, 22 Nov 2026 12:00:10 GMT', 'no date', 10_000],
    ['1.5', undefined, undefined],
    ['-1', undefined, undefined],
    ['', undefined, undefined],
    ['soon', undefined, undefined],
    [undefined, undefined, undefined],
  ])('%s, received with Date %s, is %s ms', (value, date, expected) => {
    expect(retryAfterMs(value, date, NOW_MS)).toBe(expected);
  });
});

describe('protobufFields', () => {
  it('reads what was written', () => {
    const writer = new ProtobufWriter();
    writer.tag(1, 0);
    writer.varint(-3);
    writer.string(2, 'text');
    writer.tag(3, 1);
    writer.double(1.5);
    writer.tag(4, 5);
    const message = Buffer.concat([writer.take(), Buffer.of(7, 0, 0, 0)]);
    expect([...protobufFields(message)].map(({ number, value }) => ({ number, value }))).toEqual([
      { number: 1, value: -3 },
      { number: 2, value: Buffer.from('text') },
      { number: 3, value: 1.5 },
      { number: 4, value: 7 },
    ]);
    expect(numberField(message, 1)).toBe(-3);
    expect(bytesField(message, 2)?.toString()).toBe('text');
    expect(bytesField(message, 1)).toBeUndefined();
  });

  it('stops where a message is cut off, wherever that is', () => {
    const writer = new ProtobufWriter();
    writer.string(1, 'first');
    writer.string(2, 'second');
    const message = writer.take();
    for (let size = 0; size < message.length; size += 1) {
      const fields = [...protobufFields(message.subarray(0, size))];
      expect(fields).toHaveLength(size < 7 ? 0 : 1);
    }
  });
});

describe('attempt', () => {
  it('leaves nothing behind on the signal that lives for ever', async () => {
    const listeners = new Set<unknown>();
    const { signal } = new AbortController();
    signal.addEventListener = (_type: string, listener: unknown) => void listeners.add(listener);
    signal.removeEventListener = (_type: string, listener: unknown) => void listeners.delete(listener);
    const options = { signal, timeoutMs: 1000, clock: new ManualClock(), target: 'URL' };
    await attempt(options, async () => ({ kind: 'accepted', rejectedPoints: 0, message: '' }));
    await attempt(options, () => Promise.reject(new Error('broken')));
    expect(listeners.size).toBe(0);
  });

  it('ends at once when the signal had come before', async () => {
    const outcome = await attempt(
      { signal: AbortSignal.abort(), timeoutMs: 1000, clock: new ManualClock(), target: 'URL' },
      async (signal) => {
        signal.throwIfAborted();
        return { kind: 'accepted', rejectedPoints: 0, message: '' };
      },
    );
    expect(outcome.kind).toBe('retry');
  });
});
