import { describe, expect, it } from 'vitest';
import { fixtureCases } from '../../scripts/fixtures/cases.ts';
import { expectGolden } from '../support/golden.ts';
import { flatten } from '../support/metrics.ts';
import { PointText } from '../support/point-text.ts';
import { PERIOD_MS, Replay, fixtureDocuments, replayFixture } from '../support/replay.ts';

/** Its golden would be 20 MB; counts and sums below say the same. */
const TOO_LARGE = 'trn1-32-runtimes';
const cases = fixtureCases().map(({ name }) => name);

describe('what receivers make of a recorded host', () => {
  it.each(cases.filter((name) => name !== TOO_LARGE))('%s: each record leads to the points of its golden', async (name) => {
    const replay = new Replay({ seesProcesses: name !== 'in-container' });
    const points = new PointText();
    let text = '';
    for (const [index, document] of fixtureDocuments(name).entries()) {
      const sampledAtMs = replay.nowMs;
      text += points.write(`record ${index + 1}`, await replay.feed(document), sampledAtMs);
    }
    expect(replay.failures.map(({ message }) => message)).toEqual([]);
    expectGolden(`receivers/${name}.txt`, text);
  });

  it('rows that are off by default lead to the points of their golden', async () => {
    const byDefault = await replayFixture('trn1-one-runtime');
    const everything = await replayFixture('trn1-one-runtime', { isEnabled: () => true });
    expect(everything.failures).toEqual([]);
    const points = new PointText();
    const lastMs = everything.nowMs - PERIOD_MS;
    points.write('rows that are on by default', byDefault.store.collect(), lastMs);
    const text = points.write('what the other rows add', everything.store.collect(), lastMs);
    expectGolden('receivers/trn1-one-runtime.everything.txt', text);
  });

  it('ECC counts that are tallies are added up', async () => {
    const replay = await replayFixture('inf2', { eccCounts: 'tally' });
    const errors = flatten(replay.store.collect()).filter(({ metric }) => metric === 'hw.errors');
    // 0 + 3 + 3 + 1, as the AWS script adds them.
    expect(errors.find(({ attributes }) => attributes['hw.id'] === 'neuron0:hbm' && attributes['error.type'] === 'corrected')?.value).toBe(
      7,
    );
  });
});

describe('32 processes that each list 32 cores', () => {
  it('keeps every process apart and loses nothing to zeros', async () => {
    const replay = await replayFixture(TOO_LARGE);
    expect(replay.failures).toEqual([]);
    const collected = replay.store.collect();
    const runtimes = collected.slice(1);
    expect(runtimes).toHaveLength(32);
    const points = flatten(runtimes);
    const count = (metric: string): number => points.filter((point) => point.metric === metric).length;
    expect(count('neuron.core.utilization')).toBe(32 * 32);
    expect(count('neuron.core.memory.usage')).toBe(32 * 32 * 5);
    expect(count('neuron.execution.latency')).toBe(32 * 2 * 7);

    const busy = points.filter(({ metric, value }) => metric === 'neuron.core.utilization' && Number(value) > 0);
    expect(busy.map(({ attributes }) => attributes['neuron.core.index'])).toEqual(Array.from({ length: 32 }, (_, core) => core));
    for (const { attributes } of busy) {
      expect(attributes['neuron.device.index']).toBe(Math.floor(Number(attributes['neuron.core.index']) / 2));
    }
    // Each record adds its own 260 executions of each process.
    const completed = points.filter(
      ({ metric, attributes }) => metric === 'neuron.executions' && attributes['neuron.execution.outcome'] === 'completed',
    );
    expect(completed.map(({ value }) => value)).toEqual(Array.from({ length: 32 }, () => 520));
  });

  it('sums memory as the record does', async () => {
    const replay = await replayFixture(TOO_LARGE);
    for (const { scopeMetrics, resource } of replay.store.collect().slice(1)) {
      const points = flatten([{ scopeMetrics, resource }]);
      const total = (metric: string, location?: string): number =>
        points
          .filter((point) => point.metric === metric && (location === undefined || point.attributes['neuron.memory.location'] === location))
          .reduce((sum, { value }) => sum + Number(value), 0);
      expect(total('neuron.core.memory.usage')).toBe(total('neuron.runtime.memory.usage', 'device'));
      expect(total('neuron.runtime.host_memory.usage')).toBe(total('neuron.runtime.memory.usage', 'host'));
    }
  });
});

describe('two processes with the same tag', () => {
  it('have resources of their own, and a dead one leaves with the record that no longer names it', async () => {
    const replay = new Replay();
    const seen: (readonly unknown[])[] = [];
    for (const document of fixtureDocuments('trn1-same-tag')) {
      const collected = await replay.feed(document);
      seen.push(collected.slice(1).map(({ resource }) => resource.attributes['process.pid']));
    }
    expect(seen).toEqual([[501, 502], [501, 502], [502], [502, 503]]);
    const [, survivor, newcomer] = replay.store.collect();
    const completed = (resourceMetrics: typeof survivor): unknown =>
      flatten(resourceMetrics === undefined ? [] : [resourceMetrics]).find(
        ({ metric, attributes }) => metric === 'neuron.executions' && attributes['neuron.execution.outcome'] === 'completed',
      )?.value;
    expect(survivor?.resource.attributes['neuron.runtime.tag']).toBe('1');
    expect(newcomer?.resource.attributes['neuron.runtime.tag']).toBe('1');
    // Four records of 40 executions; the new process starts with its own first 60.
    expect(completed(survivor)).toBe(160);
    expect(completed(newcomer)).toBe(60);
  });
});
