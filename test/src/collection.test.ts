import { describe, expect, it } from 'vitest';
import { Collection } from '../../src/collection.ts';
import { AgentError } from '../../src/errors.ts';
import { instanceIdOf } from '../../src/identity.ts';
import { silentLogger } from '../../src/log.ts';
import type { Receiver } from '../../src/receiver.ts';
import type { AnyGroupReading, HostFacts, MetricGroup } from '../../src/readings.ts';
import { SelfTelemetry } from '../../src/telemetry.ts';
import type { ReadingBatch, SourceFailure } from '../../src/source.ts';
import { ManualClock } from '../support/manual-clock.ts';
import { TEST_METRICS, flatten, testStore } from '../support/metrics.ts';

class FailureLog extends SelfTelemetry {
  readonly failures: SourceFailure[] = [];

  override collectionFailures(failures: readonly SourceFailure[]): void {
    this.failures.push(...failures);
  }
}

function setUp(receivers: readonly Receiver[], hostIdentity: (facts: HostFacts) => string | undefined = () => undefined) {
  const clock = new ManualClock();
  const telemetry = new FailureLog({ logger: silentLogger, clock });
  const store = testStore();
  const collection = new Collection({
    clock,
    store,
    telemetry,
    selection: {
      runtimeGroups: () => new Set(['neuroncore_counters'] as const),
      systemGroups: new Set(['memory_info'] as const),
      periodsMs: new Map(),
      defaultPeriodMs: 1000,
    },
    receivers: new Map(receivers.map((receiver) => [receiver.group, receiver])),
    runtimeResource: (runtime) => ({ 'process.pid': runtime.pid }),
    identify: (runtime) => runtime,
    hostIdentity,
    eccCounts: 'cumulative',
  });
  const apply = (readings: readonly AnyGroupReading[]): ReadonlySet<MetricGroup> => {
    const batch: ReadingBatch = { source: 'procfs', sampledAtMs: clock.nowMs(), readings, failures: [] };
    return new Set(collection.apply([batch], { serves: () => true, namesRuntimes: true }).map(({ group }) => group));
  };
  return { store, telemetry, apply };
}

const A = { pid: 1, tag: 'a' };
const B = { pid: 2, tag: 'b' };

describe('Collection', () => {
  it('keeps what a receiver recorded before it threw, counts the failure, and goes on with the other readings', () => {
    const receiver: Receiver<'neuroncore_counters'> = {
      group: 'neuroncore_counters',
      metrics: TEST_METRICS,
      receive(reading, recorder) {
        recorder.set(TEST_METRICS.memory, 1, { core: reading.runtime?.pid });
        if (reading.runtime?.pid === 1) throw new Error('broken receiver');
        recorder.set(TEST_METRICS.utilization, 1, { core: reading.runtime?.pid });
      },
    };
    const { store, telemetry, apply } = setUp([receiver]);
    apply([A, B].map((runtime): AnyGroupReading => ({ group: 'neuroncore_counters', runtime, data: {} })));
    expect(telemetry.failures).toEqual([{ error: expect.any(AgentError) as AgentError, group: 'neuroncore_counters' }]);
    expect(telemetry.failures[0]?.error.code).toBe('internal');
    expect(telemetry.failures[0]?.error.message).toBe('broken receiver');
    expect(flatten(store.collect()).map(({ metric, attributes }) => `${metric} ${String(attributes['core'])}`)).toEqual([
      'test.memory.usage 1',
      'test.memory.usage 2',
      'test.utilization 2',
    ]);
  });

  it('records the next reading of a receiver that threw', () => {
    let isBroken = true;
    const receiver: Receiver<'memory_info'> = {
      group: 'memory_info',
      metrics: TEST_METRICS,
      receive(_reading, recorder) {
        if (isBroken) throw new Error('broken receiver');
        recorder.set(TEST_METRICS.memory, 1, { core: 0 });
      },
    };
    const { store, apply } = setUp([receiver]);
    apply([{ group: 'memory_info', data: {} }]);
    expect(flatten(store.collect())).toEqual([]);
    isBroken = false;
    apply([{ group: 'memory_info', data: {} }]);
    expect(flatten(store.collect())).toHaveLength(1);
  });

  describe('the identity of the host', () => {
    const receiver: Receiver<'memory_info'> = {
      group: 'memory_info',
      metrics: TEST_METRICS,
      receive: (_reading, recorder) => recorder.set(TEST_METRICS.memory, 1, { core: 0 }),
    };
    const hostIdentity = ({ instance_info: instance }: HostFacts) => instance?.instance_id ?? 'machine';
    const facts: AnyGroupReading = { group: 'instance_info', data: { instance_id: 'i-1' } };
    const sample: AnyGroupReading = { group: 'memory_info', data: {} };

    it('comes from facts that are in the first cycle, wherever they are in it', () => {
      const { store, apply } = setUp([receiver], hostIdentity);
      apply([sample, facts]);
      expect(store.hostResource.attributes['service.instance.id']).toBe(instanceIdOf('i-1'));
    });

    it('does not change when facts come later', () => {
      const { store, apply } = setUp([receiver], hostIdentity);
      apply([sample]);
      const first = store.hostResource.attributes['service.instance.id'];
      apply([sample, facts]);
      expect(first).toBe(instanceIdOf('machine'));
      expect(store.hostResource.attributes['service.instance.id']).toBe(first);
    });
  });

  it('counts a group without a receiver and does not report it as recorded', () => {
    const { telemetry, apply } = setUp([]);
    expect(apply([{ group: 'memory_info', data: {} }]).size).toBe(0);
    expect(telemetry.failures.map(({ group }) => group)).toEqual(['memory_info']);
  });
});
