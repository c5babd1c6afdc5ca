import { ProtobufMetricsSerializer } from '@opentelemetry/otlp-transformer';
import type { ResourceMetrics } from '@opentelemetry/sdk-metrics';
import { readdirSync } from 'node:fs';
import { resolve } from 'node:path';
import { describe, expect, it } from 'vitest';
import { ProtobufEncoder } from '../../../exporters/otlp/protobuf.ts';
import { UNLIMITED } from '../../../exporters/otlp/requests.ts';
import { expectGolden } from '../../support/golden.ts';
import { Replay, fixtureDocuments } from '../../support/replay.ts';
import { everyKind, gauge, point, resourceMetrics } from './batches.ts';

const FIXTURES = readdirSync(resolve(import.meta.dirname, '../../fixtures/neuron-monitor'), { withFileTypes: true })
  .filter((entry) => entry.isDirectory())
  .map(({ name }) => name);

function encode(encoder: ProtobufEncoder, resources: readonly ResourceMetrics[]): Buffer {
  return encoder.encode(resources, UNLIMITED).requests[0]?.body ?? Buffer.alloc(0);
}

/** Every kind of point, and the values that text formats find hard. */
function batch(): readonly ResourceMetrics[] {
  const odd = [Number.NaN, Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY, -0, 5e-324, 1.7976931348623157e308].map((value) =>
    point(value),
  );
  return [...everyKind(), resourceMetrics({}, [gauge('odd', odd), gauge('empty', [])])];
}

describe('the bytes of every kind of point', () => {
  it('equal the golden file', () => {
    const hex = encode(new ProtobufEncoder(), batch()).toString('hex');
    expectGolden('otlp/every-kind.hex', `${hex.match(/.{1,120}/g)?.join('\n')}\n`);
  });
});

describe('ProtobufEncoder', () => {
  it.each(FIXTURES)('writes each collection of a recorded host as the stock serializer does: %s', async (fixture) => {
    const encoder = new ProtobufEncoder();
    const replay = new Replay();
    let points = 0;
    for (const document of fixtureDocuments(fixture)) {
      for (const resource of await replay.feed(document)) {
        expect(encode(encoder, [resource])).toEqual(Buffer.from(ProtobufMetricsSerializer.serializeRequest(resource) ?? []));
        points += resource.scopeMetrics.length;
      }
    }
    expect(points).toBeGreaterThan(0);
  });
});
