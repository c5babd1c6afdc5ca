import { describe, expect, it } from 'vitest';
import { otlpJson } from '../../../exporters/otlp/json.ts';
import { ProtobufEncoder } from '../../../exporters/otlp/protobuf.ts';
import { metricsRequestFormat } from '../../../exporters/otlp/request-format.ts';
import { UNLIMITED } from '../../../exporters/otlp/requests.ts';
import { decodeRequest } from '../../support/otlp-decode.ts';
import { everyKind, gauge, point, resourceMetrics } from './batches.ts';

const PROTOBUF = 'application/x-protobuf';
const JSON_TYPE = 'application/json';

function protobuf(batch = everyKind()): Buffer {
  return new ProtobufEncoder().encode(batch, UNLIMITED).requests[0]?.body ?? Buffer.alloc(0);
}

/** Divides until nothing can be divided any more. */
function pieces(body: Buffer, contentType: string): { readonly body: Buffer; readonly points: number }[] {
  const parts = metricsRequestFormat.split(body, contentType);
  return parts === undefined
    ? [{ body, points: 1 }]
    : parts.flatMap((part) => (part.points === 1 ? [part] : pieces(part.body, contentType)));
}

describe('bodies in protobuf', () => {
  it('are merged into one whose points are those of all, in order', () => {
    const merged = metricsRequestFormat.merge([protobuf(), protobuf()], PROTOBUF) ?? Buffer.alloc(0);
    expect(decodeRequest(merged)).toEqual([...decodeRequest(protobuf()), ...decodeRequest(protobuf())]);
  });

  it('are divided with no point lost, changed or moved, down to single points', () => {
    const whole = decodeRequest(protobuf());
    const single = pieces(protobuf(), PROTOBUF);
    expect(single).toHaveLength(13);
    expect(single.flatMap(({ body }) => decodeRequest(body))).toEqual(whole);
  });

  it('are divided into parts that have the points they are counted for', () => {
    const points = Array.from({ length: 5 }, (_, index) => point(index));
    const body = protobuf([resourceMetrics({}, [gauge('a', points), gauge('b', points)]), resourceMetrics({ c: 1 }, [gauge('c', points)])]);
    const parts = metricsRequestFormat.split(body, PROTOBUF) ?? [];
    expect(parts.map((part) => part.points)).toEqual([10, 5]);
    expect(parts.map((part) => decodeRequest(part.body).length)).toEqual([10, 5]);
  });

  it('cannot be divided when they hold one point', () => {
    expect(metricsRequestFormat.split(protobuf([resourceMetrics({ a: 1 }, [gauge('one', [point(1)])])]), PROTOBUF)).toBeUndefined();
  });

  it('cannot be divided when they are no requests', () => {
    expect(metricsRequestFormat.split(Buffer.from('hello'), PROTOBUF)).toBeUndefined();
  });
});

describe('bodies in JSON', () => {
  it('are merged into one whose resources are those of all, in order', () => {
    const [first, ...rest] = everyKind();
    const merged = metricsRequestFormat.merge([otlpJson(first === undefined ? [] : [first]), otlpJson(rest)], JSON_TYPE);
    expect(merged?.toString()).toBe(otlpJson(everyKind()).toString());
  });

  it('are not merged when they are written in another form', () => {
    expect(metricsRequestFormat.merge([otlpJson(everyKind()), Buffer.from('{"resourceMetrics": []}')], JSON_TYPE)).toBeUndefined();
  });

  it('are divided with no point lost, down to single points', () => {
    const single = pieces(otlpJson(everyKind()), JSON_TYPE);
    expect(single).toHaveLength(13);
    for (const { body } of single) expect(body.toString().match(/"timeUnixNano"/g)).toHaveLength(1);
  });
});
