/** Instrumentation scope of the agent's own metrics. */
export const SELF_SCOPE = 'neuron-otel';

/** The agent's own metrics: ordinary instruments, a few dozen series, no label a workload can choose. */
export const SELF_METRICS = {
  collectionDuration: {
    name: 'neuron.collection.duration',
    instrument: 'gauge',
    unit: 's',
    attributes: ['neuron.group'],
    description: 'Time the agent took to read and record the last sample of a metric group.',
  },
  collectionPoints: {
    name: 'neuron.collection.points',
    instrument: 'gauge',
    unit: '{point}',
    attributes: ['neuron.group'],
    description: 'Points recorded from the last sample of a metric group, all processes together.',
  },
  collectionErrors: {
    name: 'neuron.collection.errors',
    instrument: 'counter',
    unit: '{error}',
    attributes: ['neuron.group', 'error.type'],
    description: 'Failures while collecting, by metric group and code; error.type "reported" is the source saying so itself.',
  },
  collectionDenied: {
    name: 'neuron.collection.denied',
    instrument: 'gauge',
    unit: '{process}',
    attributes: ['neuron.source'],
    description: 'Processes of other users that the agent has no right to look at; Neuron processes among them are missing.',
  },
  collectionPeriod: {
    name: 'neuron.collection.period',
    instrument: 'gauge',
    unit: 's',
    attributes: ['neuron.group'],
    description: 'Real period that the last sample of a metric group covers.',
  },
  sampleAge: {
    name: 'neuron.collection.sample_age',
    instrument: 'gauge',
    unit: 's',
    attributes: ['neuron.group'],
    description: 'Age of the last sample of a metric group.',
  },
  sourceActive: {
    name: 'neuron.source.active',
    instrument: 'gauge',
    unit: '{source}',
    attributes: ['neuron.group', 'neuron.source'],
    description: 'Is 1 for the source that serves a metric group.',
  },
  sourceRestarts: {
    name: 'neuron.source.restarts',
    instrument: 'counter',
    unit: '{restart}',
    attributes: ['neuron.source'],
    description: 'Times a source stopped by itself and was, or will be, started again.',
  },
  streamLines: {
    name: 'neuron.stream.lines',
    instrument: 'counter',
    unit: '{line}',
    attributes: ['neuron.source'],
    description: 'Lines of the neuron-monitor stream that became a sample.',
  },
  streamLostLines: {
    name: 'neuron.stream.lost_lines',
    instrument: 'counter',
    unit: '{line}',
    attributes: ['neuron.loss.reason'],
    description: 'Lines of the neuron-monitor stream that could not be used: malformed, too long, or cut off at the end.',
  },
  seriesCount: {
    name: 'neuron.series.kept',
    instrument: 'gauge',
    unit: '{series}',
    attributes: [],
    description: 'Series kept in memory, hidden totals included.',
  },
  droppedPoints: {
    name: 'neuron.series.dropped_points',
    instrument: 'counter',
    unit: '{point}',
    attributes: ['neuron.group'],
    description: 'Points refused because the limit on series was reached.',
  },
  readerSkippedTicks: {
    name: 'neuron.reader.skipped_ticks',
    instrument: 'counter',
    unit: '{tick}',
    attributes: ['neuron.reader.period'],
    description: 'Reader ticks left out because the exports of the tick before had not ended.',
  },
  schedulerSkippedPeriods: {
    name: 'neuron.scheduler.skipped_periods',
    instrument: 'counter',
    unit: '{period}',
    attributes: [],
    description: 'Collection periods left out because a collection took too long or the process was suspended.',
  },
  exporterPoints: {
    name: 'neuron.exporter.points',
    instrument: 'counter',
    unit: '{point}',
    attributes: ['neuron.exporter', 'neuron.export.outcome'],
    description: 'Points handed to an exporter, by outcome: sent (or queued for delivery) or failed.',
  },
  exporterErrors: {
    name: 'neuron.exporter.errors',
    instrument: 'counter',
    unit: '{error}',
    attributes: ['neuron.exporter', 'error.type'],
    description: 'Failed exports and failed scrapes, by code.',
  },
  reportLines: {
    name: 'neuron.exporter.lines',
    instrument: 'counter',
    unit: '{line}',
    attributes: ['neuron.exporter', 'neuron.export.outcome'],
    description: 'Lines of neuron-monitor JSON, by outcome: sent or dropped.',
  },
  deliveryProduced: {
    name: 'neuron.delivery.produced',
    instrument: 'counter',
    unit: '{point}',
    attributes: ['neuron.exporter'],
    description: 'Points taken over for delivery to one destination; produced plus recovered is queued plus sent plus dropped.',
  },
  deliveryRecovered: {
    name: 'neuron.delivery.recovered',
    instrument: 'counter',
    unit: '{point}',
    attributes: ['neuron.exporter'],
    description: 'Points found in the files of a queue when it was opened.',
  },
  deliverySent: {
    name: 'neuron.delivery.sent',
    instrument: 'counter',
    unit: '{point}',
    attributes: ['neuron.exporter'],
    description: 'Points a destination has acknowledged.',
  },
  deliveryDropped: {
    name: 'neuron.delivery.dropped',
    instrument: 'counter',
    unit: '{point}',
    attributes: ['neuron.exporter', 'neuron.drop.reason'],
    description: 'Points that will never arrive, by reason.',
  },
  deliveryFailed: {
    name: 'neuron.delivery.failed',
    instrument: 'counter',
    unit: '{point}',
    attributes: ['neuron.exporter', 'error.type'],
    description: 'Points of attempts that failed and are tried again.',
  },
  queueDamaged: {
    name: 'neuron.delivery.queue.damaged',
    instrument: 'counter',
    unit: '{place}',
    attributes: ['neuron.exporter'],
    description: 'Damaged files found in the folder of a queue.',
  },
  queueSize: {
    name: 'neuron.delivery.queue.size',
    instrument: 'gauge',
    unit: 'By',
    attributes: ['neuron.exporter'],
    description: 'Bytes that wait for delivery, on disk and in memory.',
  },
  queueCapacity: {
    name: 'neuron.delivery.queue.capacity',
    instrument: 'gauge',
    unit: 'By',
    attributes: ['neuron.exporter'],
    description: 'Bytes a queue holds at most.',
  },
  queuePoints: {
    name: 'neuron.delivery.queue.points',
    instrument: 'gauge',
    unit: '{point}',
    attributes: ['neuron.exporter'],
    description: 'Points that wait for delivery.',
  },
  queueAge: {
    name: 'neuron.delivery.queue.age',
    instrument: 'gauge',
    unit: 's',
    attributes: ['neuron.exporter'],
    description: 'Age of the oldest request that waits for delivery; 0 when none does.',
  },
  queueDurable: {
    name: 'neuron.delivery.queue.durable',
    instrument: 'gauge',
    unit: '{queue}',
    attributes: ['neuron.exporter'],
    description: 'Is 1 while the queue is on disk, 0 while it is in memory only.',
  },
} as const satisfies Readonly<Record<string, SelfMetric>>;

interface SelfMetric {
  readonly name: string;
  readonly instrument: 'gauge' | 'counter';
  readonly unit: string;
  readonly attributes: readonly string[];
  readonly description: string;
}

export type CounterKey = {
  [K in keyof typeof SELF_METRICS]: (typeof SELF_METRICS)[K]['instrument'] extends 'counter' ? K : never;
}[keyof typeof SELF_METRICS];
export type GaugeKey = Exclude<keyof typeof SELF_METRICS, CounterKey>;
