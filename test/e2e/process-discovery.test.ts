import { spawn } from 'node:child_process';
import type { ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { createProcessInspector } from '../../sources/processes/inspector.ts';
import { systemHost } from '../../src/host.ts';
import { eventually } from './support/eventually.ts';

/**
 * Does what the Neuron runtime and the driver do: opens the device, maps it so that a fork does not inherit the mapping, forks.
 * Prints the pid of the child.
 */
const WORKLOAD = `
import mmap, os, signal, sys
device = open(sys.argv[1], 'r+b')
memory = mmap.mmap(device.fileno(), 4096)
memory.madvise(mmap.MADV_DONTFORK)
child = os.fork()
if child == 0:
    signal.pause()
print(child, flush=True)
sys.stdin.read()
os.kill(child, signal.SIGKILL)
`;

let folder: string;
let workload: ChildProcess;
let childPid: number;

beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), 'neuron-otel-e2e-'));
  mkdirSync(join(folder, 'dev'));
  writeFileSync(join(folder, 'dev/neuron0'), Buffer.alloc(4096));
  workload = spawn('python3', ['-c', WORKLOAD, join(folder, 'dev/neuron0')], {
    stdio: ['pipe', 'pipe', 'inherit'],
    env: { ...process.env, NEURON_PROCESS_TAG: 'e2e', NEURON_LOGICAL_NC_CONFIG: '2' },
  });
  if (workload.stdout === null) throw new Error('no stdout');
  const [line] = (await once(workload.stdout, 'data')) as [Buffer];
  childPid = Number(line.toString());
});

afterAll(() => {
  // The forked child holds the pipe, and would hold up the end of the tests.
  if (childPid > 0 && workload.exitCode === null) process.kill(childPid, 'SIGKILL');
  workload.kill();
  rmSync(folder, { recursive: true, force: true });
});

describe('discovery on the real /proc', () => {
  test('the process that mapped the device is found, its forked child is not, and both are gone when they end', async () => {
    const host = { ...systemHost({}), devRoot: join(folder, 'dev') };
    using inspector = createProcessInspector({ host });
    // The first look takes 100 ms at most, so on a busy machine it ends later.
    const discover = () => inspector.discover(host.clock.monotonicMs());
    const found = await eventually(() => (discover().length > 0 ? discover() : undefined), { timeoutMs: 10_000, what: 'a Neuron process' });
    expect(childPid).toBeGreaterThan(0);
    expect(found).toMatchObject([
      { pid: workload.pid, tag: 'e2e', logicalCoreConfig: 2, attributes: { 'process.executable.name': expect.stringMatching(/^python3/) } },
    ]);
    expect(Math.abs((found[0]?.startTimeMs ?? 0) - Date.now())).toBeLessThan(60_000);
    workload.stdin?.end();
    await once(workload, 'exit');
    expect(discover()).toEqual([]);
  });
});
