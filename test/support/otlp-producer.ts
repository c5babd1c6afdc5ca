/**
 * A process that exports one batch each period through the OTLP exporter, as the agent does. Every point's value is the number of
 * its batch. Argument: `ProducerOptions` as JSON. On stdout, line by line: `exported N` when a batch was taken over, and at the end
 * a JSON object with the books. Ends after `periods`, or with SIGTERM after a flush.
 */
import { createOtlpExporter } from '../../exporters/otlp/index.ts';
import { otlpSettings } from './settings.ts';
import type { SomeOtlpSettings } from './settings.ts';
import { descriptor } from '../exporters/otlp/batches.ts';
import { EventCounts } from '../exporters/delivery/event-counts.ts';
import { resourceFromAttributes } from '@opentelemetry/resources';
import { AggregationTemporality, DataPointType } from '@opentelemetry/sdk-metrics';

export interface ProducerOptions {
  readonly destinations: readonly (SomeOtlpSettings & { readonly id: string })[];
  readonly periodMs: number;
  readonly points: number;
  /** Number of the first batch. */
  readonly from: number;
  readonly periods: number;
  /** How long it may take to send what is left at the end. */
  readonly flushMs: number;
}

/** What became of the points, for each destination in turn. */
export interface ProducerBooks {
  readonly produced: number;
  readonly recovered: number;
  readonly sent: number;
  readonly dropped: Readonly<Record<string, number>>;
  readonly queued: number;
  readonly failures: number;
  readonly queueFailures: readonly string[];
}

const options = JSON.parse(process.argv[2] ?? '') as ProducerOptions;
const destinations = await Promise.all(
  options.destinations.map(async ({ id, ...settings }) => {
    const counts = new EventCounts();
    const exporter = await createOtlpExporter(otlpSettings(settings), { id, telemetry: counts });
    return { counts, exporter };
  }),
);
const live = Array.from({ length: options.points }, (_, index) => ({
  attributes: Object.freeze({ series: `s${index}` }),
  startTime: [0, 0] as [number, number],
  endTime: [0, 0] as [number, number],
  value: 0,
}));
const resourceMetrics = [
  {
    resource: resourceFromAttributes({ 'service.name': 'producer' }),
    scopeMetrics: [
      {
        scope: { name: 'test' },
        metrics: [
          {
            descriptor: descriptor('period'),
            aggregationTemporality: AggregationTemporality.CUMULATIVE,
            dataPointType: DataPointType.GAUGE as const,
            dataPoints: live,
          },
        ],
      },
    ],
  },
];

const ending = new AbortController();
process.on('SIGTERM', () => ending.abort());
const startedMs = performance.now();
for (let period = 0; period < options.periods && !ending.signal.aborted; period += 1) {
  const batch = options.from + period;
  const now = Date.now();
  for (const point of live) {
    point.value = batch;
    point.endTime = [Math.floor(now / 1000), (now % 1000) * 1e6];
  }
  await Promise.all(destinations.map(({ exporter }) => exporter.export({ resourceMetrics })));
  process.stdout.write(`exported ${batch}\n`);
  const waitMs = startedMs + (period + 1) * options.periodMs - performance.now();
  await new Promise((resolve) => setTimeout(resolve, Math.max(0, waitMs)));
}
const flushedBeforeMs = performance.now() + options.flushMs;
// A flush ends early when everything is safe on disk; this one is after delivery.
while (destinations.some(({ exporter }) => exporter.queueState.requests > 0) && performance.now() < flushedBeforeMs) {
  await Promise.all(destinations.map(({ exporter }) => exporter.flush(1000)));
}
const books = destinations.map(({ exporter, counts }): ProducerBooks => ({
  produced: counts.producedPoints,
  recovered: counts.recoveredPoints,
  sent: counts.sentPoints,
  dropped: counts.dropped_,
  queued: exporter.queueState.points,
  failures: counts.failures.length,
  queueFailures: [...new Set(counts.queueFailures.map(({ message }) => message))],
}));
await Promise.all(destinations.map(({ exporter }) => exporter[Symbol.asyncDispose]()));
process.stdout.write(`${JSON.stringify(books)}\n`);
