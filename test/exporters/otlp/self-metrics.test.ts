import { MeterProvider } from '@opentelemetry/sdk-metrics';
import type { ResourceMetrics } from '@opentelemetry/sdk-metrics';
import { describe, expect, it } from 'vitest';
import { ProtobufEncoder } from '../../../exporters/otlp/protobuf.ts';
import type { ExportOutcome, PushExporter } from '../../../src/exporter.ts';
import { SelfInstruments } from '../../../src/self-instruments.ts';
import { SampleClock } from '../../../src/sample-clock.ts';
import { TickReader } from '../../../src/readers.ts';
import { ManualClock } from '../../support/manual-clock.ts';
import { HOST, TEST_METRICS, cycle, runtime, testStore } from '../../support/metrics.ts';

/** Encodes what it gets, and keeps the buffer of each metric's points. */
class BufferKeeper implements PushExporter {
  readonly kind = 'push';
  readonly id = 'otlp';
  buffers = new Map<string, Buffer>();
  readonly #encoder = new ProtobufEncoder();

  export({ resourceMetrics }: { readonly resourceMetrics: readonly ResourceMetrics[] }): Promise<ExportOutcome> {
    this.buffers = new Map();
    for (const [index, { resource, scopeMetrics }] of resourceMetrics.entries()) {
      for (const { scope, metrics } of scopeMetrics) {
        for (const metric of metrics)
          this.buffers.set(`${index}/${metric.descriptor.name}`, this.#encoder.encodePoints(resource, scope, metric).bytes);
      }
    }
    return Promise.resolve({ outcome: 'sent', points: 0 });
  }

  flush(): Promise<void> {
    return Promise.resolve();
  }

  [Symbol.asyncDispose](): Promise<void> {
    return Promise.resolve();
  }
}

function setUp() {
  const store = testStore();
  const keeper = new BufferKeeper();
  const instruments = new SelfInstruments();
  const reader = new TickReader({
    store,
    sampleClock: new SampleClock(new ManualClock()),
    groups: new Set(['neuroncore_counters']),
    periodMs: 1000,
    exporters: [keeper],
    selfMetrics: true,
    observer: { exported: () => {}, skipped: () => {} },
  });
  const provider = new MeterProvider({ readers: [reader] });
  instruments.register(provider.getMeter('neuron-otel', '0'));
  instruments.gauge('collectionPoints', () => [[12, { 'neuron.group': 'vcpu_usage' }]]);
  const tick = async (second: number): Promise<ReadonlyMap<string, Buffer>> => {
    for (const entity of [HOST, runtime('a')]) {
      store.apply(cycle(second, entity), (recorder) => {
        for (const core of [0, 1]) recorder.set(TEST_METRICS.utilization, second, { core });
      });
    }
    instruments.count('streamLines', { 'neuron.source': 'neuron-monitor' });
    await reader.tick();
    return keeper.buffers;
  };
  return { tick, instruments };
}

describe('the second cycle of an agent', () => {
  it("encodes the points of the same metrics, the agent's own among them", async () => {
    const { tick } = setUp();
    await tick(1);
    expect([...(await tick(2)).keys()]).toEqual([
      '0/neuron.collection.points',
      '0/neuron.stream.lines',
      '0/test.utilization',
      '1/test.utilization',
    ]);
  });

  it.each(['0/neuron.collection.points', '0/neuron.stream.lines', '0/test.utilization', '1/test.utilization'])(
    'lays out nothing anew of %s',
    async (metric) => {
      const { tick } = setUp();
      const before = (await tick(1)).get(metric);
      expect((await tick(2)).get(metric)).toBe(before);
    },
  );

  it('lays out a metric anew that got one more series', async () => {
    const { tick, instruments } = setUp();
    const before = (await tick(1)).get('0/neuron.stream.lines');
    instruments.count('streamLines', { 'neuron.source': 'procfs' });
    expect((await tick(2)).get('0/neuron.stream.lines')).not.toBe(before);
  });
});
