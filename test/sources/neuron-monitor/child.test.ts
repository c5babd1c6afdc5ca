import { chmodSync, copyFileSync, existsSync, mkdirSync, readFileSync, readdirSync, writeFileSync } from 'node:fs';
import { dirname, join, resolve } from 'node:path';
import { describe, expect, it, onTestFinished } from 'vitest';
import { createNeuronMonitorSource } from '../../../sources/neuron-monitor/source.ts';
import type { LogFields, Logger } from '../../../src/log.ts';
import { silentLogger } from '../../../src/log.ts';
import type { StreamSource } from '../../../src/source.ts';
import { fixtureHost, temporaryFolder } from '../../support/fixture-host.ts';
import type { ManualClock } from '../../support/manual-clock.ts';
import { RecordingSink } from '../../support/recording-sink.ts';

const FAKE = resolve(import.meta.dirname, '../../support/fake-neuron-monitor.sh');

interface Run {
  readonly sink: RecordingSink;
  readonly clock: ManualClock;
  readonly source: StreamSource;
  /** TMPDIR of the child. */
  readonly folder: string;
  readonly warnings: LogFields[];
  /** What the fake left in a file, once it is there. */
  readonly left: (name: string) => Promise<string>;
}

interface RunOptions {
  readonly env?: Readonly<Record<string, string>>;
  readonly binary?: string | undefined;
  readonly stallAfterMs?: number;
}

/** Starts a real process; only the clock is ours. */
async function run(behaviour: string, options: RunOptions = {}): Promise<Run> {
  const folder = temporaryFolder();
  const env = { PATH: process.env['PATH'] ?? '', TMPDIR: folder, ...options.env };
  const host = fixtureHost(folder, { env });
  const warnings: LogFields[] = [];
  const logger: Logger = { ...silentLogger, warn: (fields) => void warnings.push(fields) };
  const binary = 'binary' in options ? options.binary : FAKE;
  const source = createNeuronMonitorSource({
    mode: 'child',
    host,
    logger,
    config: { period: '1s', behaviour },
    random: () => 0.5,
    ...(binary === undefined ? {} : { binary }),
    ...(options.stallAfterMs === undefined ? {} : { stallAfterMs: options.stallAfterMs }),
  });
  const sink = new RecordingSink();
  onTestFinished(async () => {
    const disposed = source[Symbol.asyncDispose]();
    await settleWith(host.clock, disposed);
  });
  await source.start(sink);
  const left = async (name: string): Promise<string> => {
    while (!existsSync(join(folder, name))) await aWhile();
    return readFileSync(join(folder, name), 'utf8');
  };
  return { sink, clock: host.clock, source, folder, warnings, left };
}

/** Waits for a real process while the clock of the agent goes on. */
async function settleWith(clock: ManualClock, work: Promise<void>): Promise<void> {
  const state = { done: false };
  void work.then(() => {
    state.done = true;
    return undefined;
  });
  while (!state.done) {
    await clock.advance(100);
    await aWhile();
  }
}

function aWhile(): Promise<void> {
  return new Promise((wake) => setTimeout(wake, 5));
}

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    // A process that was killed but not yet collected by its parent is no longer alive either.
    return !/^State:\s+Z/m.test(readFileSync(`/proc/${pid}/status`, 'utf8'));
  } catch {
    return false;
  }
}

async function death(pid: number): Promise<void> {
  while (isAlive(pid)) await aWhile();
}

function configFolders(folder: string): string[] {
  return readdirSync(folder).filter((name) => name.startsWith('neuron-otel-'));
}

function install(folder: string): void {
  mkdirSync(folder, { recursive: true });
  copyFileSync(FAKE, join(folder, 'neuron-monitor'));
  chmodSync(join(folder, 'neuron-monitor'), 0o755);
}

describe('a neuron-monitor of our own', () => {
  it('delivers records as they come', async () => {
    const { sink } = await run('steady');
    await sink.until(({ batches }) => batches.length === 2);
    expect(sink.events).toEqual(['live', 'batch', 'batch']);
    expect(sink.batches[1]?.readings[0]).toMatchObject({ group: 'memory_info', periodSeconds: 1, data: { memory_used_bytes: 1 } });
  });

  it('gets a private configuration, few variables, no shell, a group of its own and nothing on stdin', async () => {
    const secrets = {
      AWS_SECRET_ACCESS_KEY: 'x',
      OTEL_EXPORTER_OTLP_HEADERS: 'authorization=x',
      NEURON_OTEL_FS_ROOT: '/host',
      NODE_OPTIONS: '',
    };
    const { sink, folder, left } = await run('tells', { env: { ...secrets, GOMEMLIMIT: '64MiB', NEURON_LOGICAL_NC_CONFIG: '2' } });
    await sink.until(({ batches }) => batches.length === 1);
    const [config] = configFolders(folder);
    const path = join(folder, config ?? '', 'neuron-monitor.json');
    expect(await left('arguments')).toBe(`-c\n${path}\n`);
    expect(JSON.parse(await left('configuration'))).toEqual({ period: '1s', behaviour: 'tells' });
    expect(await left('modes')).toBe(`600 ${process.getuid?.()}\n700 ${process.getuid?.()}\n`);
    const [group, pid] = (await left('group')).trim().split(/\s+/);
    expect(group).toBe(pid);
    expect(await left('stdin')).toBe('/dev/null\n');
    expect(await left('folder')).toBe('/\n');
    const names = (await left('environment')).split('\n').flatMap((line) => (line === '' ? [] : [line.slice(0, line.indexOf('='))]));
    // The shell of the fake adds PWD and the like by itself.
    const own = names.filter((name) => !['PWD', 'SHLVL', 'OLDPWD', '_'].includes(name));
    expect(own.toSorted()).toEqual(['GOMEMLIMIT', 'NEURON_LOGICAL_NC_CONFIG', 'PATH', 'TMPDIR']);
  });

  it('removes the configuration with the process', async () => {
    const { sink, clock, source, folder } = await run('silent');
    await sink.until(({ batches }) => batches.length === 1);
    expect(configFolders(folder)).toHaveLength(1);
    await settleWith(clock, source[Symbol.asyncDispose]());
    expect(configFolders(folder)).toEqual([]);
  });
});

describe('a child that fails', () => {
  it('is started again after 1 s, 2 s, 4 s and so on, up to 60 s', { timeout: 60_000 }, async () => {
    const { sink, clock } = await run('dies');
    for (const [index, retryInMs] of [1_000, 2_000, 4_000, 8_000, 16_000, 32_000, 60_000, 60_000].entries()) {
      await sink.until(({ states }) => states.length === 2 * (index + 1));
      expect(sink.states.at(-1)).toMatchObject({
        state: 'interrupted',
        retryInMs,
        error: { code: 'child_exited', message: 'neuron-monitor exited with code 3' },
      });
      expect(sink.batches).toHaveLength(2 * (index + 1));
      await clock.advance(retryInMs - 1);
      expect(sink.states).toHaveLength(2 * (index + 1));
      await clock.advance(1);
    }
    await sink.until(({ states }) => states.length === 17);
    expect(sink.events.slice(0, 8)).toEqual(['live', 'batch', 'batch', 'interrupted', 'live', 'batch', 'batch', 'interrupted']);
  });

  it('starts with a short delay again after a minute of health', async () => {
    const { sink, clock, left } = await run('stubborn');
    await sink.until(({ batches }) => batches.length === 1);
    await clock.advance(61_000);
    process.kill(Number(await left('pid')), 'SIGKILL');
    await sink.until(({ states }) => states.length === 2);
    expect(sink.states[1]).toMatchObject({ retryInMs: 1_000, error: { message: 'neuron-monitor was ended by SIGKILL' } });
  });

  it('serves no group while it is interrupted', async () => {
    const { sink, source } = await run('dies');
    await sink.until(({ batches }) => batches.length === 2);
    await sink.until(({ states }) => states.length === 2);
    expect([...source.groups()]).toEqual([]);
  });

  it('loses its torn last line and nothing else', async () => {
    const { sink } = await run('torn');
    await sink.until(({ states }) => states.length === 2);
    expect(sink.events).toEqual(['live', 'batch', 'partial', 'interrupted']);
  });

  it('is not believed when it lies', async () => {
    const { sink } = await run('lies');
    await sink.until(({ batches }) => batches.length === 1);
    expect(sink.events).toEqual(['malformed', 'malformed', 'live', 'batch']);
    expect(sink.batches[0]?.readings[0]).toEqual({ group: 'memory_info', data: { memory_used_bytes: 7 } });
    expect(sink.batches[0]?.failures.map(({ error }) => error.message)).toEqual([
      '$.system_data.memory_info.period: finite number expected',
    ]);
  });

  it('is ended and started again when it closes its output and lives on', async () => {
    const { sink, clock, left } = await run('closes');
    await sink.until(({ batches }) => batches.length === 1);
    const pid = Number(await left('pid'));
    await settleWith(
      clock,
      sink.until(({ states }) => states.length === 2),
    );
    expect(sink.states[1]).toMatchObject({
      state: 'interrupted',
      error: { code: 'child_exited', message: 'neuron-monitor closed its output' },
    });
    await death(pid);
  });

  it('is started again when it falls silent', async () => {
    const { sink, clock } = await run('silent', { stallAfterMs: 30_000 });
    await sink.until(({ batches }) => batches.length === 1);
    await clock.advance(29_000);
    expect(sink.states).toHaveLength(1);
    await settleWith(
      clock,
      sink.until(({ states }) => states.length === 2),
    );
    expect(sink.states[1]).toMatchObject({
      state: 'interrupted',
      error: { code: 'source_timeout', message: 'neuron-monitor wrote nothing for longer than stall_after' },
    });
  });
});

describe('what a child writes to stderr', () => {
  it('is logged once, not at every restart', async () => {
    const { sink, clock, warnings } = await run('complains');
    for (let starts = 1; starts <= 3; starts += 1) {
      await sink.until(({ states }) => states.length === starts);
      await clock.advance(60_000);
    }
    expect(warnings).toEqual([{ stderr: 'unknown metric group "self_stat", available: vcpu_usage, memory_info' }]);
  });

  it('is kept to the last 8 KiB when it floods', async () => {
    const { sink, clock, warnings } = await run('noisy');
    await sink.until(({ batches }) => batches.length === 1);
    await settleWith(clock, Promise.resolve());
    await clock.advance(60_000);
    expect(warnings).toHaveLength(1);
    const text = String(warnings[0]?.['stderr']);
    expect(Buffer.byteLength(text)).toBeGreaterThan(7 * 1024);
    expect(Buffer.byteLength(text)).toBeLessThanOrEqual(8 * 1024);
  });
});

describe('the end of a child', () => {
  it('is forced when it ignores SIGTERM', async () => {
    const { sink, clock, source, left } = await run('stubborn');
    await sink.until(({ batches }) => batches.length === 1);
    const pid = Number(await left('pid'));
    const disposed = source[Symbol.asyncDispose]();
    await clock.advance(1_000);
    for (let turn = 0; turn < 20; turn += 1) await aWhile();
    expect(isAlive(pid)).toBe(true);
    await settleWith(clock, disposed);
    await death(pid);
    expect(sink.events).toEqual(['live', 'batch']);
  });

  it('is the end of its children', async () => {
    const { sink, clock, source, left } = await run('has-a-child');
    await sink.until(({ batches }) => batches.length === 1);
    const pids = [Number(await left('pid')), Number(await left('grandchild'))];
    expect(pids.map(isAlive)).toEqual([true, true]);
    await settleWith(clock, source[Symbol.asyncDispose]());
    for (const pid of pids) await death(pid);
  });

  it('is noticed though a child of it holds the pipe open', async () => {
    const { sink, left } = await run('leaves-a-child');
    await sink.until(({ states }) => states.length === 2);
    expect(sink.states[1]).toMatchObject({ state: 'interrupted', error: { message: 'neuron-monitor exited with code 0' } });
    await death(Number(await left('grandchild')));
  });

  it('can be asked for twice, before the start, and while a restart is due', async () => {
    const unstarted = createNeuronMonitorSource({ mode: 'child', host: fixtureHost('/nowhere'), logger: silentLogger });
    await unstarted[Symbol.asyncDispose]();
    const { sink, source, clock } = await run('dies');
    await sink.until(({ states }) => states.length === 2);
    await source[Symbol.asyncDispose]();
    await source[Symbol.asyncDispose]();
    await clock.advance(600_000);
    expect(sink.batches).toHaveLength(2);
  });
});

describe('where the binary is looked for', () => {
  it('is nowhere: a state that heals when it is installed', async () => {
    const { sink, clock, folder } = await run('steady', {
      binary: undefined,
      env: { PATH: `/nowhere::relative:${process.env['PATH'] ?? ''}` },
    });
    await sink.until(({ states }) => states.length === 1);
    expect(sink.states[0]).toMatchObject({
      state: 'interrupted',
      retryInMs: 1_000,
      error: {
        code: 'source_absent',
        message: `neuron-monitor is neither in PATH nor in ${folder}/fs/opt/aws/neuron/bin; it comes with the package aws-neuronx-tools`,
      },
    });
    install(join(folder, 'fs/opt/aws/neuron/bin'));
    await clock.advance(1_000);
    await sink.until(({ batches }) => batches.length === 1);
    expect(sink.events).toEqual(['interrupted', 'live', 'batch']);
  });

  it('is the first in PATH, even when the package’s own folder has one', async () => {
    const folder = temporaryFolder();
    install(join(folder, 'second'));
    const { sink } = await run('tells', {
      binary: undefined,
      env: { PATH: [join(folder, 'first'), join(folder, 'second'), process.env['PATH'] ?? ''].join(':') },
    });
    await sink.until(({ batches }) => batches.length === 1);
    expect(sink.events).toEqual(['live', 'batch']);
  });

  it('is there but may not be executed', async () => {
    const { sink, clock, folder } = await run('steady', { binary: undefined, env: { PATH: '/nowhere' } });
    await sink.until(({ states }) => states.length === 1);
    const path = join(folder, 'fs/opt/aws/neuron/bin/neuron-monitor');
    mkdirSync(dirname(path), { recursive: true });
    writeFileSync(path, '', { mode: 0o644 });
    await clock.advance(1_000);
    await sink.until(({ states }) => states.length === 2);
    expect(sink.states[1]).toMatchObject({ error: { code: 'source_denied', message: `may not be executed: ${path}` } });
  });

  it.each([
    ['not absolute', 'neuron-monitor', 'source_absent', 'path of neuron-monitor is not absolute: neuron-monitor'],
    ['not there', '/nowhere/neuron-monitor', 'source_absent', 'no such file: /nowhere/neuron-monitor'],
    ['a folder', '/', 'source_absent', 'no such file: /'],
    ['not executable', '/etc/passwd', 'source_denied', 'may not be executed: /etc/passwd'],
  ])('a given path that is %s', async (_name, binary, code, message) => {
    const { sink } = await run('steady', { binary });
    await sink.until(({ states }) => states.length === 1);
    expect(sink.states[0]).toMatchObject({ state: 'interrupted', error: { code, message } });
  });

  it('cannot be started: not a program', async () => {
    const folder = temporaryFolder();
    const binary = join(folder, 'neuron-monitor');
    writeFileSync(binary, '\u007fELF no program', { mode: 0o755 });
    const { sink } = await run('steady', { binary });
    await sink.until(({ states }) => states.length === 1);
    expect(sink.states[0]).toMatchObject({ state: 'interrupted', error: { component: 'neuron-monitor', code: 'child_exited' } });
  });
});
