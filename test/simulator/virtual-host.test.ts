import { mkdirSync, readFileSync, readdirSync, readlinkSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { DatastoreCounters } from '../../sources/nds/counters.ts';
import { viewOf } from '../../sources/nds/layout.ts';
import type { ChurnOptions } from '../../simulator/churn.ts';
import { COUNTER } from '../../simulator/truth.ts';
import { createVirtualHost } from '../../simulator/virtual-host.ts';
import type { VirtualHost } from '../../simulator/virtual-host.ts';
import { ManualClock } from '../support/manual-clock.ts';
import { scratchDirectory } from '../support/scratch.ts';
import { packTree } from '../support/sysfs-archive.ts';

let scratch: ReturnType<typeof scratchDirectory>;

beforeEach(() => {
  scratch = scratchDirectory();
});

afterEach(() => scratch[Symbol.dispose]());

/** Runs a host for `seconds`, and returns every byte of its files. */
async function filesAfter(seed: number, stepsMs: readonly number[], churn?: ChurnOptions): Promise<string> {
  const directory = join(scratch.path, `${seed}-${stepsMs.length}`);
  mkdirSync(directory);
  const clock = new ManualClock();
  await using host = await createVirtualHost({
    instanceType: 'trn2.3xlarge',
    seed,
    directory,
    clock,
    ...(churn !== undefined && { churn }),
  });
  for (const ms of stepsMs) {
    await clock.advance(ms);
    host.step();
  }
  return packTree(directory, () => true);
}

test('the same seed and clock give the same bytes', async () => {
  const seconds = Array.from({ length: 190 }, () => 1_000);
  const files = await filesAfter(4, seconds);
  expect(files.length).toBeGreaterThan(100_000);
  const again = await filesAfter(4, [...seconds.slice(0, -1), 400, 600]);
  // The size of the last change depends on when the files were written.
  expect(withoutChanges(again)).toBe(withoutChanges(files));
  expect(await filesAfter(5, seconds)).not.toBe(files);
});

test('so they do with short-lived processes, of which some come and go within one step', async () => {
  const churn = { devices: [0], lifetimeMs: { shortest: 100, longest: 500 }, pids: 5 };
  const files = await filesAfter(4, [...Array.from({ length: 19 }, () => 1_000), 100, 900], churn);
  expect(files).toMatch(/^proc\/200\d$/m);
  expect(
    withoutChanges(
      await filesAfter(
        4,
        Array.from({ length: 100 }, () => 200),
        churn,
      ),
    ),
  ).toBe(withoutChanges(files));
});

test('a process finds what its predecessors counted in its datastores, as with drivers since 2.30.2', async () => {
  const churn = { devices: [0], lifetimeMs: { shortest: 1_000, longest: 2_000 }, pids: 5 };
  const inherited = async (driverVersion: string): Promise<number> => {
    const clock = new ManualClock();
    const options = { instanceType: 'trn2.3xlarge', seed: 4, directory: scratch.path, clock, driverVersion, churn } as const;
    await using host = await createVirtualHost(options);
    host.step(60_000);
    const [process] = host.truth().processes;
    const bytes = readFileSync(join(host.host.devRoot, `neuron0/${process?.pid}`));
    const counters = new DatastoreCounters(8);
    counters.read(viewOf(Uint8Array.from(bytes).buffer));
    const own = process?.cores.reduce((sum, core) => sum + Number(core.counters[COUNTER.completed]), 0) ?? 0;
    return counters.totalRiseSince(new DatastoreCounters(8), COUNTER.completed) - own;
  };
  expect(await inherited('2.30.2.0')).toBeGreaterThan(100);
  expect(await inherited('2.29.0.0')).toBe(0);
});

function withoutChanges(files: string): string {
  return files.replaceAll(/^ {2}present .*\n/gm, '');
}

describe('/proc', () => {
  async function hostAfter(seconds: number): Promise<VirtualHost> {
    const host = await createVirtualHost({ instanceType: 'trn2.48xlarge', seed: 1, directory: scratch.path, clock: new ManualClock() });
    host.step(seconds * 1_000);
    return host;
  }

  test('follows processes that come and go', async () => {
    await using host = await hostAfter(5);
    const { procRoot } = host.host;
    for (let step = 0; step < 60; step += 1) {
      host.step(5_000);
      const pids = host.truth().processes.map(({ pid }) => pid);
      const others = [1, 812, 1377];
      const folders = readdirSync(procRoot).filter((name) => /^\d+$/.test(name));
      expect(folders.map(Number).toSorted((a, b) => a - b)).toEqual([...others, ...pids].toSorted((a, b) => a - b));
    }
  });

  test('says of a process what Linux says', async () => {
    await using host = await hostAfter(30);
    const process = host.truth().processes.find(({ kind }) => kind === 'inference');
    if (process === undefined) throw new Error('no such process');
    const text = (name: string): string => readFileSync(join(host.host.procRoot, String(process.pid), name), 'latin1');
    expect(text('stat').split(' ')).toHaveLength(52);
    expect(text('cmdline')).toBe('python3\0/opt/app/chat-server.py\0--rank=0\0');
    expect(text('environ').split('\0')).toContain('NEURON_PROCESS_TAG=chat');
    expect(text('cgroup')).toMatch(/^0::\/kubepods\.slice\/.*pod[0-9a-f_]{36}\.slice\/cri-containerd-[0-9a-f]{64}\.scope\n$/);
    expect(text('maps')).toMatch(/ rw-s .* \/dev\/neuron12\n/);
    const links = readdirSync(join(host.host.procRoot, String(process.pid), 'fd'));
    expect(links.map((fd) => readlinkSync(join(host.host.procRoot, String(process.pid), 'fd', fd)))).toContain('/dev/neuron12');
    expect(readdirSync(join(host.host.devRoot, 'neuron12'))).toEqual([String(process.pid)]);
  });
});

describe('the metadata service', () => {
  test('asks for a token, and gives one for a PUT only', async () => {
    await using host = await createVirtualHost({
      instanceType: 'inf1.6xlarge',
      seed: 1,
      directory: scratch.path,
      clock: new ManualClock(),
      imds: true,
    });
    const ask = async (path: string, init: RequestInit = {}): Promise<readonly [number, string]> => {
      const response = await fetch(`${host.imdsEndpoint ?? ''}/latest/${path}`, init);
      return [response.status, await response.text()];
    };
    const ttl = { 'x-aws-ec2-metadata-token-ttl-seconds': '60' };
    expect(await ask('meta-data/instance-id')).toEqual([401, '']);
    expect(await ask('api/token')).toEqual([405, '']);
    expect(await ask('api/token', { method: 'PUT' })).toEqual([400, '']);
    const [status, token] = await ask('api/token', { method: 'PUT', headers: ttl });
    expect(status).toBe(200);
    const headers = { 'x-aws-ec2-metadata-token': token };
    expect(await ask('meta-data/instance-id', { headers })).toEqual([200, host.truth().identity.instanceId]);
    expect(await ask('meta-data/nothing', { headers })).toEqual([404, '']);
    const [, document] = await ask('dynamic/instance-identity/document', { headers });
    expect(JSON.parse(document)).toMatchObject({ instanceType: 'inf1.6xlarge', region: 'us-west-2' });
  });
});

test('was at work before it is first read, and goes on with the clock', async () => {
  const clock = new ManualClock();
  await using host = await createVirtualHost({ instanceType: 'inf1.6xlarge', seed: 1, directory: scratch.path, clock, warmUpMs: 60_000 });
  expect(host.truth().processes.map(({ state }) => state)).toEqual(['running', 'running', 'running']);
  await clock.advance(1_000);
  host.step();
  await clock.advance(500);
  host.step(3_000);
  await clock.advance(1_000);
  host.step();
  const truth = host.truth();
  expect(truth.elapsedMs).toBe(60_000 + 1_000 + 3_000 + 1_000);
  expect(truth.originMs + 60_000).toBe(clock.nowMs() - 2_500);
});

test('runs by itself with its clock', async () => {
  const clock = new ManualClock();
  await using host = await createVirtualHost({ instanceType: 'inf1.6xlarge', seed: 1, directory: scratch.path, clock });
  host.run(1_000);
  host.run(1_000);
  await clock.advance(5_500);
  expect(host.truth().elapsedMs).toBe(5_000);
});
