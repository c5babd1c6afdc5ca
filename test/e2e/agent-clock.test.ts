/** The wall clock jumps and the process sleeps: periods stay right, no series goes back in time, nothing is caught up in a burst. */
import { writeFileSync } from 'node:fs';
import { setTimeout as delay } from 'node:timers/promises';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { MisbehavingOtlpServer } from '../support/misbehaving-otlp-server.ts';
import { AgentProcess } from './support/agent.ts';
import { TemporaryFolder } from './support/folder.ts';
import { parseObject } from './support/json.ts';
import { flatten } from './support/otlp-json.ts';
import { peerPath } from '../../scripts/peers.ts';

const PERIOD_MS = 200;
const WATCHED_MS = 2_000;
/** Half and twice what the period asks for: a bound on liveness and on bursts, not on the machine's speed. */
const FEWEST = WATCHED_MS / PERIOD_MS / 2;
const MOST = (WATCHED_MS / PERIOD_MS) * 2;

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
    system_metrics: [{ type: 'memory_info' }],
    source: { spec: 'native', imds: { enabled: false } },
    telemetry: { self_metrics: false },
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

/** End times of one series in the order of arrival, nanoseconds. */
function endTimes(): readonly bigint[] {
  const points = server.accepted.flatMap(({ body }) => flatten([parseObject(body.toString('utf8'))]));
  return points.filter(({ metric }) => metric === 'system.memory.limit').map(({ timeUnixNano }) => timeUnixNano);
}

function expectNotGoingBack(times: readonly bigint[]): void {
  expect(times.length).toBeGreaterThan(0);
  for (const [index, time] of times.entries()) if (index > 0) expect(time).toBeGreaterThanOrEqual(times[index - 1] ?? 0n);
}

describe('the agent', () => {
  it('keeps its periods while the wall clock jumps by an hour and by a day, both ways', { timeout: 60_000 }, async () => {
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
    for (const offset of ['+3600', '-3600', '+86400', '-86400', '+0']) {
      writeFileSync(clock, `${offset}\n`);
      const batches = await arrivals();
      expect(batches, `batches while the clock shows ${offset}`).toBeGreaterThanOrEqual(FEWEST);
      expect(batches, `batches while the clock shows ${offset}`).toBeLessThanOrEqual(MOST);
    }
    const times = endTimes();
    expectNotGoingBack(times);
    // The jump was real: the clock was a day ahead for a while.
    expect(Number(((times.at(-1) ?? 0n) - (times[0] ?? 0n)) / 1_000_000_000n)).toBeGreaterThan(80_000);
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
    expectNotGoingBack(endTimes());
  });
});
