import { describe, expect, it, onTestFinished } from 'vitest';
import { VIRTUAL_INSTANCE_TYPES } from '../../../simulator/instances.ts';
import { virtualNeuronMonitorLines } from '../../../simulator/neuron-monitor-lines.ts';
import { asObject, asObjects, parseObject } from '../../e2e/support/json.ts';
import type { JsonObject } from '../../e2e/support/json.ts';
import { countsByTag, NativeAgent } from '../../support/native-agent.ts';
import type { NativeAgentOptions } from '../../support/native-agent.ts';
import { AwsScript } from '../../support/readers/aws-script.ts';
import { ALL_SMI_WAIT_MS, allSmiUtilization } from '../../support/readers/all-smi.ts';
import { ScaleneNeuron } from '../../support/readers/scalene.ts';
import { wandbEnvironment, wandbRow } from '../../support/readers/wandb.ts';
import { missingMembersOfRecord } from '../../support/required-members.ts';

const RUNTIME_GROUPS = ['execution_stats', 'memory_used', 'neuron_runtime_vcpu_usage', 'neuroncore_counters'];
const SYSTEM_GROUPS = ['memory_info', 'neuron_hw_counters', 'vcpu_usage'];
const EVERY_SECOND = {
  period: '1s',
  neuron_runtimes: [{ tag_filter: '.*', metrics: RUNTIME_GROUPS.map((type) => ({ type })) }],
  system_metrics: SYSTEM_GROUPS.map((type) => ({ type })),
};
const MIXED_PERIODS = {
  period: '1s',
  neuron_runtimes: [
    {
      tag_filter: '.*',
      metrics: [
        { type: 'neuroncore_counters' },
        { type: 'execution_stats', period: '5s' },
        { type: 'memory_used', period: '2s' },
        { type: 'neuron_runtime_vcpu_usage', period: '3s' },
      ],
    },
  ],
  system_metrics: [{ type: 'vcpu_usage' }, { type: 'memory_info', period: '2s' }, { type: 'neuron_hw_counters', period: '10s' }],
};
/** Longer than any period above, so that every group is read once more after the host stands still. */
const LAST_READINGS_MS = 12_000;
/**
 * Timeouts, bad input and ECC errors come in the half minute after this, and nothing starts or ends. The host's model moves every 100 ms, so
 * it moves in the middle of the first tenth of a second.
 */
const WARM_UP_MS = 121_050;

/** Sources that answer late: each third time, long after the rest; longer than a period; the one that has the facts. */
const SLOW = {
  'a datastore that answers late now and then': { nds: (read: number) => (read % 3 === 0 ? 400 : 0) },
  'a datastore that always takes longer than a period': { nds: () => 1_300 },
  'two sources that answer late at different times': { nds: () => 300, procfs: () => 700, sysfs: (read: number) => (read > 1 ? 2_100 : 0) },
} as const;

async function start(options: Pick<NativeAgentOptions, 'config'> & Partial<NativeAgentOptions>): Promise<NativeAgent> {
  const agent = await NativeAgent.start({ instanceType: 'trn2.3xlarge', seed: 3, warmUpMs: WARM_UP_MS, ...options });
  onTestFinished(() => agent[Symbol.asyncDispose]());
  return agent;
}

/** What was counted since the first readings, by tag and name. */
async function countedIn(agent: NativeAgent, live: () => Promise<void>): Promise<ReadonlyMap<string, number>> {
  const before = countsByTag(agent.host.truth());
  await live();
  await agent.still(LAST_READINGS_MS);
  return new Map([...countsByTag(agent.host.truth())].map(([key, count]) => [key, count - (before.get(key) ?? 0)]));
}

function addedBy(script: AwsScript): ReadonlyMap<string, number> {
  const added = new Map<string, number>();
  for (const [series, value] of script.series) {
    const [, tag, name] = /^execution_(?:status|errors)_total\{runtime_tag=(.*),(?:status|error)_type=(.*)\}$/.exec(series) ?? [];
    if (name !== undefined) added.set(`${tag} ${name}`, value);
  }
  return added;
}

function expectTotals(lines: NativeAgent['lines'], truth: ReadonlyMap<string, number>): void {
  const script = new AwsScript();
  for (const { text } of lines) script.read(parseObject(text));
  const added = addedBy(script);
  expect(Object.fromEntries([...truth].map(([key]) => [key, added.get(key)]))).toEqual(Object.fromEntries(truth));
  expect(Math.max(...truth.values())).toBeGreaterThan(500);
}

function expectWholeLines(lines: NativeAgent['lines']): void {
  for (const { text } of lines) {
    const record = parseObject(text);
    expect(missingMembersOfRecord(record)).toEqual([]);
    expect(record['neuron_hardware_info']).toMatchObject({ neuron_device_count: 1 });
    expect(asObjects(record['neuron_runtime_data'], 'runtimes')).toHaveLength(2);
  }
}

/** Group names of a line, those of processes with their pid. */
function groupsOf(record: JsonObject): readonly string[] {
  const runtimes = asObjects(record['neuron_runtime_data'], 'neuron_runtime_data');
  return [
    ...runtimes.flatMap((runtime) =>
      Object.keys(asObject(runtime['report'], 'report')).map((group) => `${String(runtime['pid'])} ${group}`),
    ),
    ...Object.keys(asObject(record['system_data'] ?? {}, 'system_data')),
  ];
}

/** The same for all processes together. */
function namesOfGroups(line: string): ReadonlySet<string> {
  return new Set(groupsOf(parseObject(line)).map((group) => group.replace(/^\d+ /, '')));
}

describe("AWS's script, reading the lines of native sources", () => {
  it.each([
    ['one period', EVERY_SECOND],
    ['mixed periods', MIXED_PERIODS],
  ])('adds up exactly what was executed, with %s', async (_name, config) => {
    const agent = await start({ config });
    const truth = await countedIn(agent, () => agent.live(11_000));
    expectTotals(agent.lines, truth);
    expectWholeLines(agent.lines);
  });

  it.each(Object.entries(SLOW))('adds up exactly what was executed, with mixed periods and %s', async (_name, slowness) => {
    const agent = await start({ config: MIXED_PERIODS, slowness });
    const truth = await countedIn(agent, () => agent.live(11_000));
    expectTotals(agent.lines, truth);
    expectWholeLines(agent.lines);
  });

  it('adds up exactly what was executed, with an agent that is stopped and continued', async () => {
    const agent = await start({ config: EVERY_SECOND });
    const truth = await countedIn(agent, async () => {
      for (const stoppedMs of [350, 900, 3_300, 350, 7_100, 50]) {
        await agent.live(400);
        await agent.stopped(stoppedMs);
      }
    });
    expectTotals(agent.lines, truth);
    expectWholeLines(agent.lines);
  });

  it('adds up exactly what was executed, stopped and continued while a source is slow', async () => {
    const agent = await start({ config: MIXED_PERIODS, slowness: { nds: () => 200, procfs: () => 90 } });
    const truth = await countedIn(agent, async () => {
      for (let pause = 0; pause < 20; pause += 1) {
        await agent.live(100);
        await agent.stopped(350);
      }
    });
    expectTotals(agent.lines, truth);
    expectWholeLines(agent.lines);
  });

  it('adds up what a virtual neuron-monitor printed in its records', () => {
    const lines = virtualNeuronMonitorLines({ instanceType: 'trn1.32xlarge', seed: 4, periodMs: 1_000, warmupMs: WARM_UP_MS });
    const script = new AwsScript();
    let completed = 0;
    for (let line = 0; line < 5; line += 1) {
      const record = parseObject(lines.next().value);
      expect(missingMembersOfRecord(record)).toEqual([]);
      script.read(record);
      for (const runtime of asObjects(record['neuron_runtime_data'], 'runtimes'))
        completed += Number(Object(runtime)['report']['execution_stats']['execution_summary']['completed']);
    }
    const added = [...addedBy(script)].filter(([key]) => key.endsWith(' completed')).reduce((sum, [, count]) => sum + count, 0);
    expect(added).toBe(completed);
    expect(completed).toBeGreaterThan(0);
  });
});

describe('the lines of native sources', () => {
  it('hold the groups whose period is over, and nothing that was printed before', async () => {
    const agent = await start({ config: MIXED_PERIODS });
    await agent.live(10_100);
    const periods = {
      neuroncore_counters: 1,
      memory_used: 2,
      neuron_runtime_vcpu_usage: 3,
      execution_stats: 5,
      vcpu_usage: 1,
      memory_info: 2,
      neuron_hw_counters: 10,
    };
    for (const [second, { text }] of agent.lines.entries()) {
      if (second === 0) continue;
      const due = Object.entries(periods).flatMap(([group, period]) => (second % period === 0 ? [group] : []));
      expect(namesOfGroups(text), `line ${second}`).toEqual(new Set(due));
    }
    expect(agent.lines).toHaveLength(11);
  });

  it('hold nothing but what was late when a source is late', async () => {
    const agent = await start({ config: EVERY_SECOND, slowness: { procfs: (read) => (read > 2 ? 400 : 0) } });
    await agent.live(1_600);
    const [, onTime, late] = agent.lines.map(({ text }) => namesOfGroups(text));
    expect(onTime).toEqual(new Set(['execution_stats', 'memory_used', 'neuroncore_counters', 'neuron_hw_counters']));
    expect(late).toEqual(new Set(['neuron_runtime_vcpu_usage', 'vcpu_usage', 'memory_info']));
  });
});

describe('the first line of native sources', () => {
  // The largest host, whose files take seconds to write, is read by a real process: test/e2e/json-first-line.test.ts.
  it.each(VIRTUAL_INSTANCE_TYPES.filter((type) => type !== 'trn2.48xlarge'))(
    'has every group that later ones have, within two seconds: %s',
    async (instanceType) => {
      const agent = await start({ config: EVERY_SECOND, instanceType });
      await agent.live(3_100);
      const [first, ...later] = agent.lines;
      expect(first?.atMs).toBeLessThan(ALL_SMI_WAIT_MS);
      const groups = groupsOf(parseObject(first?.text ?? ''));
      expect(groups).toEqual(groupsOf(parseObject(later.at(-1)?.text ?? '')));
      expect(later).toHaveLength(3);
    },
  );

  it('has periods of at most a tenth of a second, as that of neuron-monitor', async () => {
    const agent = await start({ config: EVERY_SECOND });
    await agent.live(200);
    const periods = [...(agent.lines[0]?.text ?? '').matchAll(/"period":([\d.]+)/g)].map(([, period]) => Number(period));
    expect(Math.min(...periods)).toBeGreaterThanOrEqual(0.06);
    expect(Math.max(...periods)).toBeLessThanOrEqual(0.1);
  });

  it('comes within two seconds when a source does not answer, whose groups follow', async () => {
    const agent = await start({ config: EVERY_SECOND, slowness: { nds: (read) => (read === 1 ? 3_000 : 0) } });
    await agent.live(6_100);
    const [first] = agent.lines;
    expect(first?.atMs).toBeLessThan(ALL_SMI_WAIT_MS);
    expect(groupsOf(parseObject(first?.text ?? ''))).toEqual(expect.arrayContaining(['memory_info', 'vcpu_usage', 'neuron_hw_counters']));
    expect(agent.lines.some(({ text }) => namesOfGroups(text).has('execution_stats'))).toBe(true);
    expectWholeLines(agent.lines);
  });

  it('is what all-smi shows: the milliseconds of a tenth of a second that each core was busy', async () => {
    const agent = await start({ config: EVERY_SECOND, instanceType: 'trn1.32xlarge' });
    const busyBefore = busyMsByCore(agent);
    await agent.live(100);
    const busyMs = busyMsByCore(agent);
    const utilization = allSmiUtilization(agent.lines[0]?.text ?? '');
    expect(utilization.size).toBe(30);
    for (const [core, percent] of utilization)
      expect(percent).toBeCloseTo(Math.min(100, (busyMs.get(core) ?? 0) - (busyBefore.get(core) ?? 0)), 6);
    expect(Math.max(...utilization.values())).toBeGreaterThan(10);
  });
});

/** Milliseconds that each core was busy since its process started; one physical core is one logical core here. */
function busyMsByCore(agent: NativeAgent): ReadonlyMap<number, number> {
  const coresPerDevice = agent.host.truth().instance.physicalCoresPerDevice;
  return new Map(
    agent.host
      .truth()
      .processes.flatMap(({ cores }) =>
        cores.map(
          ({ device, physicalCore, counters }) => [device * coresPerDevice + physicalCore, Number(counters[0] ?? 0n) / 1e9] as const,
        ),
      ),
  );
}

describe('wandb and Scalene, reading the lines of native sources', () => {
  it('wandb has a row for each line, with the memory of its process, and the device counts of the first one', async () => {
    const agent = await start({ config: EVERY_SECOND });
    await agent.live(3_100);
    await agent.still(1_000);
    for (const { pid, cores, hostMemoryBytes } of agent.host.truth().processes) {
      const rows = agent.lines.map(({ text }) => wandbRow(text, { pid }));
      expect(rows.every((row) => row !== undefined)).toBe(true);
      const printed = JSON.stringify(rows.at(-1));
      expect(Object.keys(rows.at(-1) ?? {}).length).toBeGreaterThan(cores.length);
      expect(printed).toContain('trn.host_memory_usage.tensors');
      const tensors = [...hostMemoryBytes.values()].reduce((sum, bytes) => sum + (bytes[1] ?? 0), 0);
      expect(rows.at(-1)?.['trn.host_memory_usage.tensors']).toBe(tensors);
    }
    expect(wandbEnvironment(agent.lines[0]?.text ?? '')).toEqual({ devices: 1, coresPerDevice: 4 });
  });

  it('wandb has the core of LOCAL_RANK alone', async () => {
    const agent = await start({ config: EVERY_SECOND });
    await agent.live(1_100);
    const row = wandbRow(agent.lines.at(-1)?.text ?? '', { pid: 0, localRank: 3 });
    const cores = Object.keys(row ?? {}).flatMap((key) => /^trn\.(\d+)\./.exec(key)?.[1] ?? []);
    expect(new Set(cores)).toEqual(new Set(['3']));
  });

  it('Scalene reads every line, and the memory of all cores', async () => {
    const agent = await start({ config: EVERY_SECOND });
    await agent.live(3_100);
    await agent.still(1_000);
    const scalene = new ScaleneNeuron();
    for (const { text } of agent.lines) {
      scalene.read(text);
      expect(scalene.utilization).toBeGreaterThanOrEqual(0);
      expect(scalene.utilization).toBeLessThanOrEqual(1);
      expect(scalene.memoryBytes).toBeGreaterThan(0);
    }
    expect(scalene.memoryBytes).toBe(
      agent.host
        .truth()
        .processes.reduce((sum, { cores }) => sum + cores.reduce((bytes, { memoryBytes }) => bytes + total(memoryBytes), 0), 0),
    );
    expect(scalene.cpuUtilization).toBeGreaterThan(0);
  });
});

function total(bytes: Float64Array): number {
  return bytes.reduce((sum, value) => sum + value, 0);
}
