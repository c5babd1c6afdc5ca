import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from 'vitest';
import { neuronMonitorFile, periodsOf, selectionOf } from '../../config/groups.ts';
import { loadInput } from '../support/settings.ts';
import { firstMatch } from '../../config/tag-filter.ts';
import { RUNTIME_GROUPS, SYSTEM_GROUPS } from '../../src/readings.ts';
import { loaded, problemsOf, warningsOf } from './support.ts';

const SAMPLES = fileURLToPath(new URL('../../../shared/samples/', import.meta.url));

function config(value: unknown) {
  return loaded({ text: JSON.stringify(value) });
}

describe('without a choice of groups', () => {
  it.each([undefined, '{}', '{"exporters": {"prometheus": {}}}'])('everything is collected every five seconds: %s', (text) => {
    const all = loaded(text === undefined ? {} : { text });
    expect(all.periodMs).toBe(5_000);
    expect([...periodsOf(all)]).toEqual([...RUNTIME_GROUPS, ...SYSTEM_GROUPS].map((group) => [group, 5_000]));
    expect(firstMatch(all.runtimes)('any tag')?.groups.execution_stats).toEqual({ periodMs: 5_000 });
  });

  it('the root period holds for all of it, neuron_hw_counters included', () => {
    const all = config({ period: '2s' });
    expect(new Set(periodsOf(all).values())).toEqual(new Set([2_000]));
    expect(all.systemGroups.neuron_hw_counters).toEqual({ periodMs: 2_000 });
  });

  it('OTEL_METRIC_EXPORT_INTERVAL stands in for the five seconds, not for what the file says', () => {
    const env = { OTEL_METRIC_EXPORT_INTERVAL: '60000' };
    expect(loaded({ env }).periodMs).toBe(60_000);
    expect(loaded({ env, text: '{"period": "1s"}' }).periodMs).toBe(1_000);
    expect(loaded({ env, text: '{"system_metrics": [{"type": "vcpu_usage"}]}' }).systemGroups.vcpu_usage).toEqual({ periodMs: 60_000 });
  });
});

describe('a file that lists groups means what it lists', () => {
  it.each([
    ['an empty list', { system_metrics: [] }],
    ['null, as Go reads it', { system_metrics: null }],
    ['both empty', { neuron_runtimes: [], system_metrics: [] }],
    ['an entry without groups', { neuron_runtimes: [{ tag_filter: '.*', metrics: [] }] }],
  ])('%s', (_, value) => {
    expect(periodsOf(config(value)).size).toBe(0);
  });

  it('a list that is not there, next to one that is, is empty', () => {
    expect([...periodsOf(config({ system_metrics: [{ type: 'vcpu_usage' }] })).keys()]).toEqual(['vcpu_usage']);
    expect([...periodsOf(config({ neuron_runtimes: [{ metrics: [{ type: 'memory_used' }] }] })).keys()]).toEqual(['memory_used']);
  });
});

describe('periods', () => {
  it('go down from root to entry to group', () => {
    const { runtimes, systemGroups } = config({
      period: '10s',
      neuron_runtimes: [
        { period: '2s', metrics: [{ type: 'memory_used' }, { type: 'execution_stats', period: '500ms' }] },
        { metrics: [{ type: 'memory_used' }] },
      ],
      system_metrics: [{ type: 'vcpu_usage' }, { type: 'memory_info', period: '1m' }],
    });
    expect(runtimes.map((entry) => entry.groups)).toEqual([
      { memory_used: { periodMs: 2_000 }, execution_stats: { periodMs: 500 } },
      { memory_used: { periodMs: 10_000 } },
    ]);
    expect(systemGroups).toEqual({ vcpu_usage: { periodMs: 10_000 }, memory_info: { periodMs: 60_000 } });
  });

  it('null is as good as nothing', () => {
    const text =
      '{"period": null, "neuron_runtimes": [{"tag_filter": null, "period": null, "metrics": [{"type": "memory_used", "period": null}]}]}';
    expect(loaded({ text }).runtimes).toEqual([{ groups: { memory_used: { periodMs: 5_000 } } }]);
  });

  it('of a group that several entries ask for, the shortest counts', () => {
    const value = {
      neuron_runtimes: ['3s', '1s', '2s'].map((period) => ({ tag_filter: period, metrics: [{ type: 'memory_used', period }] })),
    };
    expect(periodsOf(config(value)).get('memory_used')).toBe(1_000);
  });
});

describe('entries', () => {
  const { runtimes } = config({
    neuron_runtimes: [
      { tag_filter: '^serve-', metrics: [{ type: 'execution_stats' }] },
      { tag_filter: 'train', metrics: [] },
      { tag_filter: '', metrics: [{ type: 'memory_used' }] },
    ],
  });
  const select = firstMatch(runtimes);

  it.each([
    ['serve-1', 0],
    ['serve-train', 0],
    ['my-training', 1],
    ['observe-1', 2],
    ['', 2],
    ['SERVE-1', 2],
  ])('the first that finds the tag %j counts', (tag, index) => {
    expect(select(tag)).toBe(runtimes[index]);
    expect(select(tag)).toBe(runtimes[index]);
  });

  it('a process that none finds is left alone', () => {
    const only = config({ neuron_runtimes: [{ tag_filter: '^a$', metrics: [{ type: 'memory_used' }] }] });
    expect(firstMatch(only.runtimes)('b')).toBeUndefined();
    expect(selectionOf(only).runtimeGroups({ pid: 1, tag: 'b' })).toBeUndefined();
    expect(selectionOf(only).runtimeGroups({ pid: 1, tag: 'a' })).toEqual(new Set(['memory_used']));
  });

  it.each(['.*', '', '^.*$', undefined])(
    'behind one that takes every process (%j) the rest is never reached: said as a warning',
    (filter) => {
      const value = {
        neuron_runtimes: [
          { metrics: [], ...(filter === undefined ? {} : { tag_filter: filter }) },
          { tag_filter: 'x', metrics: [] },
        ],
      };
      expect(warningsOf({ text: JSON.stringify(value) })).toEqual([
        { path: 'neuron_runtimes[1]', message: 'is never reached: neuron_runtimes[0] takes every process' },
      ]);
    },
  );

  it('that list no metrics are worth a warning', () => {
    expect(warningsOf({ text: '{"neuron_runtimes": [{"tag_filter": "x"}]}' })[0]?.message).toMatch(/lists no metrics/);
  });
});

describe('groups', () => {
  it('self_stats, which neuron-monitor takes without saying so, is a warning', () => {
    const text = '{"system_metrics": [{"type": "self_stats"}, {"type": "vcpu_usage"}]}';
    expect(warningsOf({ text })).toMatchObject([{ path: 'system_metrics[0].type', line: 1, column: 30 }]);
    expect([...periodsOf(loaded({ text })).keys()]).toEqual(['vcpu_usage']);
  });

  it.each([
    [
      'comes with neuron_hw_counters',
      [{ type: 'neuron_hw_counters', period: '30s' }],
      { neuron_hw_counters: 30, neuron_device_counters: 30 },
    ],
    [
      'has a period of its own where it is listed',
      [{ type: 'neuron_device_counters' }, { type: 'neuron_hw_counters', period: '30s' }],
      { neuron_hw_counters: 30, neuron_device_counters: 5 },
    ],
    ['can be had alone', [{ type: 'neuron_device_counters', period: '2s' }], { neuron_device_counters: 2 }],
    ['is not there without either', [{ type: 'vcpu_usage' }], { vcpu_usage: 5 }],
  ])('neuron_device_counters %s', (_name, system_metrics, expectedSeconds) => {
    const value = config({ system_metrics });
    const seconds = Object.fromEntries(Object.entries(value.systemGroups).map(([group, { periodMs }]) => [group, periodMs / 1_000]));
    expect(seconds).toEqual(expectedSeconds);
    // neuron-monitor refuses groups it does not have.
    expect(JSON.stringify(neuronMonitorFile(value))).not.toContain('neuron_device_counters');
  });

  it('listed twice: the first one counts, with a warning', () => {
    const text = '{"system_metrics": [{"type": "vcpu_usage", "period": "1s"}, {"type": "vcpu_usage", "period": "9s"}]}';
    expect(loaded({ text }).systemGroups).toEqual({ vcpu_usage: { periodMs: 1_000 } });
    expect(warningsOf({ text })).toMatchObject([{ path: 'system_metrics[1]', message: 'lists "vcpu_usage" again; the first one counts' }]);
  });
});

describe('the file for neuron-monitor itself', () => {
  it('says the same in whole seconds, and reads back', () => {
    const value = config({
      period: '1500ms',
      neuron_runtimes: [
        { tag_filter: '^a', metrics: [{ type: 'memory_used', period: '10ms' }] },
        { metrics: [{ type: 'execution_stats' }] },
      ],
      system_metrics: [{ type: 'neuron_hw_counters', period: '1m' }],
    });
    const written = neuronMonitorFile(value);
    expect(written).toEqual({
      period: '2s',
      neuron_runtimes: [
        { tag_filter: '^a', metrics: [{ type: 'memory_used', period: '1s' }] },
        { tag_filter: '.*', metrics: [{ type: 'execution_stats', period: '2s' }] },
      ],
      system_metrics: [{ type: 'neuron_hw_counters', period: '60s' }],
    });
    expect(config(written).systemGroups).toEqual({
      neuron_hw_counters: { periodMs: 60_000 },
      neuron_device_counters: { periodMs: 60_000 },
    });
  });
});

describe('old files', () => {
  it('name the successor of every old key at once', () => {
    const text = JSON.stringify({
      period: '1s',
      runtimes: [{ address: 'unix:/run/neuron.sock', metrics: ['nc_counters', 'memory', 'hw_counters'].map((type) => ({ type })) }],
      system_metrics: [{ type: 'cpu_usage' }],
      output_targets: [{ type: 'json_stream' }],
    });
    expect(problemsOf({ text }).map((problem) => problem.path)).toEqual([
      'runtimes',
      'runtimes[0].address',
      'runtimes[0].metrics[0].type',
      'runtimes[0].metrics[1].type',
      'runtimes[0].metrics[2].type',
      'system_metrics[0].type',
      'output_targets',
    ]);
  });
});

const REFUSED: Readonly<Record<string, readonly string[]>> = {
  'config-neuron-anatomy-unknown-group.json': ['system_metrics[3].type'],
  'config-v0-first-beta-output_targets.json': [
    'runtimes',
    'runtimes[0].address',
    ...[0, 1, 2, 3, 4].map((index) => `runtimes[0].metrics[${index}].type`),
    'system_metrics[0].type',
    'output_targets',
  ],
  'config-v1-neuron-rtd-address.json': [
    'neuron_runtimes[0].address',
    'neuron_runtimes[0].metrics[3].type',
    'neuron_runtimes[0].metrics[4].type',
  ],
};

describe.skipIf(!existsSync(SAMPLES))('published configurations (only where ../shared/samples exists)', () => {
  const files = existsSync(SAMPLES) ? readdirSync(SAMPLES).filter((file) => /^config-.*\.json$/.test(file)) : [];

  it.each(files)('%s', (file) => {
    const text = readFileSync(`${SAMPLES}${file}`, 'utf8');
    const result = loadInput({ text });
    const problems = result.ok ? [] : result.problems.map(({ path }) => path);
    expect(problems).toEqual(REFUSED[file] ?? []);
    expect(result.ok ? result.warnings : []).toEqual([]);
    const listed = JSON.parse(text);
    const types = result.ok
      ? [...listed.neuron_runtimes[0].metrics, ...listed.system_metrics].map(({ type }: { type: string }) => type)
      : [];
    // What is no group of neuron-monitor's comes with its hardware counters.
    const expected = types.includes('neuron_hw_counters') ? [...types, 'neuron_device_counters'] : types;
    expect(result.ok ? [...periodsOf(result.config).keys()].toSorted() : []).toEqual(expected.toSorted());
  });
});
