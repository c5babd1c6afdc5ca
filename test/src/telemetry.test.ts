import { MeterProvider } from '@opentelemetry/sdk-metrics';
import { describe, expect, it } from 'vitest';
import { AgentError } from '../../src/errors.ts';
import { DeliveryTelemetry } from '../../src/delivery-telemetry.ts';
import { createLogger, silentLogger } from '../../src/log.ts';
import { SELF_METRICS } from '../../src/self-metrics.ts';
import { SampleClock } from '../../src/sample-clock.ts';
import { SelfTelemetry } from '../../src/telemetry.ts';
import { PullReader } from '../../src/readers.ts';
import { ManualClock } from '../support/manual-clock.ts';
import { flatten, testStore } from '../support/metrics.ts';

function setUp() {
  const clock = new ManualClock();
  const log: string[] = [];
  const telemetry = new SelfTelemetry({
    clock,
    logger: createLogger({ verbosity: 3, format: 'text', write: (line) => void log.push(line) }),
  });
  const reader = new PullReader({ store: testStore(), sampleClock: new SampleClock(clock) });
  telemetry.register(new MeterProvider({ readers: [reader] }).getMeter('neuron-otel'));
  const values = async (name: string) =>
    flatten([...(await reader.snapshot({ selfMetrics: true }))])
      .filter(({ metric }) => metric === name)
      .map(({ attributes, value }) => [attributes, value]);
  return { clock, log, telemetry, values, reader };
}

const COLLECTED = { points: 5, sampledAtMs: Date.UTC(2026, 0, 1), source: 'neuron-monitor', durationMs: 2, periodSeconds: 5 } as const;

describe('SelfTelemetry', () => {
  it('emits every metric of its table, and no other', async () => {
    const { telemetry, reader } = setUp();
    const error = new AgentError('source_malformed', 'x', 'bad');
    telemetry.groupCollected('memory_info', COLLECTED);
    telemetry.collectionFailed(error, 'memory_info');
    telemetry.processesDenied('procfs', 3);
    telemetry.sourceInterrupted('neuron-monitor', error, 1000);
    telemetry.lineReceived('neuron-monitor');
    telemetry.lineLost('partial', error);
    telemetry.pointsDropped('memory_info', 3);
    telemetry.storeSize(7);
    telemetry.readerSkipped(1000);
    telemetry.schedulerSkipped(2);
    telemetry.exported('otlp', { outcome: 'failed', points: 4, error });
    telemetry.reportDropped('json_stdout');
    const queueState = { points: 1, bytes: 2, capacityBytes: 3, oldestAgeMs: 4, isDurable: true };
    const delivery = new DeliveryTelemetry({
      exporter: 'otlp',
      instruments: telemetry.instruments,
      logger: silentLogger,
      queueState: () => queueState,
    });
    delivery.produced(9);
    delivery.recovered(1);
    delivery.sent(7);
    delivery.dropped(2, 'expired');
    delivery.attemptFailed(3, error);
    delivery.queueDamaged(1);
    const emitted = new Set(flatten([...(await reader.snapshot({ selfMetrics: true }))]).map(({ metric }) => metric));
    expect([...emitted].toSorted()).toEqual(
      Object.values(SELF_METRICS)
        .map(({ name }) => name)
        .toSorted(),
    );
  });

  it('counts every failure but logs it only when it changes', async () => {
    const { telemetry, log, values } = setUp();
    for (let i = 0; i < 100; i += 1) telemetry.collectionFailed(new AgentError('source_malformed', 'x', 'same'), 'memory_info');
    telemetry.collectionFailed(new AgentError('source_malformed', 'x', 'other'), 'memory_info');
    expect(await values('neuron.collection.errors')).toEqual([[{ 'neuron.group': 'memory_info', 'error.type': 'source_malformed' }, 101]]);
    expect(log).toHaveLength(2);
    // Two that take turns are known by now.
    for (const text of ['same', 'other', 'same']) telemetry.collectionFailed(new AgentError('source_malformed', 'x', text), 'memory_info');
    expect(log).toHaveLength(2);
  });

  it.each([
    ['1,024 bad items of one kind', (index: number) => `$.runtimes[${index}].pid: whole number expected`],
    ['1,024 different pids', (index: number) => `process ${index * 7919} has no start time`],
    ['64 different fields', (index: number) => `$.${'abcdefgh'[index & 7]}${'ijklmnop'[(index >> 3) & 7]}: finite number expected`],
  ])('logs %s once, and not again while they stay the same', async (_name, text) => {
    const { telemetry, log, values } = setUp();
    const failures = Array.from({ length: 1024 }, (_, index) => {
      const error = new AgentError('source_malformed', 'neuron-monitor', text(index));
      return { error, group: 'memory_info' as const };
    });
    for (let cycle = 0; cycle < 5; cycle += 1) telemetry.collectionFailures(failures);
    expect(log).toHaveLength(1);
    expect(log[0]).toContain('failures=1024');
    expect(await values('neuron.collection.errors')).toEqual([[{ 'neuron.group': 'memory_info', 'error.type': 'source_malformed' }, 5120]]);
  });

  it('counts a failure as often as it says and logs a new one among known ones', async () => {
    const { telemetry, log, values } = setUp();
    const known = { error: new AgentError('source_malformed', 'x', 'known'), count: 7 };
    telemetry.collectionFailures([known]);
    telemetry.collectionFailures([known, { error: new AgentError('source_malformed', 'x', 'new') }]);
    expect(log).toHaveLength(2);
    expect(log[1]).toContain('source_malformed: new');
    expect(await values('neuron.collection.errors')).toEqual([[{ 'neuron.group': 'unknown', 'error.type': 'source_malformed' }, 15]]);
  });

  it('shows a growing sample age, and zero points and no active source, for a group that expired', async () => {
    const { telemetry, clock, values } = setUp();
    telemetry.groupCollected('memory_info', COLLECTED);
    await clock.advance(30_000);
    telemetry.groupExpired('memory_info');
    expect(await values('neuron.collection.sample_age')).toEqual([[{ 'neuron.group': 'memory_info' }, 30]]);
    expect(await values('neuron.collection.points')).toEqual([[{ 'neuron.group': 'memory_info' }, 0]]);
    expect(await values('neuron.source.active')).toEqual([[{ 'neuron.group': 'memory_info', 'neuron.source': 'neuron-monitor' }, 0]]);
    expect(telemetry.activeSources().size).toBe(0);
  });

  it('has exactly one active source for a group', async () => {
    const { telemetry, values } = setUp();
    telemetry.groupCollected('memory_info', COLLECTED);
    telemetry.groupCollected('memory_info', { ...COLLECTED, source: 'procfs' });
    expect(await values('neuron.source.active')).toEqual([
      [{ 'neuron.group': 'memory_info', 'neuron.source': 'neuron-monitor' }, 0],
      [{ 'neuron.group': 'memory_info', 'neuron.source': 'procfs' }, 1],
    ]);
  });

  it('says once that an export fails and once that it works again', () => {
    const { telemetry, log } = setUp();
    const error = new AgentError('export_retryable', 'otlp', 'refused');
    for (let i = 0; i < 3; i += 1) telemetry.exported('otlp', { outcome: 'failed', points: 1, error });
    for (let i = 0; i < 3; i += 1) telemetry.exported('otlp', { outcome: 'sent', points: 1 });
    expect(log.map((line) => line.split(' ').slice(2, 5).join(' ').trim())).toEqual([
      'export failed (export_retryable:',
      'export works again',
    ]);
  });
});

describe('DeliveryTelemetry', () => {
  it('logs when delivery begins to fail, when the reason changes and when it works again, and counts every point', async () => {
    const { telemetry, values } = setUp();
    const log: string[] = [];
    const logger = createLogger({ verbosity: 3, format: 'text', write: (line) => void log.push(line) });
    const delivery = new DeliveryTelemetry({ exporter: 'otlp', instruments: telemetry.instruments, logger, queueState: () => undefined });
    for (let i = 0; i < 5; i += 1) delivery.attemptFailed(10, new AgentError('export_retryable', 'otlp', 'refused'));
    delivery.attemptFailed(10, new AgentError('export_retryable', 'otlp', '503'));
    delivery.sent(10);
    delivery.sent(10);
    expect(log).toHaveLength(3);
    expect(await values('neuron.delivery.failed')).toEqual([[{ 'neuron.exporter': 'otlp', 'error.type': 'export_retryable' }, 60]]);
    expect(await values('neuron.delivery.sent')).toEqual([[{ 'neuron.exporter': 'otlp' }, 20]]);
  });

  it('logs a receiver that refuses most requests ever more rarely, and again after it was healthy for long', () => {
    const { telemetry } = setUp();
    const log: string[] = [];
    const logger = createLogger({ verbosity: 3, format: 'text', write: (line) => void log.push(line) });
    const delivery = new DeliveryTelemetry({ exporter: 'otlp', instruments: telemetry.instruments, logger, queueState: () => undefined });
    const refusal = new AgentError('export_retryable', 'otlp', 'HTTP 503');
    for (let i = 0; i < 1000; i += 1) {
      delivery.attemptFailed(10, refusal);
      delivery.sent(10);
    }
    expect(log.filter((line) => line.includes('delivery failed'))).toHaveLength(4);
    expect(log.filter((line) => line.includes('works again'))).toHaveLength(4);
    for (let i = 0; i < 100; i += 1) delivery.sent(10);
    delivery.attemptFailed(10, refusal);
    expect(log.filter((line) => line.includes('delivery failed'))).toHaveLength(5);
  });

  it('logs that points are dropped when it begins and each time there are ten times as many, not each period', async () => {
    const { telemetry, values } = setUp();
    const log: string[] = [];
    const logger = createLogger({ verbosity: 3, format: 'text', write: (line) => void log.push(line) });
    const delivery = new DeliveryTelemetry({ exporter: 'otlp', instruments: telemetry.instruments, logger, queueState: () => undefined });
    for (let i = 0; i < 86_400; i += 1) delivery.dropped(10, 'queue_full');
    delivery.dropped(1, 'rejected');
    expect(log.map((line) => line.replace(/^\S+ /, '').trim())).toEqual([
      ...[10, 100, 1_000, 10_000, 100_000].map((total) => `warn points dropped points=10 reason=queue_full total=${total}`),
      'warn points dropped points=1 reason=rejected total=1',
    ]);
    expect(await values('neuron.delivery.dropped')).toContainEqual([
      { 'neuron.exporter': 'otlp', 'neuron.drop.reason': 'queue_full' },
      864_000,
    ]);
  });
});
