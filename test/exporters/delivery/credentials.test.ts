import { execFile, execFileSync } from 'node:child_process';
import { copyFileSync, mkdirSync, mkdtempSync, renameSync, rmSync, symlinkSync, truncateSync, utimesSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { HeaderSource, TlsSource } from '../../../exporters/delivery/credentials.ts';
import { HttpTransport } from '../../../exporters/delivery/http-transport.ts';
import { otlpSettings } from '../../support/settings.ts';
import type { SomeOtlpSettings } from '../../support/settings.ts';
import { Secret } from '../../../src/secret.ts';
import { classifyHttp } from '../../../exporters/otlp/response.ts';
import { systemClock } from '../../../src/host.ts';
import { silentLogger } from '../../../src/log.ts';
import type { Logger } from '../../../src/log.ts';
import { MisbehavingGrpcServer } from '../../support/misbehaving-grpc-server.ts';
import { MisbehavingOtlpServer } from '../../support/misbehaving-otlp-server.ts';
import { certificatePath, certificateText } from '../../support/web-configs.ts';

const REQUEST = {
  body: Buffer.from('body'),
  points: 1,
  rawBytes: 4,
  contentType: 'application/x-protobuf',
  contentEncoding: 'none',
  enqueuedAtMs: 0,
} as const;

let directory = '';
const open: AsyncDisposable[] = [];

beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'otlp-credentials-'));
});

afterEach(async () => {
  for (const one of open.splice(0).toReversed()) await one[Symbol.asyncDispose]();
  rmSync(directory, { recursive: true });
});

/** Replaces a file as Kubernetes does, by renaming; the time stamp can be that of the file before. */
function replace(path: string, write: (to: string) => void, mtime?: Date): void {
  const fresh = `${path}.new`;
  write(fresh);
  if (mtime !== undefined) utimesSync(fresh, mtime, mtime);
  renameSync(fresh, path);
}

function tlsSettings(tls: SomeOtlpSettings['tls'] = {}) {
  return otlpSettings({ endpoint: '', tls }).tls;
}

describe('HeaderSource', () => {
  it('reads a value from its file, again when it changed, without the line end', async () => {
    const path = join(directory, 'token');
    writeFileSync(path, 'Bearer one\n');
    const headers = new HeaderSource(
      [
        ['Authorization', { file: path }],
        ['X-Tenant', new Secret('a')],
      ],
      silentLogger,
    );
    expect(await headers.current()).toEqual({ authorization: 'Bearer one', 'x-tenant': 'a' });
    const sameTime = new Date();
    utimesSync(path, sameTime, sameTime);
    await headers.current();
    replace(path, (to) => writeFileSync(to, 'Bearer two\n'), sameTime);
    expect(await headers.current()).toMatchObject({ authorization: 'Bearer two' });
  });

  it('warns of a secret that everybody can read, once', async () => {
    const path = join(directory, 'token');
    writeFileSync(path, 'one', { mode: 0o644 });
    const warnings: unknown[] = [];
    const logger = { ...silentLogger, warn: (fields: unknown) => void warnings.push(fields) };
    const headers = new HeaderSource([['authorization', { file: path }]], logger);
    await headers.current();
    await headers.current();
    expect(warnings).toEqual([{ file: path }]);
  });

  it('keeps the last value while the file is away', async () => {
    const path = join(directory, 'token');
    writeFileSync(path, 'one');
    const headers = new HeaderSource([['authorization', { file: path }]], silentLogger);
    await headers.current();
    rmSync(path);
    expect(await headers.current()).toEqual({ authorization: 'one' });
    writeFileSync(path, 'two');
    expect(await headers.current()).toEqual({ authorization: 'two' });
  });

  it.each(['', '\n', ' \n\t'])('keeps the last value while the file holds %o, and warns once', async (content) => {
    const path = join(directory, 'token');
    writeFileSync(path, 'one', { mode: 0o600 });
    const warnings: string[] = [];
    const logger = { ...silentLogger, warn: (_fields: unknown, message: string) => void warnings.push(message) };
    const headers = new HeaderSource([['authorization', { file: path }]], logger);
    await headers.current();
    writeFileSync(path, content);
    expect(await headers.current()).toEqual({ authorization: 'one' });
    expect(await headers.current()).toEqual({ authorization: 'one' });
    expect(warnings).toEqual(['file cannot be used, its last content stays in use']);
    writeFileSync(path, 'two');
    expect(await headers.current()).toEqual({ authorization: 'two' });
  });

  it('rejects an empty file from which there has never been a value, instead of sending an empty header', async () => {
    const path = join(directory, 'token');
    writeFileSync(path, '');
    await expect(new HeaderSource([['authorization', { file: path }]], silentLogger).current()).rejects.toThrow(`${path} is empty`);
  });

  it.each([
    { name: 'a FIFO', make: (path: string) => execFileSync('mkfifo', [path]) },
    { name: 'a link to an endless device', make: (path: string) => symlinkSync('/dev/zero', path) },
    { name: 'a folder', make: (path: string) => mkdirSync(path) },
  ])('refuses $name at once', async ({ make }) => {
    const path = join(directory, 'token');
    make(path);
    await expect(new HeaderSource([['authorization', { file: path }]], silentLogger).current()).rejects.toThrow('not a regular file');
  });

  it('refuses a file that is larger than any token', async () => {
    const path = join(directory, 'token');
    writeFileSync(path, '');
    truncateSync(path, 5 * 1024 * 1024);
    await expect(new HeaderSource([['authorization', { file: path }]], silentLogger).current()).rejects.toThrow('is larger than');
  });

  it('follows the links of a mounted Kubernetes secret', async () => {
    writeFileSync(join(directory, 'data'), 'one');
    symlinkSync('data', join(directory, 'token'));
    const headers = new HeaderSource([['authorization', { file: join(directory, 'token') }]], silentLogger);
    expect(await headers.current()).toEqual({ authorization: 'one' });
  });

  it('rejects while there has never been a value', async () => {
    const headers = new HeaderSource([['authorization', { file: join(directory, 'none') }]], silentLogger);
    await expect(headers.current()).rejects.toMatchObject({ code: 'ENOENT' });
  });
});

describe('TlsSource', () => {
  it('is the same object until a file changes', async () => {
    const caFile = join(directory, 'ca.crt');
    copyFileSync(certificatePath('server.crt'), caFile);
    const tls = new TlsSource(tlsSettings({ ca_file: caFile, server_name: 'localhost' }), silentLogger);
    const first = await tls.current();
    expect(first).toMatchObject({ minVersion: 'TLSv1.2', servername: 'localhost' });
    expect(await tls.current()).toBe(first);
    replace(caFile, (to) => copyFileSync(certificatePath('server-renewed.crt'), to));
    expect(await tls.current()).not.toBe(first);
  });
});

describe('a destination with TLS', () => {
  async function start(server: { readonly clientCa?: string; readonly name?: string } = {}): Promise<MisbehavingOtlpServer> {
    const name = server.name ?? 'server';
    const started = await MisbehavingOtlpServer.start({
      cert: certificateText(`${name}.crt`),
      key: certificateText(`${name}.key`),
      ...(server.clientCa === undefined ? {} : { ca: certificateText(server.clientCa), requestCert: true, rejectUnauthorized: true }),
    });
    open.push(started);
    return started;
  }

  async function send(server: MisbehavingOtlpServer, tls: SomeOtlpSettings['tls'], transport = transportTo(server, tls)): Promise<string> {
    const outcome = await transport.send(REQUEST, new AbortController().signal);
    return outcome.kind === 'accepted' ? 'accepted' : outcome.error.message.replace(/^no response from \S+: (\w+).*/, 'no response: $1');
  }

  function transportTo(server: MisbehavingOtlpServer, tls: SomeOtlpSettings['tls'], logger: Logger = silentLogger): HttpTransport {
    const transport = new HttpTransport({
      endpoint: server.url,
      headers: new HeaderSource([], silentLogger),
      tls: new TlsSource(tlsSettings(tls), logger),
      timeoutMs: 5000,
      userAgent: 'neuron-otel/test',
      clock: systemClock,
      classify: classifyHttp,
    });
    open.push({ [Symbol.asyncDispose]: () => transport.close() });
    return transport;
  }

  it('is trusted only with the right authority', async () => {
    const server = await start();
    expect(await send(server, { ca_file: certificatePath('server.crt') })).toBe('accepted');
    expect(await send(server, {})).toBe('no response: DEPTH_ZERO_SELF_SIGNED_CERT');
    expect(await send(server, { ca_file: certificatePath('other-ca.crt') })).toBe('no response: DEPTH_ZERO_SELF_SIGNED_CERT');
    expect(await send(server, { insecure_skip_verify: true })).toBe('accepted');
  });

  it('is verified even with NODE_TLS_REJECT_UNAUTHORIZED=0, with one warning', async () => {
    const server = await start();
    const warnings: string[] = [];
    const logger = { ...silentLogger, warn: (_fields: unknown, message: string) => void warnings.push(message) };
    vi.stubEnv('NODE_TLS_REJECT_UNAUTHORIZED', '0');
    try {
      const transport = transportTo(server, {}, logger);
      expect(await send(server, {}, transport)).toBe('no response: DEPTH_ZERO_SELF_SIGNED_CERT');
      expect(await send(server, {}, transport)).toBe('no response: DEPTH_ZERO_SELF_SIGNED_CERT');
    } finally {
      vi.unstubAllEnvs();
    }
    expect(warnings).toEqual([expect.stringMatching(/^NODE_TLS_REJECT_UNAUTHORIZED=0 is ignored: set tls.insecure_skip_verify/)]);
  });

  it.each(['http', 'grpc'] as const)(
    'is trusted over %s when the store of the system vouches for it',
    { timeout: 60_000 },
    async (protocol) => {
      const tls = { cert: certificateText('server.crt'), key: certificateText('server.key') };
      const server = protocol === 'http' ? await MisbehavingOtlpServer.start(tls) : await MisbehavingGrpcServer.start(tls);
      open.push(server);
      // The store is read once for each process, from where the variables point when it starts.
      const program = `
      import { createOtlpExporter } from './exporters/otlp/index.ts';
      import { otlpSettings } from './test/support/settings.ts';
      import { gauge, point, resourceMetrics } from './test/exporters/otlp/batches.ts';
      const settings = { endpoint: process.argv[1], protocol: process.argv[2], timeout: 20_000 };
      const exporter = await createOtlpExporter(otlpSettings(settings));
      await exporter.export({ resourceMetrics: [resourceMetrics({}, [gauge('g', [point(1)])])] });
      await exporter.flush(30_000);
      console.log(exporter.queueState.points);
      await exporter[Symbol.asyncDispose]();`;
      const run = async (roots: string): Promise<string> => {
        const env = { ...process.env, SSL_CERT_FILE: certificatePath(roots), SSL_CERT_DIR: directory, NODE_EXTRA_CA_CERTS: '' };
        const args = ['--input-type=module', '-e', program, server.url, protocol === 'http' ? 'http/protobuf' : 'grpc'];
        const { stdout } = await promisify(execFile)(process.execPath, args, { cwd: join(import.meta.dirname, '../../..'), env });
        return stdout.trim();
      };
      expect(await run('server.crt')).toBe('0');
    },
  );

  it('must have the expected name', async () => {
    const server = await start();
    const caFile = certificatePath('server.crt');
    expect(await send(server, { ca_file: caFile, server_name: 'localhost' })).toBe('accepted');
    expect(await send(server, { ca_file: caFile, server_name: 'elsewhere' })).toBe('no response: ERR_TLS_CERT_ALTNAME_INVALID');
  });

  it('is shown a client certificate', async () => {
    const server = await start({ clientCa: 'ca.crt' });
    const caFile = certificatePath('server.crt');
    const client = { ca_file: caFile, cert_file: certificatePath('client.crt'), key_file: certificatePath('client.key') };
    expect(await send(server, client)).toBe('accepted');
    const stranger = { ca_file: caFile, cert_file: certificatePath('stranger.crt'), key_file: certificatePath('stranger.key') };
    expect(await send(server, stranger)).toMatch(/^no response/);
    expect(await send(server, { ca_file: caFile })).toMatch(/^no response/);
  });

  it('is connected to with the new files once they changed', async () => {
    const server = await start({ clientCa: 'ca.crt' });
    const certFile = join(directory, 'client.crt');
    const keyFile = join(directory, 'client.key');
    copyFileSync(certificatePath('stranger.crt'), certFile);
    copyFileSync(certificatePath('stranger.key'), keyFile);
    const tls = { ca_file: certificatePath('server.crt'), cert_file: certFile, key_file: keyFile };
    const transport = transportTo(server, tls);
    expect(await send(server, tls, transport)).toMatch(/^no response/);
    replace(certFile, (to) => copyFileSync(certificatePath('client.crt'), to));
    // Certificate and key do not belong together for a moment.
    expect(await send(server, tls, transport)).toMatch(/^no response/);
    replace(keyFile, (to) => copyFileSync(certificatePath('client.key'), to));
    expect(await send(server, tls, transport)).toBe('accepted');
    expect(await send(server, tls, transport)).toBe('accepted');
    const before = server.connections;
    replace(certFile, (to) => copyFileSync(certificatePath('client.crt'), to));
    expect(await send(server, tls, transport)).toBe('accepted');
    expect(server.connections).toBe(before + 1);
  });
});
