import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { connect as connectHttp2 } from 'node:http2';
import type { RequestOptions } from 'node:https';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { connect as connectTls } from 'node:tls';
import type { ConnectionOptions, PeerCertificate } from 'node:tls';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { LogFields, Logger } from '../../../../src/log.ts';
import { silentLogger } from '../../../../src/log.ts';
import { SECRET_HASH, certificatePath, certificateText } from '../../../support/web-configs.ts';
import { startEndpoint } from '../support/endpoint.ts';
import type { Endpoint } from '../support/endpoint.ts';

let folder = '';
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'web-server-'));
});
afterAll(() => rmSync(folder, { recursive: true }));

const TRUSTING: RequestOptions = { ca: certificateText('server.crt'), servername: 'localhost' };
const SCRAPER: RequestOptions = { ...TRUSTING, cert: certificateText('client.crt'), key: certificateText('client.key') };
const STRANGER: RequestOptions = { ...TRUSTING, cert: certificateText('stranger.crt'), key: certificateText('stranger.key') };

let files = 0;

/** An endpoint with this web configuration, and a way to change it. */
async function start(yaml: string, log: Logger = silentLogger): Promise<Endpoint & { change(yaml: string): void; readonly file: string }> {
  files += 1;
  const file = join(folder, `web-${files}.yml`);
  writeFileSync(file, yaml);
  const endpoint = await startEndpoint({ web_config_file: file }, { log });
  return Object.assign(endpoint, { file, change: (changed: string) => writeFileSync(file, changed) });
}

function tlsYaml(...members: readonly string[]): string {
  const lines = [`cert_file: ${certificatePath('server.crt')}`, `key_file: ${certificatePath('server.key')}`, ...members];
  return `tls_server_config:\n${lines.map((line) => `  ${line}\n`).join('')}`;
}

function basic(user: string, password: string): Readonly<Record<string, string>> {
  return { authorization: `Basic ${Buffer.from(`${user}:${password}`).toString('base64')}` };
}

/** Status of a scrape, or `refused` when the connection is. */
async function outcome(
  endpoint: Endpoint,
  tls?: RequestOptions,
  headers: Readonly<Record<string, string>> = {},
): Promise<number | 'refused'> {
  try {
    return (await endpoint.get('/metrics', { headers, ...(tls === undefined ? {} : { tls }) })).status;
  } catch {
    return 'refused';
  }
}

function handshake(
  port: number,
  options: ConnectionOptions,
): Promise<{ readonly protocol: string | null; readonly cipher: string; readonly peer: PeerCertificate }> {
  return new Promise((resolve, reject) => {
    const socket = connectTls(
      {
        host: '127.0.0.1',
        port,
        ca: [certificateText('server.crt'), certificateText('server-renewed.crt')],
        servername: 'localhost',
        ...options,
      },
      () => {
        resolve({ protocol: socket.getProtocol(), cipher: socket.getCipher().name, peer: socket.getPeerCertificate() });
        socket.destroy();
      },
    );
    socket.on('error', reject);
  });
}

describe('TLS', () => {
  it('serves HTTPS, and nobody without it', async () => {
    await using endpoint = await start(tlsYaml());
    expect(await outcome(endpoint, TRUSTING)).toBe(200);
    expect(await outcome(endpoint)).toBe('refused');
  });

  it('keeps to the versions and suites asked for', async () => {
    await using newest = await start(tlsYaml('min_version: TLS13'));
    expect((await handshake(newest.port, {})).protocol).toBe('TLSv1.3');
    await expect(handshake(newest.port, { maxVersion: 'TLSv1.2' })).rejects.toThrow(/protocol version|alert/i);
    await using older = await start(tlsYaml('max_version: TLS12', 'cipher_suites: [TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256]'));
    expect(await handshake(older.port, {})).toMatchObject({ protocol: 'TLSv1.2', cipher: 'ECDHE-ECDSA-AES128-GCM-SHA256' });
    await using byDefault = await start(tlsYaml());
    await expect(
      handshake(byDefault.port, { minVersion: 'TLSv1.1', maxVersion: 'TLSv1.1', ciphers: 'DEFAULT@SECLEVEL=0' }),
    ).rejects.toThrow(/./);
    await using oldest = await start(tlsYaml('min_version: TLS10'));
    expect(await handshake(oldest.port, { minVersion: 'TLSv1', maxVersion: 'TLSv1', ciphers: 'DEFAULT@SECLEVEL=0' })).toMatchObject({
      protocol: 'TLSv1',
    });
  });

  it('speaks HTTP/2 where it is not switched off', async () => {
    await using endpoint = await start(tlsYaml());
    expect(await scrapeHttp2(endpoint.port)).toMatchObject({ status: 200, text: expect.stringContaining('test_utilization_ratio') });
    await using without = await start(`${tlsYaml()}http_server_config:\n  http2: false\n`);
    await expect(scrapeHttp2(without.port)).rejects.toThrow(/./);
    expect(await outcome(without, TRUSTING)).toBe(200);
  });

  it('takes a renewed certificate without a restart', async () => {
    const certFile = join(folder, 'live.crt');
    const keyFile = join(folder, 'live.key');
    const install = (name: string): void => {
      writeFileSync(certFile, certificateText(`${name}.crt`));
      writeFileSync(keyFile, certificateText(`${name}.key`));
    };
    install('server');
    await using endpoint = await start(`tls_server_config:\n  cert_file: ${certFile}\n  key_file: ${keyFile}\n`);
    const subject = async (): Promise<unknown> => (await handshake(endpoint.port, {})).peer.subject.CN;
    expect(await subject()).toBe('neuron-otel test server');
    install('server-renewed');
    expect(await subject()).toBe('neuron-otel test server, renewed');
    writeFileSync(keyFile, 'half a ke');
    await expect(subject()).rejects.toThrow(/./);
    install('server');
    expect(await subject()).toBe('neuron-otel test server');
  });

  it('does not start with a bad file', async () => {
    await expect(start(tlsYaml('min_version: TLS2'))).rejects.toMatchObject({ code: 'config_invalid' });
    await expect(startEndpoint({ web_config_file: join(folder, 'nowhere.yml') })).rejects.toMatchObject({ code: 'config_invalid' });
  });

  it('serves nobody while its file is bad, and everybody when it is good again', async () => {
    await using endpoint = await start(tlsYaml());
    endpoint.change(tlsYaml('client_auth_type: Sometimes'));
    expect(await outcome(endpoint, TRUSTING)).toBe('refused');
    endpoint.change('{}\n');
    expect(await outcome(endpoint, TRUSTING)).toBe('refused');
    endpoint.change(tlsYaml());
    expect(await outcome(endpoint, TRUSTING)).toBe(200);
  });
});

describe('client certificates', () => {
  const ca = `client_ca_file: ${certificatePath('ca.crt')}`;
  it.each([
    ['NoClientCert', [], 200, 200, 200],
    ['RequestClientCert', [], 200, 200, 200],
    ['RequireAnyClientCert', [], 'refused', 200, 200],
    ['RequireClientCert', [], 'refused', 200, 200],
    ['VerifyClientCertIfGiven', [ca], 200, 200, 'refused'],
    ['RequireAndVerifyClientCert', [ca], 'refused', 200, 'refused'],
    ['RequireAndVerifyClientCert', [], 'refused', 'refused', 'refused'],
    ['RequireAndVerifyClientCert', [ca, 'client_allowed_sans: [scraper.example]'], 'refused', 200, 'refused'],
    ['RequireAndVerifyClientCert', [ca, 'client_allowed_sans: ["2001:db8::7"]'], 'refused', 200, 'refused'],
    ['RequireAndVerifyClientCert', [ca, 'client_allowed_sans: [spiffe://example.com/scraper]'], 'refused', 200, 'refused'],
    ['RequireAndVerifyClientCert', [ca, 'client_allowed_sans: [other.example]'], 'refused', 'refused', 'refused'],
    ['RequireAndVerifyClientCert', [ca, 'client_allowed_sans: []'], 'refused', 'refused', 'refused'],
    ['RequestClientCert', ['client_allowed_sans: [stranger.example]'], 'refused', 'refused', 200],
  ] as const)('%s %j: none %s, scraper %s, stranger %s', async (type, members, none, scraper, stranger) => {
    await using endpoint = await start(tlsYaml(`client_auth_type: ${type}`, ...members));
    expect(await outcome(endpoint, TRUSTING)).toBe(none);
    expect(await outcome(endpoint, SCRAPER)).toBe(scraper);
    expect(await outcome(endpoint, STRANGER)).toBe(stranger);
  });
});

describe('users', () => {
  const yaml = `basic_auth_users:\n  alice: ${SECRET_HASH}\n`;

  it('are let in with the right password only', async () => {
    await using endpoint = await start(yaml);
    const right = basic('alice', 'correct horse');
    expect(await outcome(endpoint)).toBe(401);
    expect(await outcome(endpoint, undefined, right)).toBe(200);
    expect(await outcome(endpoint, undefined, right)).toBe(200);
    expect(await outcome(endpoint, undefined, basic('alice', 'wrong'))).toBe(401);
    expect(await outcome(endpoint, undefined, basic('mallory', 'correct horse'))).toBe(401);
    expect(await outcome(endpoint, undefined, { authorization: 'Bearer x' })).toBe(401);
    expect(await outcome(endpoint, undefined, { authorization: 'Basic !!!' })).toBe(401);
    const refused = await endpoint.get('/-/healthy');
    expect(refused.status).toBe(401);
    expect(refused.headers['www-authenticate']).toBe('Basic');
  });

  it('come and go with the file', async () => {
    await using endpoint = await start(yaml);
    endpoint.change(`basic_auth_users:\n  bob: ${SECRET_HASH}\n`);
    expect(await outcome(endpoint, undefined, basic('alice', 'correct horse'))).toBe(401);
    expect(await outcome(endpoint, undefined, basic('bob', 'correct horse'))).toBe(200);
    endpoint.change('basic_auth_users:\n  bob: plain\n');
    expect(await outcome(endpoint, undefined, basic('bob', 'correct horse'))).toBe(500);
    endpoint.change('{}');
    expect(await outcome(endpoint)).toBe(200);
  });
});

it('sets headers on every answer', async () => {
  await using endpoint = await start(
    'http_server_config:\n  headers:\n    X-Frame-Options: deny\n    Strict-Transport-Security: max-age=1\n',
  );
  for (const path of ['/metrics', '/', '/nothing']) {
    const { headers } = await endpoint.get(path);
    expect(headers).toMatchObject({ 'x-frame-options': 'deny', 'strict-transport-security': 'max-age=1' });
  }
});

it('limits the rate of requests', async () => {
  await using endpoint = await start('rate_limit:\n  interval: 1s\n  burst: 2\n');
  const three = async (): Promise<unknown> => [await outcome(endpoint), await outcome(endpoint), await outcome(endpoint)];
  expect(await three()).toEqual([200, 200, 429]);
  await endpoint.clock.advance(1_000);
  expect(await three()).toEqual([200, 429, 429]);
});

/** Whether such an endpoint warns when it starts. */
async function warned(yaml: string, listen: string): Promise<boolean> {
  const warnings: LogFields[] = [];
  const file = join(folder, 'warned.yml');
  writeFileSync(file, yaml);
  await using endpoint = await startEndpoint(
    { web_config_file: file, listen: [listen] },
    { log: { ...silentLogger, warn: (fields) => warnings.push(fields) } },
  );
  expect(endpoint.port).toBeGreaterThan(0);
  return warnings.length > 0;
}

describe('a warning', () => {
  it.each([
    ['an open endpoint on all addresses', '', ':0', true],
    ['users without TLS on all addresses', `basic_auth_users:\n  a: ${SECRET_HASH}\n`, '0.0.0.0:0', true],
    ['TLS without users on all addresses', tlsYaml(), ':0', true],
    ['TLS with users on all addresses', `${tlsYaml()}basic_auth_users:\n  a: ${SECRET_HASH}\n`, ':0', false],
    [
      'TLS with client certificates on all addresses',
      tlsYaml('client_auth_type: RequireAndVerifyClientCert', `client_ca_file: ${certificatePath('ca.crt')}`),
      ':0',
      false,
    ],
    ['an open endpoint on the loopback address', '', '127.0.0.1:0', false],
    ['an open endpoint on the loopback name', '', 'localhost:0', false],
  ])('about %s', async (_name, yaml, listen, expected) => {
    expect(await warned(yaml, listen)).toBe(expected);
  });
});

async function scrapeHttp2(port: number): Promise<{ readonly status: unknown; readonly text: string }> {
  const session = connectHttp2(`https://localhost:${port}`, { ca: certificateText('server.crt'), host: '127.0.0.1' });
  try {
    return await new Promise((resolve, reject) => {
      session.on('error', reject);
      const stream = session.request({ ':path': '/metrics' });
      let status: unknown;
      let text = '';
      stream.setEncoding('utf8');
      stream.on('response', (headers) => (status = headers[':status']));
      stream.on('data', (chunk: string) => (text += chunk));
      stream.on('end', () => resolve({ status, text }));
      stream.on('error', reject);
    });
  } finally {
    session.destroy();
  }
}
