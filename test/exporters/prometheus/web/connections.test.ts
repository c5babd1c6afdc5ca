import { once } from 'node:events';
import { connect, createServer } from 'node:net';
import type { AddressInfo, Socket } from 'node:net';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { CROWD, Connections } from '../../../../exporters/prometheus/web/connections.ts';
import { ManualClock } from '../../../support/manual-clock.ts';

describe('connections', () => {
  const clients: Socket[] = [];
  let clock: ManualClock;
  let connections: Connections;
  let server: ReturnType<typeof createServer>;

  beforeEach(async () => {
    clock = new ManualClock();
    connections = new Connections(clock, 3);
    server = createServer().listen(0, '127.0.0.1');
    await once(server, 'listening');
  });

  afterEach(() => {
    connections.closeAll();
    for (const client of clients.splice(0)) client.destroy();
    server.close();
  });

  async function accept(): Promise<Socket> {
    const accepted = once(server, 'connection');
    const { port } = server.address() as AddressInfo;
    clients.push(connect(port, '127.0.0.1').on('error', () => {}));
    const [socket] = (await accepted) as [Socket];
    return socket;
  }

  async function admitted(count: number): Promise<readonly Socket[]> {
    const sockets: Socket[] = [];
    for (let index = 0; index < count; index += 1) {
      const socket = await accept();
      connections.admit(socket);
      sockets.push(socket);
    }
    return sockets;
  }

  function alive(sockets: readonly Socket[]): readonly boolean[] {
    return sockets.map((socket) => !socket.destroyed);
  }

  it('beyond the limit make room a moment later, the silent before those that spoke, the oldest first', async () => {
    const sockets = await admitted(5);
    if (sockets[1] !== undefined) connections.spoke(sockets[1]);
    expect(alive(sockets)).toEqual([true, true, true, true, true]);
    await clock.advance(100);
    expect(alive(sockets)).toEqual([false, true, false, true, true]);
    expect(connections.size).toBe(3);
  });

  it('with a request under way stay', async () => {
    const sockets = await admitted(5);
    const ends = sockets.map((socket) => {
      connections.spoke(socket);
      return connections.begin(socket, 16);
    });
    await clock.advance(100);
    expect(alive(sockets)).toEqual([true, true, true, true, true]);
    for (const end of ends) expect(end?.()).toBe(false);
    const [last] = await admitted(1);
    await clock.advance(100);
    expect(connections.size).toBe(3);
    expect(last?.destroyed).toBe(true);
  });

  it('are refused when even a crowd would be too many', async () => {
    const busy = await admitted(3 + CROWD);
    for (const socket of busy) {
      connections.spoke(socket);
      connections.begin(socket, 16);
    }
    const newcomer = await accept();
    expect(connections.admit(newcomer)).toBe(false);
    expect(newcomer.destroyed).toBe(true);
  });

  it('that say nothing for five seconds end', async () => {
    const [silent, speaking] = await admitted(2);
    if (speaking !== undefined) connections.spoke(speaking);
    await clock.advance(4_000);
    const [late] = await admitted(1);
    await clock.advance(1_000);
    expect(silent?.destroyed).toBe(true);
    expect(speaking?.destroyed).toBe(false);
    expect(late?.destroyed).toBe(false);
    await clock.advance(4_000);
    expect(late?.destroyed).toBe(true);
  });

  it('that close are forgotten', async () => {
    const sockets = await admitted(2);
    if (sockets[0] !== undefined) connections.spoke(sockets[0]);
    for (const socket of sockets) socket.destroy();
    await expect.poll(() => connections.size).toBe(0);
  });
});
