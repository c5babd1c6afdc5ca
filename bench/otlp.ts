/**
 * Encoding 10,000 data points into one OTLP request: the agent's encoders beside the serializers of the OpenTelemetry SDK,
 * interleaved. Between two rounds only values and times change, as between two collections of living series.
 */
import type { Attributes } from '@opentelemetry/api';
import { ValueType } from '@opentelemetry/api';
import { JsonMetricsSerializer, ProtobufMetricsSerializer } from '@opentelemetry/otlp-transformer';
import { resourceFromAttributes } from '@opentelemetry/resources';
import { AggregationTemporality, DataPointType } from '@opentelemetry/sdk-metrics';
import type { MetricData, ResourceMetrics } from '@opentelemetry/sdk-metrics';
import { JsonEncoder } from '../exporters/otlp/json.ts';
import { planRequests } from '../exporters/otlp/plan.ts';
import type { WireFormat } from '../exporters/otlp/plan.ts';
import { ProtobufEncoder } from '../exporters/otlp/protobuf.ts';
import { NumberPoint } from '../src/series.ts';
import type { SampleTime } from '../src/series.ts';
import { closingLine, describeSummary, summarize } from './statistics.ts';

const METRICS = 40;
const POINTS_PER_METRIC = 250;
const WARM_UP_ROUNDS = 60;
const ROUNDS = 101;

interface Contender {
  readonly name: string;
  encode(resource: ResourceMetrics): Uint8Array | undefined;
  readonly samplesMs: number[];
}

export function run(): void {
  const living = livingSeries();
  const { resource } = living;
  const protobuf = { ours: contender('ours protobuf', ownEncoder(new ProtobufEncoder())), peer: stockProtobuf() };
  const json = { ours: contender('ours JSON', ownEncoder(new JsonEncoder())), peer: stockJson() };
  const contenders = [protobuf.ours, protobuf.peer, json.ours, json.peer];
  for (let round = 0; round < WARM_UP_ROUNDS + ROUNDS; round += 1) {
    advance(living, round);
    for (const one of contenders) {
      const startedMs = performance.now();
      one.encode(resource);
      if (round >= WARM_UP_ROUNDS) one.samplesMs.push(performance.now() - startedMs);
    }
  }
  assertSameBytes(protobuf.ours, protobuf.peer, resource);
  assertSameBytes(json.ours, json.peer, resource);
  for (const { name, samplesMs } of contenders) console.log(describeSummary(name, summarize(samplesMs), 'ms'));
  console.log(compared('otlp/encode_10k', protobuf, '1ms'));
  console.log(compared('otlp/encode_json_10k', json, 'peer'));
}

function contender(name: string, encode: Contender['encode']): Contender {
  return { name, encode, samplesMs: [] };
}

function ownEncoder(format: WireFormat): Contender['encode'] {
  return (resource) => {
    const { requests } = planRequests([resource], format);
    return requests[0] === undefined ? undefined : format.assemble(requests[0]);
  };
}

function stockProtobuf(): Contender {
  return contender('stock protobuf', (resource) => ProtobufMetricsSerializer.serializeRequest(resource));
}

function stockJson(): Contender {
  return contender('stock JSON', (resource) => JsonMetricsSerializer.serializeRequest(resource));
}

function assertSameBytes(ours: Contender, peer: Contender, resource: ResourceMetrics): void {
  const bytes = Buffer.from(ours.encode(resource) ?? []);
  if (!bytes.equals(peer.encode(resource) ?? new Uint8Array())) throw new Error(`${ours.name} and ${peer.name} differ`);
}

function compared(measure: string, { ours, peer }: { readonly ours: Contender; readonly peer: Contender }, goal: string): string {
  return closingLine({
    measure,
    ours: summarize(ours.samplesMs).median,
    peer: summarize(peer.samplesMs).median,
    better: 'less',
    goal,
  });
}

interface LivingSeries {
  readonly resource: ResourceMetrics;
  readonly points: readonly NumberPoint[];
  readonly sampled: SampleTime;
}

/** Half gauges, half counters, each point with five attributes of its own, about 160 bytes of protobuf. */
function livingSeries(): LivingSeries {
  const points: NumberPoint[] = [];
  const sampled: SampleTime = { endTime: [1_795_000_000, 0] };
  const metrics = Array.from({ length: METRICS }, (_, metric) => {
    const own = Array.from({ length: POINTS_PER_METRIC }, (_unused, index) => livePoint(metric, index, sampled));
    points.push(...own);
    return metricData(metric, own);
  });
  const resource = resourceFromAttributes({ 'host.name': 'bench', 'service.name': 'neuron-otel' });
  return { resource: { resource, scopeMetrics: [{ scope: { name: 'bench', version: '0.1.0' }, metrics }] }, points, sampled };
}

function livePoint(metric: number, index: number, sampled: SampleTime): NumberPoint {
  const attributes: Attributes = Object.freeze({
    'neuron.device.index': index % 16,
    'neuron.core.index': index % 128,
    'neuron.memory.kind': 'model_shared_scratchpad',
    'neuron.memory.location': index % 2 === 0 ? 'device' : 'host',
    'process.pid': 40_000 + index + metric,
  });
  return new NumberPoint(attributes, [1_795_000_000, 0], sampled);
}

function metricData(index: number, dataPoints: NumberPoint[]): MetricData {
  const isGauge = index % 2 === 0;
  const base = {
    descriptor: {
      name: `neuron.bench.${index}`,
      description: 'A number.',
      unit: '1',
      valueType: isGauge ? ValueType.DOUBLE : ValueType.INT,
    },
    aggregationTemporality: AggregationTemporality.CUMULATIVE,
    dataPoints,
  };
  return isGauge ? { ...base, dataPointType: DataPointType.GAUGE } : { ...base, dataPointType: DataPointType.SUM, isMonotonic: true };
}

function advance({ points, sampled }: LivingSeries, round: number): void {
  sampled.endTime = [1_795_000_000 + round, 123_456_789];
  for (const [index, point] of points.entries()) {
    point.value = Math.floor(index / POINTS_PER_METRIC) % 2 === 0 ? Math.sin(index + round) : index * 1000 + round;
  }
}
