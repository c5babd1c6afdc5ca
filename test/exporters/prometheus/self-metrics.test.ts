import { MeterProvider } from '@opentelemetry/sdk-metrics';
import { expect, it } from 'vitest';
import { prometheusServices } from '../../../exporters/index.ts';
import { AgentError } from '../../../src/errors.ts';
import { createLogger } from '../../../src/log.ts';
import { SampleClock } from '../../../src/sample-clock.ts';
import { SelfTelemetry } from '../../../src/telemetry.ts';
import { PullReader } from '../../../src/readers.ts';
import { ManualClock } from '../../support/manual-clock.ts';
import { flatten, testStore } from '../../support/metrics.ts';

it('failed scrapes are counted each and logged once, until one works again', async () => {
  const clock = new ManualClock();
  const log: string[] = [];
  const logger = createLogger({ verbosity: 3, format: 'text', write: (line) => void log.push(line) });
  const telemetry = new SelfTelemetry({ clock, logger });
  const reader = new PullReader({ store: testStore(), sampleClock: new SampleClock(clock) });
  telemetry.register(new MeterProvider({ readers: [reader] }).getMeter('neuron-otel'));
  const { onScrape } = prometheusServices(
    {
      env: {},
      clock,
      logger,
      telemetry,
      stdout: process.stdout,
      version: '0',
      collect: () => Promise.resolve([]),
      generation: () => 0,
      isReady: () => true,
      sources: () => new Map(),
    },
    'prometheus/x',
  );
  const failed = { outcome: 'failed', error: new AgentError('source_timeout', 'prometheus', 'no collection') } as const;
  for (let round = 0; round < 2; round += 1) {
    onScrape(failed);
    onScrape(failed);
    onScrape({ outcome: 'refused', status: 401 });
    onScrape({ outcome: 'served', bytes: 5 });
  }
  const errors = flatten([...(await reader.snapshot({ selfMetrics: true }))]).filter(({ metric }) => metric === 'neuron.exporter.errors');
  expect(errors.map(({ attributes, value }) => [attributes, value])).toEqual([
    [{ 'neuron.exporter': 'prometheus/x', 'error.type': 'source_timeout' }, 4],
  ]);
  expect(log.map((line) => /export \w+(?: again)?/.exec(line)?.[0])).toEqual([
    'export failed',
    'export works again',
    'export failed',
    'export works again',
  ]);
});
