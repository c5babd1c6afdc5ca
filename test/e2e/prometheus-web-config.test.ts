import { writeFileSync } from 'node:fs';
import type { RequestOptions } from 'node:https';
import { connect } from 'node:net';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { get, startEndpoint } from '../exporters/prometheus/support/endpoint.ts';
import { WEB_CONFIG_CASES, certificateText } from '../support/web-configs.ts';
import type { WebConfigCase } from '../support/web-configs.ts';
import { TemporaryFolder } from './support/folder.ts';
import { peerPath } from '../../scripts/peers.ts';
import { freePort } from './support/ports.ts';
import { RunningProcess } from './support/process.ts';

/** How a server behaves with a file: it does not start, or it answers each client with a status or not at all. */
type Behaviour = 'does not start' | Readonly<Record<string, number | 'refused'>>;

const NAMES = { ca: [certificateText('server.crt'), certificateText('server-rsa.crt')], servername: 'localhost' };

/** Clients a server meets: without and with TLS, with and without certificates and credentials. */
const CLIENTS: Readonly<Record<string, { readonly tls?: RequestOptions; readonly headers?: Readonly<Record<string, string>> }>> = {
  'plain HTTP': {},
  'plain HTTP, right password': { headers: basic('alice', 'correct horse') },
  'plain HTTP, wrong password': { headers: basic('alice', 'battery staple') },
  'plain HTTP, unknown user': { headers: basic('mallory', 'correct horse') },
  TLS: { tls: NAMES },
  'TLS, right password': { tls: NAMES, headers: basic('alice', 'correct horse') },
  'TLS, wrong password': { tls: NAMES, headers: basic('alice', 'battery staple') },
  'TLS, certificate of our authority': { tls: { ...NAMES, cert: certificateText('client.crt'), key: certificateText('client.key') } },
  'TLS, certificate of a stranger': { tls: { ...NAMES, cert: certificateText('stranger.crt'), key: certificateText('stranger.key') } },
  'TLS 1.2 only': { tls: { ...NAMES, maxVersion: 'TLSv1.2' } },
  'TLS 1.3 only': { tls: { ...NAMES, minVersion: 'TLSv1.3' } },
};

/** Members that came after the exporter-toolkit of Debian's node_exporter 1.5. */
const NEWER = /^\s*(?:cert|key|client_ca|client_allowed_sans|rate_limit):/m;

let folder: TemporaryFolder;
beforeAll(() => {
  folder = new TemporaryFolder();
});
afterAll(() => folder[Symbol.dispose]());

describe('a web configuration file means to us what it means to current exporters', () => {
  it.each(WEB_CONFIG_CASES.map((one) => [one.name, one] as const))('%s', async (_name, one) => {
    const file = fileOf(one);
    const theirs = await behaviourOf('exporter-toolkit', file);
    expect(await ourBehaviour(file)).toEqual(theirs);
    expect(theirs === 'does not start').toBe(!one.isGood);
  });
});

describe("and to Debian's node_exporter", () => {
  const known = WEB_CONFIG_CASES.filter(({ yaml }) => !NEWER.test(yaml));

  it.each(known.map((one) => [one.name, one] as const))('%s', async (_name, one) => {
    const file = fileOf(one);
    expect(await ourBehaviour(file)).toEqual(await behaviourOf('node-exporter', file));
  });

  it('in at least sixty files', () => {
    expect(known.length).toBeGreaterThanOrEqual(60);
  });
});

function fileOf({ yaml }: WebConfigCase): string {
  const file = folder.file('web.yml');
  writeFileSync(file, yaml);
  return file;
}

async function ourBehaviour(file: string): Promise<Behaviour> {
  try {
    await using endpoint = await startEndpoint({ web_config_file: file });
    return await answers(endpoint.port);
  } catch (thrown) {
    if (thrown instanceof Error && 'code' in thrown && thrown.code === 'config_invalid') return 'does not start';
    throw thrown;
  }
}

async function behaviourOf(program: 'exporter-toolkit' | 'node-exporter', file: string): Promise<Behaviour> {
  const port = await freePort();
  const only = program === 'node-exporter' ? ['--collector.disable-defaults', '--collector.time'] : [];
  const server = new RunningProcess(program, peerPath(program), [
    `--web.listen-address=127.0.0.1:${port}`,
    `--web.config.file=${file}`,
    ...only,
  ]);
  await using _ = server;
  const ended = server.exited.then(() => 'ended' as const);
  for (;;) {
    if (await isOpen(port)) break;
    const state = await Promise.race([ended, new Promise<'waiting'>((resolve) => setTimeout(resolve, 20, 'waiting'))]);
    if (state === 'ended') return 'does not start';
  }
  const outcomes = await answers(port);
  // They open the port before they look at the file, and leave when it is bad: a port that was open for a moment is no start.
  const refusesAll = Object.values(outcomes).every((outcome) => outcome === 'refused');
  const left =
    refusesAll && (await Promise.race([ended, new Promise<'running'>((resolve) => setTimeout(resolve, 1_500, 'running'))])) === 'ended';
  return left ? 'does not start' : outcomes;
}

async function answers(port: number): Promise<Readonly<Record<string, number | 'refused'>>> {
  const outcomes: Record<string, number | 'refused'> = {};
  for (const [name, { tls, headers = {} }] of Object.entries(CLIENTS)) {
    outcomes[name] = await statusOf(port, { headers, ...(tls === undefined ? {} : { tls }) });
  }
  return outcomes;
}

async function statusOf(port: number, options: Parameters<typeof get>[2]): Promise<number | 'refused'> {
  try {
    const { status } = await get(port, '/metrics', options);
    // Go tells a client that speaks HTTP to a TLS port so, with a 400; here the connection ends, as it does for any other noise.
    return status === 400 ? 'refused' : status;
  } catch {
    return 'refused';
  }
}

function isOpen(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect({ host: '127.0.0.1', port });
    socket.once('connect', () => {
      socket.destroy();
      resolve(true);
    });
    socket.once('error', () => resolve(false));
  });
}

function basic(user: string, password: string): Readonly<Record<string, string>> {
  return { authorization: `Basic ${Buffer.from(`${user}:${password}`).toString('base64')}` };
}
