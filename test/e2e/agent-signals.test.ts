import { execFileSync } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { connect } from 'node:net';
import { describe, expect, it } from 'vitest';
import { AgentProcess } from './support/agent.ts';
import { TemporaryFolder } from './support/folder.ts';
import { freePort } from './support/ports.ts';
import { RunningProcess } from './support/process.ts';

const QUIET = { source: { spec: 'native', imds: { enabled: false } } };

async function started(config: object = QUIET): Promise<AgentProcess> {
  const agent = new AgentProcess([], { config });
  await agent.process.until('the start', () => (agent.process.stderr.includes('started') ? true : undefined));
  return agent;
}

/** True when something accepts connections on a port of this machine. */
function accepts(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(port, '127.0.0.1');
    socket.on('connect', () => {
      socket.destroy();
      resolve(true);
    });
    socket.on('error', () => resolve(false));
  });
}

describe('signals', () => {
  it.each(['SIGINT', 'SIGTERM', 'SIGQUIT', 'SIGUSR2', 'SIGALRM', 'SIGVTALRM', 'SIGXCPU'] as const)(
    '%s stops in good order',
    async (signal) => {
      await using agent = await started();
      agent.process.kill(signal);
      await agent.process.endsWith(0, 5_000);
      expect(agent.process.stderr).toContain('asked to stop');
    },
  );

  it('SIGUSR1 opens no debugger and does not stop', async () => {
    const hadDebugger = await accepts(9229);
    await using agent = await started();
    agent.process.kill('SIGUSR1');
    agent.process.kill('SIGUSR1');
    // The stop comes after both, so that they were handled.
    agent.process.kill('SIGTERM');
    await agent.process.endsWith(0, 5_000);
    expect(agent.process.stderr).not.toContain('Debugger listening');
    expect(await accepts(9229)).toBe(hadDebugger);
  });

  it('SIGHUP stops a command that has no configuration to read again', async () => {
    const port = await freePort();
    await using agent = new AgentProcess(['demo', '--port', String(port), '--verbose', '3', '--instance-type', 'inf1.6xlarge']);
    await agent.process.until('the start', () => (agent.process.stderr.includes('started') ? true : undefined));
    agent.process.kill('SIGHUP');
    await agent.process.endsWith(0, 5_000);
    expect(agent.process.stderr).toContain('asked to stop');
  });
});

describe('SIGHUP', () => {
  it('reads the configuration again: a good one takes effect, a bad one is refused', async () => {
    using folder = new TemporaryFolder();
    const path = folder.file('agent.json');
    const port = await freePort();
    const configure = (config: object): void => writeFileSync(path, JSON.stringify({ ...QUIET, ...config }));
    configure({ period: '100ms', exporters: { prometheus: { port } } });
    await using agent = new AgentProcess(['-c', path]);
    const logged = (text: string) => agent.process.until(text, () => (agent.process.stderr.includes(text) ? true : undefined));
    await logged('started');
    configure({ period: '1', exporters: { prometheus: { port } } });
    agent.process.kill('SIGHUP');
    await logged('the one before stays in force');
    configure({ period: '100ms', exporters: { prometheus: { port, naming: 'legacy' } } });
    agent.process.kill('SIGHUP');
    await logged('is in force');
    const page = await (await fetch(`http://127.0.0.1:${port}/metrics`)).text();
    expect(page).toContain('system_memory_total_bytes');
    agent.process.kill('SIGTERM');
    await agent.process.endsWith(0, 8_000);
  });
});

describe('a thread that does not come back', () => {
  it.each(['normal', 'hard'])('does not keep the process: %s end', async (kind) => {
    using folder = new TemporaryFolder();
    const fifo = folder.file('fifo');
    execFileSync('mkfifo', [fifo]);
    // The thread waits for a writer of the FIFO for ever, as it would for a file system that hangs.
    const script = `
      const { endNow } = await import(${JSON.stringify(new URL('../../cli/ending.ts', import.meta.url).href)});
      const { readFile } = await import('node:fs/promises');
      if (${kind === 'hard'}) void readFile(${JSON.stringify(fifo)});
      setTimeout(() => endNow(70), 100);`;
    await using child = new RunningProcess('ending', process.execPath, ['--input-type=module', '-e', script]);
    await child.endsWith(70, 5_000);
    expect(child.stderr).toBe('');
  });
});
