/** The running agent with a queue on a disk that fails or is full: collection goes on, and every point arrives when the disk is well again. */
import { spawnSync } from 'node:child_process';
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { MisbehavingOtlpServer } from '../support/misbehaving-otlp-server.ts';
import { agentConfig } from './support/agent-config.ts';
import { PROGRAMS } from './support/agent.ts';
import { TemporaryFolder } from './support/folder.ts';
import { parseObject } from './support/json.ts';
import { flatten } from './support/otlp-json.ts';
import { peerPath } from '../../scripts/peers.ts';
import { RunningProcess } from './support/process.ts';
import { fixture } from './support/recordings.ts';

const RECORDS = 60;
const PERIOD_MS = 25;

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

/** Records whose tallies tell them apart: the first completes 1 execution, the second 2, and so on. */
function records(): readonly string[] {
  const line = fixture('trn1-one-runtime').lines.at(-1) ?? '';
  return Array.from({ length: RECORDS }, (_, index) => line.replace(/"completed":\d+/, `"completed":${index + 1}`));
}

/** Feeds all records while the receiver refuses everything; then the receiver takes what waits. Returns the completed totals as they arrived. */
async function deliverThrough(
  queue: string,
  prefix: readonly string[],
): Promise<{ readonly totals: readonly number[]; readonly stderr: string }> {
  server.behave = () => ({ kind: 'respond', status: 503 });
  const config = folder.file('config.json');
  const otlp = { metrics_endpoint: server.url, protocol: 'http/json', queue: { directory: queue } };
  writeFileSync(config, JSON.stringify(agentConfig({ exporters: { otlp } })));
  const [command, ...args] = [...prefix, process.execPath, PROGRAMS.sources, '-c', config];
  await using agent = new RunningProcess('neuron-otel', command, args);
  for (const line of records()) {
    agent.stdin.write(`${line}\n`);
    await new Promise((resolve) => setTimeout(resolve, PERIOD_MS));
  }
  server.behave = () => ({ kind: 'respond', status: 200 });
  const expected = (RECORDS * (RECORDS + 1)) / 2;
  await agent.until('all totals', () => (totals().at(-1) === expected ? true : undefined), 60_000);
  return { totals: totals(), stderr: agent.stderr };
}

function totals(): readonly number[] {
  const points = server.accepted.flatMap(({ body }) => flatten([parseObject(body.toString('utf8'))]));
  return points
    .filter(({ metric, attributes }) => metric === 'neuron.executions' && attributes['neuron.execution.outcome'] === 'completed')
    .map(({ value }) => Number(value));
}

const EVERY_TOTAL = Array.from({ length: RECORDS }, (_, index) => ((index + 1) * (index + 2)) / 2);

describe('the agent, its queue on a disk that', () => {
  it.each([
    { fault: 'is full', inject: 'inject=write:error=ENOSPC:when=3..8' },
    { fault: 'is broken', inject: 'inject=write:error=EIO:when=3..8' },
    { fault: 'is read-only', inject: 'inject=write,openat:error=EROFS:when=3..8' },
    { fault: 'cannot be opened for want of descriptors', inject: 'inject=openat:error=EMFILE:when=1' },
  ])('$fault, loses no record and keeps their order', { timeout: 120_000 }, async ({ inject }) => {
    const queue = join(folder.path, 'queue');
    // Only calls on the queue's own files fail.
    const files = Array.from({ length: 2 * RECORDS }, (_, index) => `${String(index + 1).padStart(12, '0')}.unfinished`);
    const paths = files.flatMap((name) => ['-P', join(queue, name)]);
    const { totals: arrived, stderr } = await deliverThrough(queue, [
      peerPath('strace'),
      '-f',
      '-qqq',
      '-o',
      folder.file('trace'),
      ...paths,
      '-e',
      inject,
    ]);
    expect(stderr).toContain('the queue goes on in memory');
    expect(arrived).toEqual(EVERY_TOTAL);
  });

  it('has a file system of 64 KiB, loses no record and keeps their order', { timeout: 120_000 }, async () => {
    const mountPoint = join(folder.path, 'small');
    mkdirSync(mountPoint);
    const mounted = spawnSync('mount', ['-t', 'tmpfs', '-o', 'size=64k', 'tmpfs', mountPoint], { encoding: 'utf8' });
    expect(mounted.status, `a small tmpfs needs the right to mount: ${mounted.stderr}`).toBe(0);
    try {
      const { totals: arrived, stderr } = await deliverThrough(join(mountPoint, 'queue'), []);
      expect(stderr).toContain('the queue goes on in memory');
      expect(arrived).toEqual(EVERY_TOTAL);
    } finally {
      spawnSync('umount', ['-l', mountPoint]);
    }
  });
});
