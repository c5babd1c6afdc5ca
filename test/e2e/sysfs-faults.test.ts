/** The sysfs source of the running agent on files that fail: real errors of the kernel, injected by strace or brought about by limits. */
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { deviceRoot } from '../sources/sysfs/support.ts';
import { unpackArchive } from '../support/sysfs-archive.ts';
import { PROGRAMS } from './support/agent.ts';
import { TemporaryFolder } from './support/folder.ts';
import { peerPath } from '../../scripts/peers.ts';
import { freePort } from './support/ports.ts';
import { RunningProcess } from './support/process.ts';

let folder: TemporaryFolder;

beforeEach(() => {
  folder = new TemporaryFolder();
});

afterEach(() => folder[Symbol.dispose]());

/** An agent that collects from a tree once a second and serves a page. */
class NativeAgent {
  readonly process: RunningProcess;
  readonly #port: number;

  private constructor(command: string, args: readonly string[], port: number, sysRoot: string) {
    this.#port = port;
    this.process = new RunningProcess('neuron-otel', command, args, {
      env: { NEURON_OTEL_SYS_ROOT: sysRoot, NEURON_OTEL_PROC_ROOT: '/nonexistent', NEURON_OTEL_DEV_ROOT: '/nonexistent' },
    });
  }

  /** `wrap` puts another program in front of the agent. */
  static async start(sysRoot: string, wrap: (agent: readonly string[]) => readonly string[]): Promise<NativeAgent> {
    const port = await freePort();
    const config = folder.file('config.json');
    const source = { procfs: 'off', imds: { enabled: false } };
    writeFileSync(config, JSON.stringify({ period: '1s', source, exporters: { prometheus: { port } } }));
    const [command = '', ...args] = wrap([process.execPath, PROGRAMS.sources, '--source', 'native', '-c', config]);
    return new NativeAgent(command, args, port, sysRoot);
  }

  /** The page, once it has a line that matches. */
  pageWith(line: RegExp): Promise<string> {
    return this.process.until(`a page with ${line.source}`, async () => {
      const response = await fetch(`http://127.0.0.1:${this.#port}/metrics`);
      const page = await response.text();
      return line.test(page) ? page : undefined;
    });
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.process[Symbol.asyncDispose]();
  }
}

/** The line of one ECC counter. */
function errors(device: number, memory: string, type: string): RegExp {
  return new RegExp(`^hw_errors_total\\{hw_id="neuron${device}:${memory}".*error_type="${type}".*\\} \\d+$`, 'm');
}

/** strace as the grandchild of the agent: whoever started the agent ends it as usual. */
function strace(trace: string, path: string, inject: string): readonly string[] {
  return [peerPath('strace'), '-D', '-f', '-qqq', '-o', trace, '-P', path, '-e', inject];
}

describe('one file that fails', () => {
  it.each([
    ['EIO', 'pread64', 'source_malformed'],
    ['EINVAL', 'pread64', 'source_malformed'],
    ['EMFILE', 'openat', 'source_denied'],
  ])('with %s of %s costs its value, and only for as long as it fails', { timeout: 60_000 }, async (errno, call, code) => {
    using tree = unpackArchive('2.30-trn1');
    const path = join(tree.root, deviceRoot(0), 'stats/hardware/mem_ecc_corrected');
    const inject = `inject=${call}:error=${errno}:when=1..6`;
    await using agent = await NativeAgent.start(tree.root, (command) => [...strace(folder.file('trace'), path, inject), ...command]);
    const page = await agent.pageWith(errors(12, 'hbm', 'corrected'));
    expect(page).not.toMatch(errors(0, 'hbm', 'corrected'));
    expect(page).toMatch(errors(0, 'sram', 'corrected'));
    expect(page).toMatch(new RegExp(`^neuron_collection_errors_total\\{.*error_type="${code}".*\\} [1-9]`, 'm'));
    await agent.pageWith(errors(0, 'hbm', 'corrected'));
    expect(readFileSync(folder.file('trace'), 'utf8').match(/INJECTED/g)).toHaveLength(6);
  });

  it.each(['ENODEV', 'ENOENT'])('with %s is looked for again, and nothing is missing', { timeout: 60_000 }, async (errno) => {
    using tree = unpackArchive('2.30-trn1');
    const path = join(tree.root, deviceRoot(0), 'stats/hardware/mem_ecc_corrected');
    const inject = `inject=pread64:error=${errno}:when=2..2`;
    const trace = folder.file('trace');
    await using agent = await NativeAgent.start(tree.root, (command) => [...strace(trace, path, inject), ...command]);
    await agent.process.until('the fault', () => (readFileSync(trace, 'utf8').includes('INJECTED') ? true : undefined));
    const page = await agent.pageWith(errors(0, 'hbm', 'corrected'));
    expect(page).not.toMatch(/^neuron_collection_errors_total\{.*neuron_group="neuron_hw_counters".*\} [1-9]/m);
    // Read at first, gone, looked for and read again.
    expect(readFileSync(trace, 'utf8').match(/pread64\(/g)?.length).toBeGreaterThanOrEqual(3);
  });
});

it('too few descriptors for all files cost nothing, and leave some for others', { timeout: 60_000 }, async () => {
  using tree = unpackArchive('2.30-trn2');
  const limited = (command: readonly string[]): readonly string[] => ['bash', '-c', 'ulimit -n 160 && exec "$@"', 'bash', ...command];
  await using agent = await NativeAgent.start(tree.root, limited);
  const page = await agent.pageWith(/^neuron_device_memory_usage_bytes\{/m);
  expect(page.match(/^neuron_device_memory_usage_bytes\{/gm)).toHaveLength(2 * 8 * 11);
  expect(page.match(/^neuron_device_core_executions_total\{/gm)).toHaveLength(2 * 8 * 6);
  expect(page).not.toMatch(/^neuron_collection_errors_total\{.*\} [1-9]/m);
});
