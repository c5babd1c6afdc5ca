import { readFileSync } from 'node:fs';
import { AggregationTemporality, DataPointType } from '@opentelemetry/sdk-metrics';
import { describe, expect, it } from 'vitest';
import { CollectionConverter } from '../../../exporters/otlp/converter.ts';
import { JsonEncoder } from '../../../exporters/otlp/json.ts';
import { ProtobufEncoder } from '../../../exporters/otlp/protobuf.ts';
import { TEST_METRICS, cycle, testStore } from '../../support/metrics.ts';
import { loadInput } from '../../support/settings.ts';

const page = readFileSync(new URL('../../../docs/otlp.md', import.meta.url), 'utf8');

/** The configuration of the agent below each heading of the page. */
const blocks = new Map(
  page
    .split(/^## /m)
    .slice(1)
    .flatMap((section) => {
      const heading = section.slice(0, section.indexOf('\n'));
      const block = /```yaml\n(?!# prometheus.yml)(.*?)```/s.exec(section)?.[1];
      return block === undefined ? [] : [[heading, block] as const];
    }),
);

const CUMULATIVE = AggregationTemporality.CUMULATIVE;
const EXPECTED = {
  'OpenTelemetry Collector': { protocol: 'http/protobuf', compression: 'gzip', temporality: CUMULATIVE, histogram: 'exponential' },
  'Prometheus 3': { protocol: 'http/protobuf', compression: 'gzip', temporality: CUMULATIVE, histogram: 'exponential' },
  VictoriaMetrics: { protocol: 'http/protobuf', compression: 'gzip', temporality: CUMULATIVE, histogram: 'exponential' },
  Telegraf: { protocol: 'grpc', compression: 'none', temporality: CUMULATIVE, histogram: 'explicit' },
  Datadog: { protocol: 'http/protobuf', compression: 'gzip', temporality: AggregationTemporality.DELTA, histogram: 'explicit' },
  CloudWatch: { protocol: 'http/protobuf', compression: 'gzip', temporality: CUMULATIVE, histogram: 'exponential' },
} as const;

describe.each(Object.entries(EXPECTED))('the settings for %s in docs/otlp.md', (receiver, expected) => {
  const loaded = loadInput({ text: blocks.get(receiver) ?? '' });

  it('are accepted without a warning', () => {
    expect(loaded).toMatchObject({ ok: true, warnings: [] });
  });

  it('choose protocol and compression as the table states', () => {
    expect(otlp()).toMatchObject({ protocol: expected.protocol, compression: expected.compression });
  });

  it('give counters the temporality that the receiver takes', () => {
    expect(exported().find(({ dataPointType }) => dataPointType === DataPointType.SUM)?.aggregationTemporality).toBe(expected.temporality);
  });

  it('give latencies the form that the receiver takes', () => {
    const types = exported().map(({ dataPointType }) => dataPointType);
    expect(types).toContain(expected.histogram === 'explicit' ? DataPointType.HISTOGRAM : DataPointType.EXPONENTIAL_HISTOGRAM);
  });

  function otlp() {
    const config = loaded.ok ? loaded.config.exporters.find((exporter) => exporter.type === 'otlp') : undefined;
    if (config?.type !== 'otlp') throw new Error(`docs/otlp.md has no otlp exporter for ${receiver}`);
    return config.settings;
  }

  function exported() {
    const converter = new CollectionConverter(otlp(), 0);
    return converter.convert([collectionOf(2)]).flatMap(({ scopeMetrics }) => scopeMetrics.flatMap(({ metrics }) => metrics));
  }
});

describe('the page docs/otlp.md', () => {
  it('has settings for the receivers that this test expects, and no others', () => {
    expect([...blocks.keys()]).toEqual([...Object.keys(EXPECTED), 'The exporter of the OpenTelemetry SDK']);
  });

  it('has settings for the exporter of the SDK that are accepted without a warning', () => {
    expect(loadInput({ text: blocks.get('The exporter of the OpenTelemetry SDK') ?? '' })).toMatchObject({ ok: true, warnings: [] });
  });
});

describe('the limits for CloudWatch', () => {
  it.each([
    { points: 999, requests: [999] },
    { points: 1000, requests: [1000] },
    { points: 1001, requests: [1000, 1] },
  ])('put $points points into requests of $requests points', ({ points, requests }) => {
    const loaded = loadInput({ text: blocks.get('CloudWatch') ?? '' });
    const config = loaded.ok ? loaded.config.exporters[0] : undefined;
    if (config?.type !== 'otlp') throw new Error('no otlp exporter');
    for (const encoder of [new ProtobufEncoder(), new JsonEncoder()])
      expect(encoder.encode([gauges(points)], config.settings.batch).requests.map((request) => request.points)).toEqual(requests);
  });

  it('keep requests below one megabyte', () => {
    const loaded = loadInput({ text: blocks.get('CloudWatch') ?? '' });
    const config = loaded.ok ? loaded.config.exporters[0] : undefined;
    if (config?.type !== 'otlp') throw new Error('no otlp exporter');
    expect(config.settings.batch.max_bytes).toBeLessThanOrEqual(1_000_000);
  });
});

function collectionOf(executions: number) {
  const store = testStore();
  store.apply(cycle(10), (recorder) => {
    recorder.add(TEST_METRICS.executions, executions, { outcome: 'completed' });
    recorder.distribution(TEST_METRICS.latency, { count: 10, quantiles: new Map([[0.5, 0.01]]) }, {});
  });
  return store.collectHost();
}

function gauges(points: number) {
  const store = testStore();
  store.apply(cycle(10), (recorder) => {
    for (let core = 0; core < points; core += 1) recorder.set(TEST_METRICS.utilization, core, { core });
  });
  return store.collectHost();
}
