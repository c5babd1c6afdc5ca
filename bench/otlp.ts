/**
 * Encoding 10,000 data points into one OTLP request: the agent's protobuf encoder beside the serializer of the OpenTelemetry SDK,
 * interleaved. In the steady case only values and times change between two rounds, as between two collections of living series; under
 * churn one of the 40 metrics gets new series before each round. JSON is written by the serializer of the SDK; its time is printed too.
 */
import type { Attributes } from '@opentelemetry/api';
import { ValueType } from '@opentelemetry/api';
import { JsonMetricsSerializer, ProtobufMetricsSerializer } from '@opentelemetry/otlp-transformer';
import { resourceFromAttributes } from '@opentelemetry/resources';
import { AggregationTemporality, DataPointType } from '@opentelemetry/sdk-metrics';
import type { MetricData, ResourceMetrics } from '@opentelemetry/sdk-metrics';
import { ProtobufEncoder } from '../exporters/otlp/protobuf.ts';
import { UNLIMITED } from '../exporters/otlp/requests.ts';
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
  const steady = { ours: contender('ours protobuf', ownEncoder()), peer: stockProtobuf('stock protobuf') };
  const churn = { ours: contender('ours protobuf, churn', ownEncoder()), peer: stockProtobuf('stock protobuf, churn') };
  const json = contender('stock JSON', (one) => JsonMetricsSerializer.serializeRequest(one));
  const contenders = [steady.ours, steady.peer, json];
  for (let round = 0; round < WARM_UP_ROUNDS + ROUNDS; round += 1) {
    advance(living, round);
    measure(contenders, resource, round);
  }
  for (let round = 0; round < WARM_UP_ROUNDS + ROUNDS; round += 1) {
    replaceSeries(living, round);
    advance(living, round);
    measure([churn.ours, churn.peer], resource, round);
  }
  assertSameBytes(steady.ours, steady.peer, resource);
  assertSameBytes(churn.ours, churn.peer, resource);
  for (const { name, samplesMs } of [...contenders, churn.ours, churn.peer]) console.log(describeSummary(name, summarize(samplesMs), 'ms'));
  console.log(compared('otlp/encode_10k', steady, '1ms'));
  console.log(compared('otlp/encode_10k_churn', churn, '2ms'));
}

function measure(contenders: readonly Contender[], resource: ResourceMetrics, round: number): void {
  for (const one of contenders) {
    const startedMs = performance.now();
    one.encode(resource);
    if (round >= WARM_UP_ROUNDS) one.samplesMs.push(performance.now() - startedMs);
  }
}

function contender(name: string, encode: Contender['encode']): Contender {
  return { name, encode, samplesMs: [] };
}

function ownEncoder(): Contender['encode'] {
  const encoder = new ProtobufEncoder();
  return (resource) => encoder.encode([resource], UNLIMITED).requests[0]?.body;
}

function stockProtobuf(name: string): Contender {
  return contender(name, (resource) => ProtobufMetricsSerializer.serializeRequest(resource));
}

function assertSameBytes(ours: Contender, peer: Contender, resource: ResourceMetrics): void {
  const bytes = Buffer.from(ours.encode(resource) ?? []);
  if (!bytes.equals(peer.encode(resource) ?? new Uint8Array())) throw new Error(`${ours.name} and ${peer.name} differ`);
}

function compared(name: string, { ours, peer }: { readonly ours: Contender; readonly peer: Contender }, goal: string): string {
  return closingLine({
    measure: name,
    ours: summarize(ours.samplesMs).median,
    peer: summarize(peer.samplesMs).median,
    better: 'less',
    goal,
  });
}

interface LivingSeries {
  readonly resource: ResourceMetrics;
  /** The points of each metric, as the resource holds them. */
  readonly metrics: readonly NumberPoint[][];
  readonly sampled: SampleTime;
}

/** Half gauges, half counters, each point with five attributes of its own, about 160 bytes of protobuf. */
function livingSeries(): LivingSeries {
  const sampled: SampleTime = { endTime: [1_795_000_000, 0] };
  const metrics = Array.from({ length: METRICS }, (_, metric) =>
    Array.from({ length: POINTS_PER_METRIC }, (_unused, index) => livePoint(metric, index, sampled)),
  );
  const resource = resourceFromAttributes({ 'host.name': 'bench', 'service.name': 'neuron-otel' });
  const scopeMetrics = [{ scope: { name: 'bench', version: '0.1.0' }, metrics: metrics.map((points, index) => metricData(index, points)) }];
  return { resource: { resource, scopeMetrics }, metrics, sampled };
}

/** Gives one metric new series in place of its own. */
function replaceSeries({ metrics, sampled }: LivingSeries, round: number): void {
  const metric = round % METRICS;
  const points = metrics[metric];
  points?.splice(0, points.length, ...points.map((_, index) => livePoint(metric + round, index, sampled)));
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

function advance({ metrics, sampled }: LivingSeries, round: number): void {
  sampled.endTime = [1_795_000_000 + round, 123_456_789];
  for (const [metric, points] of metrics.entries()) {
    for (const [index, point] of points.entries()) point.value = metric % 2 === 0 ? Math.sin(index + round) : index * 1000 + round;
  }
}
