/** The wall clock jumps and the process sleeps: periods stay right, points follow the clock, nothing is caught up in a burst. */
import { writeFileSync } from 'node:fs';
import { setTimeout as delay } from 'node:timers/promises';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { MisbehavingOtlpServer } from '../support/misbehaving-otlp-server.ts';
import { AgentProcess } from './support/agent.ts';
import { TemporaryFolder } from './support/folder.ts';
import { parseObject } from './support/json.ts';
import { flatten } from './support/otlp-json.ts';
import type { FlatPoint } from './support/otlp-json.ts';
import { peerPath } from '../../scripts/peers.ts';

const PERIOD_MS = 200;
const WATCHED_MS = 2_000;
/** Half and twice what the period asks for: a bound on liveness and on bursts, not on the machine's speed. */
const FEWEST = WATCHED_MS / PERIOD_MS / 2;
const MOST = (WATCHED_MS / PERIOD_MS) * 2;

/** Seconds of the wall clock against the real one. Three of the steps go back. */
const JUMPS = ['+3600', '+0', '+86400', '-10', '+0', '-86400'];
const STEPS_BACK = 3;

let server: MisbehavingOtlpServer;
let folder: TemporaryFolder;

beforeEach(async () => {
  server = await MisbehavingOtlpServer.start();
  folder = new TemporaryFolder();
});

afterEach(async () => {
  await server[Symbol.asyncDispose]();
  folder[Symbol.dispose]();
});

function startAgent(env: Readonly<Record<string, string>> = {}): AgentProcess {
  const config = {
    period: `${PERIOD_MS}ms`,
    neuron_runtimes: [],
    system_metrics: [{ type: 'memory_info' }, { type: 'vcpu_usage' }],
    source: { spec: 'native', imds: { enabled: false } },
    exporters: { otlp: { metrics_endpoint: server.url, protocol: 'http/json' } },
  };
  return new AgentProcess([], { config, env });
}

/** Batches that arrive while one waits. */
async function arrivals(): Promise<number> {
  const before = server.accepted.length;
  await delay(WATCHED_MS);
  return server.accepted.length - before;
}

function points(): readonly FlatPoint[] {
  return server.accepted.flatMap(({ body }) => flatten([parseObject(body.toString('utf8'))]));
}

function ofMetric(name: string): readonly FlatPoint[] {
  const found = points().filter(({ metric }) => metric === name);
  expect(found.length, name).toBeGreaterThan(0);
  return found;
}

/** Points of each series in the order of arrival. */
function bySeries(all: readonly FlatPoint[]): ReadonlyMap<string, readonly FlatPoint[]> {
  return Map.groupBy(all, ({ series }) => series);
}

function expectRising(times: readonly bigint[], name: string): void {
  for (const [index, time] of times.entries()) if (index > 0) expect(time, name).toBeGreaterThan(times[index - 1] ?? 0n);
}

describe('the agent', () => {
  it('keeps its periods and follows the wall clock while it jumps by an hour and by a day, both ways', { timeout: 60_000 }, async () => {
    const clock = folder.file('clock');
    writeFileSync(clock, '+0\n');
    await using agent = startAgent({
      LD_PRELOAD: peerPath('libfaketime'),
      FAKETIME_TIMESTAMP_FILE: clock,
      FAKETIME_NO_CACHE: '1',
      DONT_FAKE_MONOTONIC: '1',
      FAKETIME_DONT_FAKE_MONOTONIC: '1',
    });
    await agent.process.until('first batch', () => (server.accepted.length > 0 ? true : undefined));
    for (const offset of JUMPS) {
      writeFileSync(clock, `${offset}\n`);
      const batches = await arrivals();
      expect(batches, `batches while the clock shows ${offset}`).toBeGreaterThanOrEqual(FEWEST);
      expect(batches, `batches while the clock shows ${offset}`).toBeLessThanOrEqual(MOST);
    }
    // Each jump reached the points: the clock was a day ahead, and in the end it is a day behind.
    const limits = ofMetric('system.memory.limit').map(({ timeUnixNano }) => Number(timeUnixNano / 1_000_000n));
    const jumpsBack = limits.filter((time, index) => index > 0 && time < (limits[index - 1] ?? 0));
    expect(jumpsBack).toHaveLength(STEPS_BACK);
    expect(Math.max(...limits)).toBeGreaterThan(Date.now() + 80_000_000);
    expect(limits.at(-1)).toBeLessThan(Date.now() - 80_000_000);
    for (const { metric, startTimeUnixNano, timeUnixNano } of points()) expect(startTimeUnixNano, metric).toBeLessThanOrEqual(timeUnixNano);
    for (const [series, ofSeries] of bySeries(points()))
      expect(new Set(ofSeries.map(({ timeUnixNano }) => timeUnixNano)).size, `times of ${series}`).toBe(ofSeries.length);
    for (const name of ['system.cpu.time', 'neuron.host.context_switches', 'neuron.exporter.points'])
      for (const [series, ofSeries] of bySeries(ofMetric(name))) {
        const runs = Map.groupBy(ofSeries, ({ startTimeUnixNano }) => startTimeUnixNano);
        expect(runs.size, `starts of ${series}`).toBe(STEPS_BACK + 1);
        for (const run of runs.values())
          expectRising(
            run.map(({ timeUnixNano }) => timeUnixNano),
            series,
          );
      }
    expect(agent.process.stderr.match(/the wall clock was set back/g)).toHaveLength(STEPS_BACK);
    expect(agent.process.stderr).toMatch(/the wall clock was set back.* seconds=3600/);
  });

  it('makes up for nothing after it was suspended', { timeout: 60_000 }, async () => {
    await using agent = startAgent();
    await agent.process.until('first batch', () => (server.accepted.length > 0 ? true : undefined));
    agent.process.kill('SIGSTOP');
    await delay(4_000);
    agent.process.kill('SIGCONT');
    const batches = await arrivals();
    expect(batches).toBeGreaterThanOrEqual(FEWEST);
    expect(batches).toBeLessThanOrEqual(MOST);
    expectRising(
      ofMetric('system.memory.limit').map(({ timeUnixNano }) => timeUnixNano),
      'system.memory.limit',
    );
  });
});
