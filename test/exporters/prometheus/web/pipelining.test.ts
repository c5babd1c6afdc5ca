import { writeFileSync } from 'node:fs';
import { connect } from 'node:net';
import { join } from 'node:path';
import { connect as connectTls } from 'node:tls';
import { describe, expect, it } from 'vitest';
import { scratchDirectory } from '../../../support/scratch.ts';
import { certificatePath, certificateText } from '../../../support/web-configs.ts';
import { startEndpoint } from '../support/endpoint.ts';
import type { Endpoint } from '../support/endpoint.ts';

const REQUEST = 'GET /-/healthy HTTP/1.1\r\nHost: x\r\n\r\n';

interface Conversation {
  /** Statuses of the answers, in their order. */
  readonly statuses: readonly number[];
  /** Whether the server ended the connection. */
  readonly ended: boolean;
}

/** Says something and listens until the server ends the connection, or until so many answers are there. */
function say(port: number, text: string, enough: number, tls = false): Promise<Conversation> {
  return new Promise((resolve) => {
    const target = { host: '127.0.0.1', port };
    const socket = tls ? connectTls({ ...target, ca: certificateText('server.crt'), servername: 'localhost' }) : connect(target);
    let answer = '';
    const statuses = (): readonly number[] => [...answer.matchAll(/^HTTP\/1\.1 (\d{3})/gm)].map(([, status]) => Number(status));
    socket.on('error', () => {});
    socket.on('data', (data: Buffer) => {
      answer += data.toString('latin1');
      if (statuses().length < enough) return;
      resolve({ statuses: statuses(), ended: false });
      socket.destroy();
    });
    socket.on('close', () => resolve({ statuses: statuses(), ended: true }));
    socket.write(text);
  });
}

async function endpointWithTls(folder: string): Promise<Endpoint> {
  const file = join(folder, 'web.yml');
  writeFileSync(file, `tls_server_config:\n  cert_file: ${certificatePath('server.crt')}\n  key_file: ${certificatePath('server.key')}\n`);
  return startEndpoint({ web_config_file: file });
}

describe.each(['plain', 'TLS'])('requests in one breath, %s,', (kind) => {
  it('are all answered while they are few, and the connection stays', async () => {
    using folder = scratchDirectory();
    await using endpoint = kind === 'TLS' ? await endpointWithTls(folder.path) : await startEndpoint();
    const { statuses, ended } = await say(endpoint.port, REQUEST.repeat(16), 16, kind === 'TLS');
    expect({ statuses, ended }).toEqual({ statuses: Array.from({ length: 16 }, () => 200), ended: false });
  });

  it('beyond that are not answered, and end the connection', async () => {
    using folder = scratchDirectory();
    await using endpoint = kind === 'TLS' ? await endpointWithTls(folder.path) : await startEndpoint();
    const { statuses, ended } = await say(endpoint.port, REQUEST.repeat(20_000), 20_000, kind === 'TLS');
    expect(ended).toBe(true);
    expect(statuses.length).toBeLessThanOrEqual(16);
    expect(new Set(statuses)).not.toContain(500);
    expect((await say(endpoint.port, REQUEST, 1, kind === 'TLS')).statuses).toEqual([200]);
  });

  it('may be of any length in pieces: a header of 8 KiB less a little is read, a longer one is refused', async () => {
    using folder = scratchDirectory();
    await using endpoint = kind === 'TLS' ? await endpointWithTls(folder.path) : await startEndpoint();
    const withHeader = (length: number): string => `GET /-/healthy HTTP/1.1\r\nHost: x\r\nX-Long: ${'v'.repeat(length)}\r\n\r\n`;
    expect((await say(endpoint.port, withHeader(8_000), 1, kind === 'TLS')).statuses).toEqual([200]);
    expect((await say(endpoint.port, withHeader(8_000).repeat(3), 3, kind === 'TLS')).statuses).toEqual([200, 200, 200]);
    const { statuses, ended } = await say(endpoint.port, withHeader(9_000), 2, kind === 'TLS');
    expect({ statuses, ended }).toEqual({ statuses: [431], ended: true });
  });
});

it('a header without end is refused before it is read', async () => {
  await using endpoint = await startEndpoint();
  const { statuses, ended } = await say(endpoint.port, `GET / HTTP/1.1\r\nX: ${'h'.repeat(60_000)}`, 2);
  // The answer may be lost where the client is still sending.
  expect([[], [431]]).toContainEqual(statuses);
  expect(ended).toBe(true);
});
