import { describe, expect, test } from 'vitest';
import * as fc from 'fast-check';
import { DatastoreCollector } from '../../../sources/nds/collector.ts';
import type { CollectRequest } from '../../../sources/nds/collector.ts';
import { AgentError } from '../../../src/errors.ts';
import { FakeDriver, count, setLatency } from './fake-driver.ts';

const ALL = ['execution_stats', 'memory_used', 'neuroncore_counters'] as const;
const CONTENT = { shortTag: 'train', runtimeVersion: [2, 34, 10] } as const;
const [TIME, COMPLETED, TIMED_OUT, ERR_HW, MACS] = [0, 1, 4, 11, 29];

const NOTHING_RAN = {
  summary: { completed: 0, completed_with_err: 0, completed_with_num_err: 0, timed_out: 0, incorrect_input: 0, failed_to_queue: 0 },
  errors: { generic: 0, numerical: 0, model: 0, transient: 0, hardware: 0, runtime: 0 },
};

function setUp(deviceCount = 1) {
  const driver = new FakeDriver(deviceCount);
  const startTicks = new Map<number, number>();
  let nowMs = 0;
  const collector = new DatastoreCollector({ access: driver, monotonicMs: () => nowMs, startTicksOf: (pid) => startTicks.get(pid) });
  const collect = (request: Partial<CollectRequest> = {}) =>
    collector.collect({ groups: ALL, coresPerDevice: 2, knownPids: [], ...request });
  return {
    driver,
    startTicks,
    collector,
    collect,
    after: (ms: number, request: Partial<CollectRequest> = {}) => {
      nowMs += ms;
      return collect(request);
    },
  };
}

describe('what a process did', () => {
  test('first sight is a baseline; then utilization, FLOP/s, executions, errors, latency and memory', () => {
    const { driver, startTicks, collector, collect, after } = setUp();
    startTicks.set(42, 900);
    const slab = driver.start(0, 42, {
      ...CONTENT,
      deviceCounters: { 6: 10n, 7: 20n, 8: 30n, 9: 40n, 10: 50n },
      cores: { 0: { [COMPLETED]: 1_000n, 22: 1n, 23: 2n, 24: 3n, 25: 4n, 26: 5n }, 1: { 23: 7n } },
    });
    const first = collect();
    expect(first).toMatchObject({ isComplete: true, failures: [] });
    expect(first.processes).toStrictEqual([
      {
        pid: 42,
        startTicks: 900,
        tag: 'train',
        runtimeVersion: '2.34.10',
        devices: [
          {
            device: 0,
            memory: {
              host: { code: 10, tensors: 20, constants: 30, scratchpad: 40, misc: 50 },
              cores: [
                { code: 1, tensors: 2, constants: 3, scratchpad: 4, misc: 5 },
                { code: 0, tensors: 7, constants: 0, scratchpad: 0, misc: 0 },
              ],
              models: [],
            },
          },
        ],
      },
    ]);
    for (let execution = 0; execution < 40; execution += 1) {
      setLatency(slab, 0, 0.01 + execution / 10_000);
      count(slab, 0, COMPLETED, 1n);
      count(slab, 0, TIME, 12_000n);
      count(slab, 0, MACS, 5_000_000_000n);
      collector.poll();
    }
    count(slab, 1, TIMED_OUT, 2n);
    count(slab, 1, ERR_HW, 1n);
    const [process] = after(1_000).processes;
    expect(process?.devices[0]?.rates).toEqual({
      periodSeconds: 1,
      cores: [
        { utilization: 48, flopsPerSecond: 400_000_000_000 },
        { utilization: 0, flopsPerSecond: 0 },
      ],
    });
    expect(process?.executions).toMatchObject({
      periodSeconds: 1,
      summary: { completed: 40, completed_with_err: 0, timed_out: 2 },
      errors: { generic: 0, hardware: 1 },
      latency: { coverage: 1, device: { p0: 0.01, p100: 0.0139 } },
    });
  });

  test('an execution that completes while the datastore is read belongs to the next period, with its latency', () => {
    const { driver, collect, after } = setUp();
    const slab = driver.start(0, 42, CONTENT);
    collect();
    driver.onRefresh = () => {
      driver.onRefresh = () => {
        driver.onRefresh = undefined;
        setLatency(slab, 0, 0.25);
        count(slab, 0, COMPLETED, 1n);
      };
    };
    expect(after(1_000).processes[0]?.executions).toStrictEqual({ ...NOTHING_RAN, periodSeconds: 1 });
    const [process] = after(1_000).processes;
    expect(process?.executions).toMatchObject({ summary: { completed: 1 }, latency: { coverage: 1, device: { p50: 0.25 } } });
  });

  test('each group has its own period', () => {
    const { driver, collect, after } = setUp();
    const slab = driver.start(0, 42, CONTENT);
    collect();
    count(slab, 0, COMPLETED, 1n);
    after(1_000, { groups: ['neuroncore_counters'] });
    count(slab, 0, COMPLETED, 2n);
    const [process] = after(1_000).processes;
    expect(process?.executions).toMatchObject({ periodSeconds: 2, summary: { completed: 3 } });
    expect(process?.devices[0]?.rates?.periodSeconds).toBe(1);
  });

  test('utilization is absent until its unit is known, and then right', () => {
    const { driver, collect, after } = setUp();
    const slab = driver.start(0, 42, CONTENT);
    collect();
    count(slab, 0, TIME, 500_000n);
    expect(after(1_000).processes[0]?.devices[0]?.rates?.cores[0]).toEqual({ flopsPerSecond: 0 });
    // Full speed in picoseconds: nothing else has so many in a second.
    count(slab, 0, TIME, 900_000_000_000n);
    expect(after(1_000).processes[0]?.devices[0]?.rates?.cores[0]?.utilization).toBeCloseTo(90, 6);
  });

  test('executions longer than the interval never cost the unit, wherever in an interval they end', () => {
    const { driver, collect, after } = setUp();
    const slab = driver.start(0, 42, { ...CONTENT, cores: {} });
    collect();
    const utilizations: (number | undefined)[] = [];
    let endedMs = 0;
    for (let nowMs = 1_000; nowMs <= 240_000; nowMs += 1_000) {
      // One execution after the other, 2.4 s each: the counter moves at every second or third reading.
      for (; endedMs + 2_400 <= nowMs; endedMs += 2_400) {
        count(slab, 0, TIME, 2_400_000_000_000n);
        count(slab, 0, COMPLETED, 1n);
        setLatency(slab, 0, 2.4);
      }
      utilizations.push(after(1_000).processes[0]?.devices[0]?.rates?.cores[0]?.utilization);
    }
    const known = utilizations.slice(utilizations.lastIndexOf(undefined) + 1);
    expect(known.length).toBeGreaterThan(200);
    expect(known.reduce<number>((sum, percent) => sum + (percent ?? 0), 0) / known.length).toBeCloseTo(100, -1);
  });

  test('executions that take as long as half an interval: two of them can be more than one interval, and nothing is doubted', () => {
    const { driver, collect, after } = setUp();
    const slab = driver.start(0, 42, CONTENT);
    collect();
    // 2.7 s each, one after the other without a pause: completions at 2.7 s, 5.4 s, 8.1 s, 10.8 s, …
    const completed = [1, 2, 2, 2, 2, 2, 1, 2, 2, 2, 2, 2].map((executions) => {
      count(slab, 0, COMPLETED, BigInt(executions));
      count(slab, 0, TIME, BigInt(executions) * 2_700_000_000_000n);
      return after(5_000).processes[0]?.devices[0]?.rates?.cores[0]?.utilization;
    });
    expect(completed.slice(0, 2)).toEqual([undefined, 100]);
    expect(completed.slice(1)).not.toContain(undefined);
  });

  test('a process on two devices is one process', () => {
    const { driver, collect, after } = setUp(2);
    const slabs = [driver.start(0, 42, CONTENT), driver.start(1, 42, CONTENT)];
    driver.start(1, 43, { ...CONTENT, shortTag: 'other' });
    collect();
    for (const slab of slabs) count(slab, 0, COMPLETED, 5n);
    const { processes } = after(1_000);
    expect(processes.map(({ pid, tag, devices }) => [pid, tag, devices.map(({ device }) => device)])).toEqual([
      [42, 'train', [0, 1]],
      [43, 'other', [1]],
    ]);
    expect(processes[0]?.executions?.summary).toMatchObject({ completed: 10 });
  });

  test('a process is looked up when a round begins and when it ends, however many devices it has', () => {
    const driver = new FakeDriver(3);
    const asked: number[] = [];
    const startTicksOf = (pid: number): number | undefined => (asked.push(pid), undefined);
    const collector = new DatastoreCollector({ access: driver, monotonicMs: () => 0, startTicksOf });
    for (const device of [0, 1, 2]) driver.start(device, 42, CONTENT);
    driver.start(2, 43, CONTENT);
    for (let round = 0; round < 2; round += 1) collector.collect({ groups: ALL, coresPerDevice: 2, knownPids: [] });
    expect(asked).toEqual([42, 43, 42, 43, 42, 43, 42, 43]);
  });

  test('a pid that got another owner during a round is nobody in it, and the new owner from the next round on', () => {
    const driver = new FakeDriver(2);
    const answers = [900, 900, 900, 901, 901, 901];
    const collector = new DatastoreCollector({ access: driver, monotonicMs: () => 0, startTicksOf: () => answers.shift() });
    for (const device of [0, 1]) driver.start(device, 42, CONTENT);
    const seen = [1, 2, 3].map(() => collector.collect({ groups: ALL, coresPerDevice: 2, knownPids: [] }).processes);
    expect(seen.map((processes) => processes.map(({ pid, startTicks }) => [pid, startTicks]))).toEqual([[[42, 900]], [], [[42, 901]]]);
  });

  test('a tool that attached without a datastore is no runtime', () => {
    const { driver, collect } = setUp();
    driver.device(0).attached.add(77);
    expect(collect()).toEqual({ processes: [], isComplete: true, failures: [] });
  });
});

describe('a process that ends while it is read', () => {
  test('is missing, and nothing has failed: everybody who is there is named', () => {
    const { driver, collect } = setUp();
    const slab = driver.start(0, 42, CONTENT);
    driver.start(0, 43, CONTENT);
    driver.onRefresh = () => {
      // What the driver does when the owner is gone (neuron_ds.c, 2.30.2).
      slab.memory.fill(0, 0, 8);
      driver.end(0, 42);
    };
    expect(collect()).toMatchObject({ processes: [{ pid: 43 }], isComplete: true, failures: [] });
  });

  test('so does one that is gone before it is mapped', () => {
    const { driver, collect } = setUp();
    driver.start(0, 42, CONTENT);
    driver.start(0, 43, CONTENT);
    driver.onMap = (pid) => {
      if (pid === 42) driver.end(0, 42);
    };
    expect(collect()).toMatchObject({ processes: [{ pid: 43 }], isComplete: true, failures: [] });
  });
});

describe('a datastore with a new owner begins anew', () => {
  test.each([
    ['a new place', (driver: FakeDriver) => void driver.start(0, 42, { ...CONTENT, cores: { 0: { [COMPLETED]: 5_000n } } })],
    [
      'counters that fell',
      (driver: FakeDriver) => {
        const slab = driver.device(0).slabs.get(42);
        if (slab !== undefined) count(slab, 0, COMPLETED, -900n);
      },
    ],
  ])('%s', (_name, change) => {
    const { driver, collect, after } = setUp();
    driver.start(0, 42, { ...CONTENT, cores: { 0: { [COMPLETED]: 1_000n } } });
    collect();
    after(1_000);
    change(driver);
    const [process] = after(1_000).processes;
    expect(process).not.toHaveProperty('executions');
    expect(process?.devices[0]).not.toHaveProperty('rates');
    expect(after(1_000).processes[0]?.executions?.summary).toMatchObject({ completed: 0 });
  });

  test('a new process with an old pid in the same place', () => {
    const { driver, startTicks, collect, after } = setUp();
    startTicks.set(42, 1);
    const slab = driver.start(0, 42, CONTENT);
    collect();
    count(slab, 0, COMPLETED, 7n);
    startTicks.set(42, 2);
    expect(after(1_000).processes[0]).not.toHaveProperty('executions');
  });

  test('mappings come and go with processes', () => {
    const { driver, collect, collector } = setUp(2);
    driver.start(0, 42, CONTENT);
    driver.start(1, 42, CONTENT);
    collect();
    expect(driver.mapped).toBe(2);
    driver.end(0, 42);
    collect();
    expect(driver.mapped).toBe(1);
    collector[Symbol.dispose]();
    collector[Symbol.dispose]();
    expect(driver.mapped).toBe(0);
    expect(driver.log.filter((line) => line.startsWith('close'))).toHaveLength(2);
  });
});

describe('a datastore that changes under the reader', () => {
  test('once: it is read again', () => {
    const { driver, collect } = setUp();
    const slab = driver.start(0, 42, CONTENT);
    let refreshes = 0;
    driver.onRefresh = () => {
      refreshes += 1;
      if (refreshes === 2) slab.memory[44_340] = 0x78;
    };
    expect(collect()).toMatchObject({ processes: [{ pid: 42 }], failures: [] });
  });

  test('all the time: nothing is believed, and no process is declared dead', () => {
    const { driver, collect } = setUp();
    const slab = driver.start(0, 42, CONTENT);
    driver.onRefresh = () => {
      slab.memory[44_340] = (slab.memory[44_340] ?? 0) ^ 1;
    };
    expect(collect()).toMatchObject({ processes: [], isComplete: false, failures: [{ code: 'source_stale' }] });
  });

  test('records that once had checksums are not believed without', () => {
    const { driver, collect, after } = setUp();
    const slab = driver.start(0, 42, CONTENT);
    collect();
    slab.memory[1253] = 0x78;
    expect(after(1_000)).toMatchObject({ processes: [], isComplete: false, failures: [{ code: 'source_stale' }] });
    slab.memory[1253] = 0x74;
    expect(after(1_000)).toMatchObject({ processes: [{ tag: 'train' }], failures: [] });
  });

  test('its owner leaves while it is read: the counters are nobody’s', () => {
    const { driver, collect } = setUp();
    driver.start(0, 42, CONTENT);
    let refreshes = 0;
    driver.onRefresh = () => {
      refreshes += 1;
      if (refreshes === 2) driver.device(0).slabs.delete(42);
    };
    expect(collect().processes).toEqual([]);
  });

  test('counters may move while it is read', () => {
    const { driver, collect } = setUp();
    const slab = driver.start(0, 42, CONTENT);
    driver.onRefresh = () => count(slab, 0, COMPLETED, 1n);
    expect(collect()).toMatchObject({ processes: [{ pid: 42 }], failures: [] });
  });
});

describe('a layout that does not prove itself', () => {
  test('costs tag, version and models, is said once, and leaves the counters', () => {
    const { driver, collect, after } = setUp();
    const slab = driver.start(0, 42, { ...CONTENT, sealed: false, shortTag: '\u0001', longTag: '' });
    const first = collect();
    expect(first.failures).toEqual([{ code: 'source_malformed', message: expect.stringContaining('tag, versions and models') }]);
    expect(first.processes[0]).not.toHaveProperty('tag');
    count(slab, 0, COMPLETED, 3n);
    expect(after(1_000)).toMatchObject({ failures: [], processes: [{ executions: { summary: { completed: 3 } } }] });
  });

  test('an unused slab is no runtime, said once', () => {
    const { driver, collect, after } = setUp();
    driver.start(0, 42, CONTENT).memory.fill(0);
    expect(collect()).toMatchObject({ processes: [], failures: [{ code: 'source_malformed' }] });
    expect(after(1_000)).toEqual({ processes: [], failures: [], isComplete: true });
  });

  test('more memory than there can be costs the memory', () => {
    const { driver, collect } = setUp();
    driver.start(0, 42, { ...CONTENT, cores: { 1: { 23: 1n << 60n } } });
    const { processes, failures } = collect();
    expect(processes[0]?.devices[0]).not.toHaveProperty('memory');
    expect(failures).toMatchObject([{ message: expect.stringContaining('more memory') }]);
  });
});

describe('etiquette', () => {
  test('an idle device is closed after 10 s and looked at once a minute', () => {
    const { driver, collect, after } = setUp();
    collect();
    for (let second = 0; second < 200; second += 1) after(1_000);
    // Opened at 0, closed at 10; a look at 70 stays open for 10 s, and so on.
    expect(driver.log).toEqual(['open 0', 'close 0', 'open 0', 'close 0', 'open 0', 'close 0']);
  });

  test('a process that is known from elsewhere ends the pause', () => {
    const { driver, collect, after } = setUp();
    collect();
    after(10_000);
    expect(driver.log).toEqual(['open 0', 'close 0']);
    driver.start(0, 42, CONTENT);
    expect(after(1_000).processes).toEqual([]);
    expect(after(1_000, { knownPids: [42] }).processes).toMatchObject([{ pid: 42 }]);
  });

  test('a device in use stays open', () => {
    const { driver, collect, after } = setUp();
    driver.start(0, 42, CONTENT);
    collect();
    for (let minute = 0; minute < 10; minute += 1) after(60_000);
    expect(driver.log).toEqual(['open 0']);
  });

  test('the last of sixteen slots is given back for a minute', () => {
    const { driver, collect, after } = setUp();
    for (let pid = 101; pid <= 115; pid += 1) driver.device(0).attached.add(pid);
    expect(collect()).toMatchObject({
      isComplete: false,
      failures: [{ code: 'source_denied', message: expect.stringContaining('stepping back') }],
    });
    expect(driver.log).toEqual(['open 0', 'close 0']);
    driver.device(0).attached.delete(101);
    expect(after(59_000)).toMatchObject({ failures: [], isComplete: false });
    after(1_000);
    expect(driver.log).toEqual(['open 0', 'close 0', 'open 0']);
  });

  test('a device that cannot be opened costs that device, and is tried again after a minute', () => {
    const { driver, collect, after } = setUp(2);
    driver.device(0).openFails = new AgentError('source_denied', 'nds', 'busy');
    driver.start(1, 42, CONTENT);
    expect(collect()).toMatchObject({
      isComplete: false,
      processes: [{ pid: 42 }],
      failures: [{ code: 'source_denied', message: 'busy' }],
    });
    expect(after(30_000, { knownPids: [42] }).failures).toEqual([]);
    delete driver.device(0).openFails;
    after(30_000);
    expect(driver.log).toEqual(['refused 0', 'open 1', 'open 0']);
  });
});

describe('any course of events', () => {
  test('never a negative tally, never a count of another process, never a mapping too many', () => {
    const step = fc.record({
      pid: fc.integer({ min: 10, max: 14 }),
      action: fc.constantFrom('start', 'end', 'work', 'work', 'work'),
      amount: fc.nat(1_000),
    });
    fc.assert(
      fc.property(fc.array(step, { maxLength: 60 }), (steps) => {
        const { driver, startTicks, after } = setUp();
        const truth = new Map<number, { done: number; reported: number; seen: boolean; tag: string }>();
        for (const [index, { pid, action, amount }] of steps.entries()) {
          const process = truth.get(pid);
          if (action === 'start') {
            startTicks.set(pid, index);
            driver.start(0, pid, { ...CONTENT, shortTag: `run-${index}`, cores: { 0: { [COMPLETED]: BigInt(amount) } } });
            truth.set(pid, { done: 0, reported: 0, seen: false, tag: `run-${index}` });
          } else if (action === 'end') {
            driver.end(0, pid);
            truth.delete(pid);
          } else if (process !== undefined) {
            const slab = driver.device(0).slabs.get(pid);
            if (slab !== undefined) count(slab, 0, COMPLETED, BigInt(amount));
            if (process.seen) process.done += amount;
          }
          const sample = after(100);
          expect(sample.failures).toEqual([]);
          expect(new Set(sample.processes.map(({ pid: found }) => found))).toEqual(new Set(truth.keys()));
          for (const { pid: found, tag, executions } of sample.processes) {
            const known = truth.get(found);
            expect(tag).toBe(known?.tag);
            if (known === undefined) continue;
            known.seen = true;
            known.reported += executions?.summary['completed'] ?? 0;
            expect(known.reported).toBe(known.done);
          }
          expect(driver.mapped).toBe(truth.size);
        }
      }),
      { numRuns: 200 },
    );
  });
});
