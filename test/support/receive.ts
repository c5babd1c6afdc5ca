import { receiverFor } from '../../receivers/index.ts';
import type { AgentError } from '../../src/errors.ts';
import type { MetricDefinition } from '../../src/metric-table.ts';
import type { ReceiverContext } from '../../src/receiver.ts';
import type { GroupReading, MetricGroup } from '../../src/readings.ts';
import { HOST, cycle, flatten, testStore } from './metrics.ts';
import type { FlatPoint, TestStore } from './metrics.ts';

export const CONTEXT: ReceiverContext = { facts: {}, ratesAreMeaningful: true, eccCounts: 'cumulative' };

/** Facts of a host with two cores on each device. */
export const TWO_CORES_PER_DEVICE: ReceiverContext = {
  ...CONTEXT,
  facts: { neuron_hardware_info: { neuron_device_count: 16, neuroncore_per_device_count: 2 } },
};

export interface Received {
  readonly points: readonly FlatPoint[];
  readonly failures: readonly AgentError[];
  /** What the receiver added to the resource, and the store's own service name. */
  readonly resource: Readonly<Record<string, unknown>>;
}

/** Readings of one group of one entity, through their receiver, one a second. */
export class GroupTest<G extends MetricGroup> {
  readonly #group: G;
  readonly #context: ReceiverContext;
  readonly #store: TestStore;
  #second = 0;

  constructor(group: G, options: { readonly context?: ReceiverContext; readonly isEnabled?: (metric: MetricDefinition) => boolean } = {}) {
    this.#group = group;
    this.#context = options.context ?? CONTEXT;
    this.#store = testStore(options.isEnabled === undefined ? {} : { isEnabled: options.isEnabled });
  }

  receive(reading: Omit<GroupReading<G>, 'group'>, context: Partial<ReceiverContext> = {}): Received {
    const receiver = receiverFor(this.#group);
    if (receiver === undefined) throw new Error('no receiver');
    this.#second += 1;
    const { failures } = this.#store.apply(cycle(this.#second, HOST, { group: this.#group }), (recorder) =>
      receiver.receive({ group: this.#group, ...reading }, recorder, { ...this.#context, ...context }),
    );
    const collected = this.#store.collect({ legacy: true });
    return {
      points: flatten(collected),
      failures: failures.flatMap(({ error, count = 1 }) => Array.from({ length: count }, () => error)),
      resource: { ...collected[0]?.resource.attributes },
    };
  }
}

/** Values of one metric by its attribute values, joined with `/` in the order of the row; absent attributes are `-`. */
export function valuesOf(received: Received, metric: MetricDefinition): Readonly<Record<string, unknown>> {
  const ofMetric = received.points.filter((point) => point.metric === metric.name);
  return Object.fromEntries(
    ofMetric.map(({ attributes, value }) => [metric.attributeNames.map((name) => textOf(attributes[name])).join('/'), value]),
  );
}

function textOf(value: unknown): string {
  return typeof value === 'string' || typeof value === 'number' ? String(value) : '-';
}
