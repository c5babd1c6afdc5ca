import { describe, expect, it } from 'vitest';
import { SUSPENDED_ENTITY_RETENTION_MS } from '../../src/store.ts';

import { runtimeKey } from '../../src/readings.ts';
import type { EntityRef } from '../../src/store.ts';
import { MAX_ATTRIBUTE_LENGTH } from '../../src/series.ts';
import { HOST, T0_MS, TEST_METRICS, cycle, flatten, runtime, testStore } from '../support/metrics.ts';
import type { Recorder } from '../../src/receiver.ts';
import type { TestCycle, TestStore } from '../support/metrics.ts';

const { utilization, executions, memory, optional } = TEST_METRICS;

describe('SeriesStore', () => {
  it('scales gauges, adds tallies once, and stamps the time of the sample', () => {
    const store = testStore();
    for (const second of [1, 2]) {
      store.apply(cycle(second), (recorder) => {
        recorder.set(utilization, 50, { core: 0 });
        recorder.add(executions, 10, { outcome: 'completed' });
      });
    }
    expect(flatten(store.collect())).toEqual([
      { metric: 'test.utilization', attributes: { core: 0 }, value: 0.5, startSecond: 0, endSecond: 2 },
      { metric: 'test.executions', attributes: { outcome: 'completed' }, value: 20, startSecond: 0, endSecond: 2 },
    ]);
  });

  it('collecting twice between two samples changes nothing', () => {
    const store = testStore();
    store.apply(cycle(1), (recorder) => recorder.add(executions, 10, { outcome: 'completed' }));
    const first = flatten(store.collect());
    expect(flatten(store.collect())).toEqual(first);
  });

  it('keeps attribute objects, descriptors and points identical over cycles, so that encoders may cache by them', () => {
    const store = testStore();
    const record = (second: number) => store.apply(cycle(second), (recorder) => recorder.set(utilization, second, { core: 0 }));
    record(1);
    const before = store.collect()[0]?.scopeMetrics[0]?.metrics[0];
    const point = before?.dataPoints[0];
    const attributes = point?.attributes;
    record(2);
    const after = store.collect()[0]?.scopeMetrics[0]?.metrics[0];
    expect(after).toBe(before);
    expect(after?.dataPoints[0]).toBe(point);
    expect(point?.attributes).toBe(attributes);
    expect(Object.isFrozen(attributes)).toBe(true);
  });

  it('drops a gauge in the cycle that does not see it, and keeps a hidden counter total for its return', () => {
    const store = testStore();
    store.apply(cycle(1), (recorder) => {
      recorder.set(utilization, 1, { core: 0 });
      recorder.set(utilization, 2, { core: 1 });
      recorder.add(executions, 5, { outcome: 'completed' });
    });
    store.apply(cycle(2), (recorder) => recorder.set(utilization, 3, { core: 1 }));
    expect(flatten(store.collect()).map(({ attributes }) => attributes)).toEqual([{ core: 1 }]);
    store.apply(cycle(3), (recorder) => recorder.add(executions, 1, { outcome: 'completed' }));
    expect(flatten(store.collect())).toEqual([
      { metric: 'test.executions', attributes: { outcome: 'completed' }, value: 6, startSecond: 0, endSecond: 3 },
    ]);
  });

  it('removes points that were not renewed in time, and totals continue when the source returns', () => {
    const store = testStore();
    store.apply(cycle(1, runtime('a')), (recorder) => recorder.add(executions, 5, { outcome: 'completed' }));
    expect([...store.expire(2_000)]).toEqual([]);
    expect([...store.expire(2_500)]).toEqual(['neuroncore_counters']);
    expect(flatten(store.collect())).toEqual([]);
    expect([...store.expire(9_000)]).toEqual([]);
    store.apply(cycle(10, runtime('a')), (recorder) => recorder.add(executions, 2, { outcome: 'completed' }));
    expect(flatten(store.collect())).toEqual([
      { metric: 'test.executions', attributes: { outcome: 'completed' }, value: 7, startSecond: 0, endSecond: 10 },
    ]);
  });

  it('forgets the totals of a process that ended: a new process with the same tag starts from zero', () => {
    const store = testStore();
    store.apply(cycle(1, runtime('a')), (recorder) => recorder.add(executions, 5, { outcome: 'completed' }));
    store.apply(cycle(1, runtime('b')), (recorder) => recorder.add(executions, 7, { outcome: 'completed' }));
    expect(store.retainRuntimes(new Set(['b']))).toBe(1);
    expect(flatten(store.collect()).map(({ value }) => value)).toEqual([7]);
    store.apply(cycle(2, runtime('a')), (recorder) => recorder.add(executions, 1, { outcome: 'completed' }));
    expect(flatten(store.collect()).map(({ value, startSecond }) => [value, startSecond])).toEqual([
      [7, 0],
      [1, 1],
    ]);
  });

  it('forgets suspended processes after the retention time', () => {
    const store = testStore();
    store.apply(cycle(1, runtime('a')), (recorder) => recorder.add(executions, 5, { outcome: 'completed' }));
    store.expire(5_000);
    expect(store.size).toBe(1);
    store.expire(1_001 + SUSPENDED_ENTITY_RETENTION_MS);
    expect(store.size).toBe(0);
  });

  it('takes a falling total as a reset: the value is the new total, the start moves to the last sample', () => {
    const store = testStore();
    const totals = [100, 150, 30, 40];
    const seen = totals.map((total, index) => {
      store.apply(cycle(index + 1), (recorder) => recorder.total(executions, total, { outcome: 'completed' }, T0_MS - 60_000));
      return flatten(store.collect()).map(({ value, startSecond }) => [value, startSecond])[0];
    });
    expect(seen).toEqual([
      [100, -60],
      [150, -60],
      [30, 2],
      [40, 2],
    ]);
  });

  it.each([
    ['left out of three cycles', (store: TestStore) => [2, 3, 4].forEach((second) => store.apply(cycle(second), () => {}))],
    [
      'left out while a neighbour went on',
      (store: TestStore) =>
        [2, 3, 4].forEach((second) =>
          store.apply(cycle(second), (recorder) => recorder.total(executions, second, { outcome: 'timed_out' }, T0_MS)),
        ),
    ],
    ['hidden with its group', (store: TestStore) => store.hide('neuroncore_counters')],
  ])('a counter %s that comes back lower began anew after the sample it was last seen in', (_name, leaveOut) => {
    const store = testStore();
    const record = (second: number, total: number): void => {
      store.apply(cycle(second), (recorder) => recorder.total(executions, total, { outcome: 'completed' }, T0_MS));
    };
    record(1, 100);
    leaveOut(store);
    record(5, 30);
    expect(flatten(store.collect())).toEqual([
      { metric: 'test.executions', attributes: { outcome: 'completed' }, value: 30, startSecond: 1, endSecond: 5 },
    ]);
    record(6, 31);
    expect(flatten(store.collect()).map(({ value, startSecond, endSecond }) => [value, startSecond, endSecond])).toEqual([[31, 1, 6]]);
  });

  it('shows each cycle in the order of the cycle before while the same series come, in a new one when they do not', () => {
    const store = testStore();
    const record = (second: number, cores: readonly number[]): readonly unknown[] => {
      store.apply(cycle(second), (recorder) => {
        for (const core of cores) recorder.set(utilization, second + core, { core });
      });
      return flatten(store.collect()).map(({ attributes, value }) => [attributes['core'], value]);
    };
    expect(record(10, [0, 1, 2])).toEqual([0, 1, 2].map((core) => [core, (10 + core) / 100]));
    expect(record(20, [2, 0, 1])).toEqual([0, 1, 2].map((core) => [core, (20 + core) / 100]));
    expect(record(30, [2, 0])).toEqual([2, 0].map((core) => [core, (30 + core) / 100]));
    expect(record(40, [2, 0, 1, 3])).toEqual([2, 0, 1, 3].map((core) => [core, (40 + core) / 100]));
    expect(record(50, [])).toEqual([]);
  });

  it.each([
    ['NaN', Number.NaN],
    ['infinity', Number.POSITIVE_INFINITY],
    ['a fraction where the row says int', 1.5],
    ['beyond 2^53', 2 ** 53],
    ['a negative count', -1],
  ])('refuses %s, counts it, and keeps the rest', (_name, bad) => {
    const store = testStore();
    const result = store.apply(cycle(1), (recorder) => {
      recorder.add(executions, bad, { outcome: 'bad' });
      recorder.add(executions, 1, { outcome: 'good' });
    });
    expect(result.failures.map(({ error }) => error.code)).toEqual(['source_malformed']);
    expect(flatten(store.collect()).map(({ attributes }) => attributes['outcome'])).toEqual(['good']);
  });

  it.each([
    ['a share', (recorder: Recorder) => recorder.set(utilization, -0.5, { core: 0 })],
    ['a size', (recorder: Recorder) => recorder.set(memory, -4096, { core: 0 })],
    ['a total', (recorder: Recorder) => recorder.total(executions, -3, { outcome: 'completed' })],
  ])('refuses %s that is negative, counts it, and keeps the rest', (_name, record) => {
    const store = testStore();
    const result = store.apply(cycle(1), (recorder) => {
      record(recorder);
      recorder.set(memory, 0, { core: 1 });
    });
    expect(result.failures.map(({ error }) => error.code)).toEqual(['source_malformed']);
    expect(flatten(store.collect()).map(({ metric, value }) => `${metric} ${String(value)}`)).toEqual(['test.memory.usage 0']);
  });

  it('counts two points of one cycle with the same attributes as a failure, never sums them', () => {
    const store = testStore();
    const result = store.apply(cycle(1), (recorder) => {
      recorder.set(memory, 1, { core: 0 });
      recorder.set(memory, 2, { core: 0 });
    });
    expect(result.failures.map(({ error }) => error.code)).toEqual(['internal']);
    expect(flatten(store.collect()).map(({ value }) => value)).toEqual([1]);
  });

  describe('after the wall clock was set back by an hour', () => {
    const HOUR_MS = 3_600_000;
    const back = { sampledAtMs: T0_MS + 3_000 - HOUR_MS, talliesSinceMs: T0_MS + 2_000 - HOUR_MS };
    const setBack = cycle(3, HOST, { ...back, clockState: { shiftMs: -HOUR_MS, setBacks: 1 } });
    const after = (record: (recorder: Recorder, value: number) => void, cycles: readonly TestCycle[] = [cycle(1), cycle(2), setBack]) => {
      const store = testStore();
      for (const [index, time] of cycles.entries()) store.apply(time, (recorder) => record(recorder, index + 1));
      return flatten(store.collect())[0];
    };

    it('a gauge follows the clock', () => {
      const point = after((recorder, value) => recorder.set(memory, value, { core: 0 }));
      expect(point?.endSecond).toBe(3 - 3600);
      expect(point?.startSecond).toBe(2 - 3600);
      expect(point?.value).toBe(3);
    });

    it('what was added up begins again with the period of the sample', () => {
      const point = after((recorder) => recorder.add(executions, 10, { outcome: 'completed' }));
      expect(point?.startSecond).toBe(2 - 3600);
      expect(point?.value).toBe(10);
    });

    it('a histogram begins again', () => {
      const store = testStore();
      for (const time of [cycle(1), cycle(2), setBack])
        store.apply(time, (recorder) => recorder.distribution(TEST_METRICS.latency, { count: 5, quantiles: new Map([[0.5, 1]]) }, {}));
      const [metric] = store.collect()[0]?.scopeMetrics[0]?.metrics ?? [];
      expect(metric?.dataPoints[0]?.value).toMatchObject({ count: 5 });
      expect(flatten(store.collect())[0]?.startSecond).toBe(2 - 3600);
    });

    it('a total of the source keeps its value, and its start moves with the clock', () => {
      const point = after((recorder, value) => recorder.total(executions, value * 100, { outcome: 'completed' }, T0_MS - 60_000));
      expect(point?.startSecond).toBe(-60 - 3600);
      expect(point?.value).toBe(300);
    });

    it('a total that fell in the same cycle began again after the sample before, in the time of now', () => {
      const point = after((recorder, value) => recorder.total(executions, value === 3 ? 1 : 100, { outcome: 'completed' }, T0_MS - 60_000));
      expect(point?.startSecond).toBe(3 - 3600);
      expect(point?.value).toBe(1);
    });

    it('a series that appears only now has the start that the source knows, in the time of now and never after the sample', () => {
      const point = after((recorder) => recorder.total(executions, 1, { outcome: 'completed' }, T0_MS), [setBack]);
      expect(point?.startSecond).toBe(-3600);
      const future = after((recorder) => recorder.total(executions, 1, { outcome: 'completed' }, T0_MS + 60_000), [setBack]);
      expect(future?.startSecond).toBe(3 - 3600);
    });

    it('a counter that was left out of the cycle of the step begins again in the next one', () => {
      const store = testStore();
      store.apply(cycle(1), (recorder) => recorder.add(executions, 10, { outcome: 'completed' }));
      store.apply(setBack, () => {});
      store.apply({ ...setBack, sampledAtMs: setBack.sampledAtMs + 1_000, talliesSinceMs: setBack.sampledAtMs }, (recorder) =>
        recorder.add(executions, 7, { outcome: 'completed' }),
      );
      expect(flatten(store.collect())).toEqual([
        { metric: 'test.executions', attributes: { outcome: 'completed' }, value: 7, startSecond: 3 - 3600, endSecond: 4 - 3600 },
      ]);
    });
  });

  it('a total has a new start also when the clock comes back to what it was', () => {
    const store = testStore();
    const states = [
      { shiftMs: 0, setBacks: 0 },
      { shiftMs: 3_600_000, setBacks: 0 },
      { shiftMs: 0, setBacks: 1 },
    ];
    const starts = states.map((clockState, index) => {
      const sampledAtMs = T0_MS + index * 1000 + clockState.shiftMs;
      store.apply(cycle(index, HOST, { sampledAtMs, clockState }), (recorder) =>
        recorder.total(executions, 5, { outcome: 'completed' }, T0_MS - 60_000),
      );
      return Math.round((flatten(store.collect())[0]?.startSecond ?? Number.NaN) * 1000);
    });
    expect(starts).toEqual([-60_000, -60_000, -59_999]);
  });

  it('refuses new series at the limit, within one cycle too, and takes them again when others are gone', () => {
    const store = testStore({ maxSeries: 3 });
    const record = (second: number, cores: readonly number[]) =>
      store.apply(cycle(second), (recorder) => {
        for (const core of cores) recorder.set(utilization, core, { core });
      });
    expect(record(1, [0, 1, 2, 3, 4]).overLimit).toBe(2);
    expect(store.size).toBe(3);
    record(2, [0]);
    expect(store.size).toBe(1);
    expect(record(3, [0, 5, 6]).overLimit).toBe(0);
  });

  it('cuts attribute values at the documented length', () => {
    const store = testStore();
    store.apply(cycle(1), (recorder) => recorder.add(executions, 1, { outcome: 'x'.repeat(1_000_000) }));
    expect(flatten(store.collect())[0]?.attributes['outcome']).toBe('x'.repeat(MAX_ATTRIBUTE_LENGTH));
  });

  it('records disabled metrics only when they are switched on', () => {
    const off = testStore();
    off.apply(cycle(1), (recorder) => recorder.set(optional, 1, {}));
    expect(flatten(off.collect())).toEqual([]);
    const on = testStore({ isEnabled: () => true });
    on.apply(cycle(1), (recorder) => recorder.set(optional, 1, {}));
    expect(flatten(on.collect())).toHaveLength(1);
  });

  it('gives the host and each process a resource of its own; the user has the last word on attributes', () => {
    const store = testStore({ resource: { 'service.name': 'mine', 'host.id': 'by-user' } });
    store.apply(cycle(1), (recorder) => {
      recorder.resource({ 'host.id': 'i-1', 'host.type': 'trn1.2xlarge', 'cloud.region': undefined });
      recorder.set(utilization, 1, { core: 0 });
    });
    store.apply(cycle(1, runtime('a', { 'process.pid': 42 })), (recorder) => recorder.set(utilization, 2, { core: 0 }));
    expect(store.collect().map(({ resource }) => resource.attributes)).toEqual([
      { 'service.name': 'mine', 'host.id': 'by-user', 'host.type': 'trn1.2xlarge' },
      { 'service.name': 'mine', 'host.id': 'by-user', 'host.type': 'trn1.2xlarge', 'process.pid': 42 },
    ]);
  });

  describe('service.instance.id', () => {
    const idsOf = (hostIdentity: string, entities: readonly EntityRef[], resource: Readonly<Record<string, string>> = {}) => {
      const store = testStore({ resource: { 'service.name': 'test', ...resource } });
      store.identify(hostIdentity);
      for (const entity of [HOST, ...entities]) store.apply(cycle(1, entity), (recorder) => recorder.set(utilization, 1, { core: 0 }));
      return store.collect().map(({ resource: { attributes } }) => String(attributes['service.instance.id']));
    };
    const process = (pid: number, startTimeMs: number, tag: string) => runtime(runtimeKey({ pid, startTimeMs, tag }));
    const PROCESSES = [process(1, 1, '1'), process(2, 1, '1'), process(1, 2, '1'), process(1, 1, '11'), process(11, 1, '1')];

    it('is another one for the host and for each pid, start and tag', () => {
      expect(new Set(idsOf('host-1', PROCESSES)).size).toBe(1 + PROCESSES.length);
    });

    it('is the same after a restart of the agent', () => {
      expect(idsOf('host-1', PROCESSES)).toEqual(idsOf('host-1', PROCESSES));
    });

    it('is another one on another host, for the same processes too', () => {
      expect(new Set([...idsOf('host-1', PROCESSES), ...idsOf('host-2', PROCESSES)]).size).toBe(2 * (1 + PROCESSES.length));
    });

    it('does not show the name of the host', () => {
      expect(idsOf('host-1', []).join(' ')).not.toContain('host-1');
    });

    it("is the user's own for the host, and made from it for the processes", () => {
      const own = { 'service.instance.id': 'mine' };
      const [host, ...processes] = idsOf('host-1', PROCESSES, own);
      expect(host).toBe('mine');
      expect(new Set(processes).size).toBe(PROCESSES.length);
      expect(processes).not.toContain('mine');
      expect(idsOf('host-2', PROCESSES, own)).toEqual([host, ...processes]);
      expect(idsOf('host-1', PROCESSES, { 'service.instance.id': 'another' })).not.toEqual([host, ...processes]);
    });

    it('stays when the host is identified again', () => {
      const store = testStore();
      store.identify('host-1');
      const before = store.hostResource.attributes['service.instance.id'];
      store.identify('host-2');
      expect(store.hostResource.attributes['service.instance.id']).toBe(before);
    });
  });

  it('keeps a resource identical until something about it changes', () => {
    const store = testStore();
    const contribute = (second: number, id: string) => store.apply(cycle(second), (recorder) => recorder.resource({ 'host.id': id }));
    contribute(1, 'a');
    const first = store.hostResource;
    contribute(2, 'a');
    expect(store.hostResource).toBe(first);
    contribute(3, 'b');
    expect(store.hostResource.attributes['host.id']).toBe('b');
  });

  it('returns only groups with a newer cycle when asked with `after`', () => {
    const store = testStore();
    store.apply(cycle(1), (recorder) => recorder.set(utilization, 1, { core: 0 }));
    const after = store.sequence;
    store.apply(cycle(2, runtime('a'), { group: 'memory_used' }), (recorder) => recorder.set(memory, 1, { core: 0 }));
    expect(flatten(store.collect({ after })).map(({ metric }) => metric)).toEqual(['test.memory.usage']);
    expect(flatten(store.collect({ after: store.sequence }))).toEqual([]);
  });

  it('stays flat while thousands of processes come and go', () => {
    const store = testStore({ maxSeries: 1_000 });
    let refused = 0;
    for (let second = 1; second <= 2_000; second += 1) {
      const key = `pid-${second}`;
      store.retainRuntimes(new Set([key]));
      refused += store.apply(cycle(second, runtime(key)), (recorder) => {
        for (let core = 0; core < 32; core += 1) recorder.set(utilization, core, { core });
        recorder.add(executions, 1, { outcome: 'completed' });
      }).overLimit;
    }
    expect(refused).toBe(0);
    expect(store.size).toBe(33);
    expect(flatten(store.collect())).toHaveLength(33);
  });
});
