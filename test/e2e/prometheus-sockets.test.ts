import { describe, expect, it } from 'vitest';
import { AgentProcess, PROGRAMS } from './support/agent.ts';
import { TemporaryFolder } from './support/folder.ts';
import { peerPath } from '../../scripts/peers.ts';
import { freePort } from './support/ports.ts';
import { RunningProcess } from './support/process.ts';

/** Listens as systemd does, then becomes the program: `ADDRESSES PROGRAM ARGUMENT...`, an address being a port or a path. */
const ACTIVATE = `
import os, socket, sys
addresses = sys.argv[1].split(',')
for descriptor, address in enumerate(addresses, start=3):
    if address.isdigit():
        listener = socket.create_server(('127.0.0.1', int(address)))
    else:
        listener = socket.socket(socket.AF_UNIX)
        listener.bind(address)
        listener.listen()
    os.dup2(listener.detach(), descriptor)
    os.set_inheritable(descriptor, True)
os.environ.update(LISTEN_PID=str(os.getpid()), LISTEN_FDS=str(len(addresses)))
os.execv(sys.argv[2], sys.argv[2:])
`;

const ARGUMENTS = ['--source', '-', '--exporter', 'prometheus', '--web.systemd-socket'];

function activated(addresses: readonly (number | string)[], program: keyof typeof PROGRAMS): RunningProcess {
  const args = ['-c', ACTIVATE, addresses.join(','), process.execPath, PROGRAMS[program], ...ARGUMENTS];
  return new RunningProcess('neuron-otel', peerPath('python'), args);
}

describe('--web.systemd-socket', () => {
  it.each(['sources', 'bundle'] as const)('serves on every socket that is passed, %s', async (program) => {
    const ports = [await freePort(), await freePort()];
    await using agent = activated(ports, program);
    for (const port of ports) {
      const page = await agent.until('a page', async () => (await fetch(`http://127.0.0.1:${port}/metrics`)).text());
      expect(page).toContain('target_info');
    }
    // The sockets stay systemd's: the agent ends as always.
    agent.kill('SIGTERM');
    await agent.endsWith(0);
  });

  it('refuses a socket that is not TCP, and says which', async () => {
    using folder = new TemporaryFolder();
    await using agent = activated([folder.file('socket')], 'sources');
    await agent.endsWith(1);
    expect(agent.stderr).toContain('cannot listen on descriptor 3: it is no TCP socket');
  });

  it('without a socket is an invalid configuration', async () => {
    await using agent = new AgentProcess(ARGUMENTS);
    await agent.process.endsWith(78);
    expect(agent.process.stderr).toContain('systemd passed no socket');
  });

  it('does not go together with addresses', async () => {
    await using agent = new AgentProcess([...ARGUMENTS, '--web.listen-address', '127.0.0.1:0']);
    await agent.process.endsWith(78);
    expect(agent.process.stderr).toContain('cannot go together with listen: systemd has the addresses');
  });
});
