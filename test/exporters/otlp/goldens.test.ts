import { JsonMetricsSerializer, ProtobufMetricsSerializer } from '@opentelemetry/otlp-transformer';
import type { ResourceMetrics } from '@opentelemetry/sdk-metrics';
import { readdirSync } from 'node:fs';
import { resolve } from 'node:path';
import { describe, expect, it } from 'vitest';
import { JsonEncoder } from '../../../exporters/otlp/json.ts';
import { planRequests } from '../../../exporters/otlp/plan.ts';
import type { WireFormat } from '../../../exporters/otlp/plan.ts';
import { ProtobufEncoder } from '../../../exporters/otlp/protobuf.ts';
import { expectGolden } from '../../support/golden.ts';
import { Replay, fixtureDocuments } from '../../support/replay.ts';
import { everyKind, gauge, point, resourceMetrics } from './batches.ts';

const FIXTURES = readdirSync(resolve(import.meta.dirname, '../../fixtures/neuron-monitor'), { withFileTypes: true })
  .filter((entry) => entry.isDirectory())
  .map(({ name }) => name);

const FORMATS = [
  { name: 'protobuf', create: (): WireFormat => new ProtobufEncoder(), stock: ProtobufMetricsSerializer },
  { name: 'JSON', create: (): WireFormat => new JsonEncoder(), stock: JsonMetricsSerializer },
] as const;

function encode(encoder: WireFormat, resources: readonly ResourceMetrics[]): Buffer {
  const { requests } = planRequests(resources, encoder);
  return encoder.assemble(requests[0] ?? { resources: [], points: 0 });
}

/** Every kind of point, and the values that text formats find hard. */
function batch(): readonly ResourceMetrics[] {
  const odd = [Number.NaN, Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY, -0, 5e-324, 1.7976931348623157e308].map((value) =>
    point(value),
  );
  return [...everyKind(), resourceMetrics({}, [gauge('odd', odd), gauge('empty', [])])];
}

describe('what goes over the wire', () => {
  it('is this, in JSON', () => {
    expectGolden('otlp/every-kind.json', JSON.parse(encode(new JsonEncoder(), batch()).toString()));
  });

  it('is this, in protobuf', () => {
    const hex = encode(new ProtobufEncoder(), batch()).toString('hex');
    expectGolden('otlp/every-kind.hex', `${hex.match(/.{1,120}/g)?.join('\n')}\n`);
  });
});

describe.each(FORMATS)('$name encoder', ({ create, stock }) => {
  it.each(FIXTURES)('writes each collection of a recorded host as the stock serializer does: %s', async (fixture) => {
    const encoder = create();
    const replay = new Replay();
    let points = 0;
    for (const document of fixtureDocuments(fixture)) {
      for (const resource of await replay.feed(document)) {
        expect(encode(encoder, [resource])).toEqual(Buffer.from(stock.serializeRequest(resource) ?? []));
        points += resource.scopeMetrics.length;
      }
    }
    expect(points).toBeGreaterThan(0);
  });
});
