/**
 * What the agent gets with which right, on the real /proc: Neuron processes of two users, and an agent that has dropped rights.
 * The table of docs/deploy.md has these results.
 */
import { spawn, spawnSync } from 'node:child_process';
import type { ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { chmodSync, mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { PROGRAMS } from './support/agent.ts';
import { TemporaryFolder } from './support/folder.ts';
import { RunningProcess } from './support/process.ts';

/** Opens the device and maps it, as the Neuron runtime does. */
const WORKLOAD = `
import mmap, sys
device = open(sys.argv[1], 'r+b')
memory = mmap.mmap(device.fileno(), 4096)
print('ready', flush=True)
sys.stdin.read()
`;

const USER = 12_345;
const AGENT_USER = 65_532;
const DROP_ALL = ['--bounding-set', '-all', '--inh-caps', '-all'];
const NOBODY = ['--reuid', `${AGENT_USER}`, '--regid', `${AGENT_USER}`, '--clear-groups', ...DROP_ALL];
/** As systemd starts the unit with its drop-in: an account of its own, and one ambient capability. */
const NOBODY_WITH_PTRACE = [...NOBODY.slice(0, 5), '--inh-caps', '-all,+sys_ptrace', '--ambient-caps', '-all,+sys_ptrace'];
/** As Kubernetes starts a container of user 0 with `drop: [ALL]`, and with what is added. */
const ROOT_WITHOUT_CAPABILITIES = DROP_ALL;
const ROOT_WITH_PTRACE = ['--bounding-set', '-all,+sys_ptrace', '--inh-caps', '-all'];
const ROOT_WITH_PTRACE_AND_READ = ['--bounding-set', '-all,+sys_ptrace,+dac_read_search', '--inh-caps', '-all'];

// The rights of other users can be dropped by root only; CI runs as root.
const isRoot = process.getuid?.() === 0 && spawnSync('setpriv', ['--version']).status === 0;

let folder: TemporaryFolder;
let workloads: readonly ChildProcess[];

beforeAll(async () => {
  folder = new TemporaryFolder();
  chmodSync(folder.file('.'), 0o755);
  for (const path of ['dev', 'sys/class/neuron_device/neuron0', 'proc']) mkdirSync(folder.file(path), { recursive: true });
  writeFileSync(folder.file('dev/neuron0'), Buffer.alloc(4096));
  chmodSync(folder.file('dev/neuron0'), 0o666);
  writeFileSync(
    folder.file('config.json'),
    JSON.stringify({ period: '1s', source: { spec: 'native', imds: { enabled: false } }, exporters: { json_stdout: {} } }),
  );
  workloads = isRoot ? [startWorkload('of-root', 0), startWorkload('of-user', USER)] : [];
  for (const { stdout } of workloads) if (stdout !== null) await once(stdout, 'data');
});

afterAll(() => {
  for (const workload of workloads) workload.kill('SIGKILL');
  folder[Symbol.dispose]();
});

function startWorkload(tag: string, user: number): ChildProcess {
  return spawn('/usr/bin/env', ['python3', '-c', WORKLOAD, folder.file('dev/neuron0')], {
    stdio: ['pipe', 'pipe', 'inherit'],
    env: { PATH: '/usr/local/bin:/usr/bin:/bin', NEURON_PROCESS_TAG: tag },
    uid: user,
    gid: user,
  });
}

interface Outcome {
  readonly page: string;
  readonly log: string;
  /** Tags of the processes that the page has. */
  readonly tags: readonly string[];
}

/** One collection of an agent with these rights; `mount` are the options of a procfs of its own. */
async function collect(rights: readonly string[], mount?: string): Promise<Outcome> {
  // On a busy machine the first scan of all processes may end after the collection, and then it shows nothing yet.
  for (let attempt = 0; ; attempt += 1) {
    const outcome = await collectOnce(rights, mount);
    if (outcome.page.includes('neuron_collection_denied{') || attempt === 4) return outcome;
  }
}

async function collectOnce(rights: readonly string[], mount?: string): Promise<Outcome> {
  const command = ['setpriv', ...rights, process.execPath, PROGRAMS.sources];
  const args = ['once', '-c', folder.file('config.json'), '--format', 'prometheus', '--self-metrics'];
  const procRoot = mount === undefined ? '/proc' : folder.file('proc');
  const mounted = `mount -t proc -o ${mount} proc ${procRoot} && exec "$@"`;
  const whole = mount === undefined ? [...command, ...args] : ['unshare', '-m', 'sh', '-c', mounted, 'sh', ...command, ...args];
  await using agent = new RunningProcess('neuron-otel', whole[0] ?? '', whole.slice(1), {
    env: {
      NEURON_OTEL_DEV_ROOT: folder.file('dev'),
      NEURON_OTEL_SYS_ROOT: folder.file('sys'),
      NEURON_OTEL_FS_ROOT: join(folder.file('.'), 'root'),
      NEURON_OTEL_PROC_ROOT: procRoot,
    },
  });
  await agent.endsWith(0);
  const page = agent.stdout.toString('utf8');
  const tags = [...page.matchAll(/^process_uptime_seconds\{.*neuron_runtime_tag="([^"]*)"/gm)].map(([, tag = '']) => tag);
  return { page, log: agent.stderr, tags: tags.toSorted() };
}

function deniedProcesses({ page }: Outcome): number {
  return Number(/^neuron_collection_denied\w*\{.*\} (\d+)$/m.exec(page)?.[1]);
}

function warnings({ log }: Outcome): readonly string[] {
  return log.split('\n').filter((line) => line.includes(' warn '));
}

describe.runIf(isRoot)('Neuron processes of root and of a user', { timeout: 60_000 }, () => {
  it('are not seen by an account without rights, which says so once', async () => {
    const outcome = await collect(NOBODY);
    expect(outcome.tags).toEqual([]);
    expect(deniedProcesses(outcome)).toBeGreaterThanOrEqual(2);
    expect(warnings(outcome)).toHaveLength(1);
    expect(warnings(outcome)[0]).toMatch(/processes of other users may not be looked at.* processes=\d+ remedy=.*CAP_SYS_PTRACE/);
    expect(outcome.page).toMatch(/^neuron_collection_errors_total\{.*source_denied.*\} [12]$/m);
  });

  it('are not seen by user 0 without capabilities', async () => {
    const outcome = await collect(ROOT_WITHOUT_CAPABILITIES);
    expect(outcome.tags).toEqual([]);
    expect(deniedProcesses(outcome)).toBeGreaterThanOrEqual(2);
  });

  it('are all seen by user 0 with CAP_SYS_PTRACE, without the tag of the other user', async () => {
    const outcome = await collect(ROOT_WITH_PTRACE);
    expect(outcome.tags).toEqual([String(workloads[1]?.pid), 'of-root'].toSorted());
    // A few may stay denied, such as the first process of a sandbox that has more capabilities than root has in it.
    expect(deniedProcesses(outcome)).toBeLessThan(deniedProcesses(await collect(NOBODY)));
  });

  it('are all seen by an account with the ambient CAP_SYS_PTRACE of the systemd drop-in, without their tags', async () => {
    const outcome = await collect(NOBODY_WITH_PTRACE);
    expect(outcome.tags).toEqual(workloads.map(({ pid }) => String(pid)).toSorted());
  });

  it('have their tags with CAP_DAC_READ_SEARCH as well', async () => {
    const outcome = await collect(ROOT_WITH_PTRACE_AND_READ);
    expect(outcome.tags).toEqual(['of-root', 'of-user']);
  });

  it('are hidden by a /proc with hidepid, which is named', async () => {
    const outcome = await collect(NOBODY, 'hidepid=2');
    expect(outcome.tags).toEqual([]);
    expect(warnings(outcome)).toHaveLength(1);
    expect(warnings(outcome)[0]).toMatch(/hides the processes of other users \(mount option hidepid\)/);
  });

  it('leave the host in the dark with a /proc of subset=pid, which is named', async () => {
    const outcome = await collect(ROOT_WITH_PTRACE, 'subset=pid');
    expect(outcome.page).not.toMatch(/^system_cpu/m);
    expect(outcome.log).toMatch(/shows processes only \(mount option subset=pid\)/);
    expect(outcome.page).toMatch(/^neuron_collection_errors_total\{.*vcpu_usage.*\} [12]$/m);
  });
});

it.runIf(!isRoot)('rights can be dropped by root only, so the cases above need root and setpriv', () => {
  expect(isRoot).toBe(false);
});
