import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { proxyFor } from '../../../exporters/delivery/proxy.ts';
import { createOtlpExporter } from '../../../exporters/otlp/index.ts';
import { silentLogger } from '../../../src/log.ts';
import { ForwardProxy } from '../../support/forward-proxy.ts';
import { MisbehavingGrpcServer } from '../../support/misbehaving-grpc-server.ts';
import { MisbehavingOtlpServer } from '../../support/misbehaving-otlp-server.ts';
import { otlpSettings } from '../../support/settings.ts';
import type { SomeOtlpSettings } from '../../support/settings.ts';
import { certificatePath, certificateText } from '../../support/web-configs.ts';
import { gauge, point, resourceMetrics } from '../otlp/batches.ts';
import { EventCounts } from './event-counts.ts';

const PROXY = 'http://proxy.example:3128';

function chosen(destination: string, env: Readonly<Record<string, string>>, isGrpc = false): string | undefined {
  return proxyFor(new URL(destination), env, { isGrpc, logger: silentLogger })?.url.href;
}

describe('proxyFor', () => {
  it.each([
    ['https://h/', { HTTPS_PROXY: PROXY }],
    ['https://h/', { https_proxy: PROXY }],
    ['http://h/', { HTTP_PROXY: PROXY }],
    ['http://h/', { http_proxy: PROXY }],
    ['http://h/', { http_proxy: 'proxy.example:3128' }],
    ['http://h/', { HTTP_PROXY: '', http_proxy: PROXY }],
  ])('chooses the proxy for %s from %o', (destination, env) => {
    expect(chosen(destination, env)).toBe(`${PROXY}/`);
  });

  it.each([
    ['https://h/', { HTTP_PROXY: PROXY }],
    ['http://h/', { HTTPS_PROXY: PROXY }],
    ['http://localhost:4318/', { HTTP_PROXY: PROXY }],
    ['http://127.0.0.1:4318/', { HTTP_PROXY: PROXY }],
    ['http://[::1]:4318/', { HTTP_PROXY: PROXY }],
    ['http://h/', { HTTP_PROXY: 'socks5://proxy.example:1080' }],
    ['http://h/', {}],
  ])('goes directly to %s with %o', (destination, env) => {
    expect(chosen(destination, env)).toBeUndefined();
  });

  it.each(['*', 'collector.example', 'example', '.example', '*.example', 'other, Collector.Example ,x', 'collector.example:4318'])(
    'excepts a host for NO_PROXY=%s',
    (list) => {
      expect(chosen('http://collector.example:4318/', { HTTP_PROXY: PROXY, NO_PROXY: list })).toBeUndefined();
      expect(chosen('http://collector.example:4318/', { HTTP_PROXY: PROXY, no_proxy: list })).toBeUndefined();
    },
  );

  it.each(['', ',', 'xample', 'collector.example:4317', 'a.collector.example', '10.0.0.0/8', '/', 'collector.example/8'])(
    'does not except a host for NO_PROXY=%s',
    (list) => {
      expect(chosen('http://collector.example:4318/', { HTTP_PROXY: PROXY, NO_PROXY: list })).toBe(`${PROXY}/`);
    },
  );

  it.each([
    ['http://10.1.2.3/', '10.0.0.0/8'],
    ['http://10.1.2.3/', '10.1.2.3'],
    ['http://10.1.2.3/', '10.1.2.3:80'],
    ['http://[fd00::1]/', 'fd00::/8'],
    ['http://[fd00::1]/', 'fd00::1'],
    ['http://[fd00::1]:4318/', '[fd00::1]:4318'],
  ])('excepts the address of %s for NO_PROXY=%s', (destination, list) => {
    expect(chosen(destination, { HTTP_PROXY: PROXY, NO_PROXY: list })).toBeUndefined();
  });

  it.each([
    ['http://11.1.2.3/', '10.0.0.0/8'],
    ['http://10.1.2.34/', '10.1.2.3'],
    ['http://[fe80::1]/', 'fd00::/8'],
  ])('does not except the address of %s for NO_PROXY=%s', (destination, list) => {
    expect(chosen(destination, { HTTP_PROXY: PROXY, NO_PROXY: list })).toBe(`${PROXY}/`);
  });

  it('follows HTTPS_PROXY for gRPC without TLS, as grpc-go does', () => {
    expect(chosen('http://h:4317/', { HTTPS_PROXY: PROXY }, true)).toBe(`${PROXY}/`);
  });

  it('warns of a proxy that it cannot follow, without its password', () => {
    const warnings: unknown[] = [];
    const logger = { ...silentLogger, warn: (fields: unknown) => void warnings.push(fields) };
    proxyFor(new URL('http://h/'), { HTTP_PROXY: 'socks5://user:S3CRET@proxy' }, { logger });
    expect(warnings).toEqual([{ proxy: 'socks5://[redacted]@proxy' }]);
  });
});

describe('an exporter behind a proxy', () => {
  let proxy: ForwardProxy;
  const open: AsyncDisposable[] = [];
  const tls = { cert: certificateText('server.crt'), key: certificateText('server.key') };

  beforeEach(async () => {
    proxy = await ForwardProxy.start();
  });

  afterEach(async () => {
    for (const one of open.splice(0).toReversed()) await one[Symbol.asyncDispose]();
    await proxy[Symbol.asyncDispose]();
  });

  /** The receiver has a name that only the proxy can resolve. */
  async function export3(endpoint: string, options: Partial<SomeOtlpSettings> = {}, proxyUrl = proxy.url): Promise<EventCounts> {
    const counts = new EventCounts();
    const exporter = await createOtlpExporter(
      otlpSettings({
        endpoint: endpoint.replace('localhost', 'collector.invalid'),
        timeout: 2000,
        tls: { ca_file: certificatePath('server.crt'), server_name: 'localhost' },
        ...options,
      }),
      { telemetry: counts, env: { HTTP_PROXY: proxyUrl, HTTPS_PROXY: proxyUrl } },
    );
    open.push(exporter);
    for (let value = 1; value <= 3; value += 1)
      await exporter.export({ resourceMetrics: [resourceMetrics({}, [gauge('g', [point(value)])])] });
    return counts;
  }

  async function arrived(counts: EventCounts): Promise<void> {
    await vi.waitFor(() => expect(counts.sentPoints).toBe(3), { timeout: 5000 });
  }

  it('sends HTTP with whole URLs', async () => {
    const server = await MisbehavingOtlpServer.start();
    open.push(server);
    await arrived(await export3(server.url));
    expect(proxy.asked[0]?.line).toMatch(/^POST http:\/\/collector\.invalid:\d+\/v1\/metrics$/);
  });

  it('sends HTTPS through a tunnel, and keeps that', async () => {
    const server = await MisbehavingOtlpServer.start(tls);
    open.push(server);
    await arrived(await export3(server.url));
    expect(proxy.asked.map(({ line }) => line.replace(/\d+$/, ''))).toEqual(['CONNECT collector.invalid:']);
  });

  it.each([
    { name: 'with TLS', server: tls },
    { name: 'without TLS', server: undefined },
  ])('sends gRPC $name through a tunnel', async (subject) => {
    const server = await MisbehavingGrpcServer.start(subject.server);
    open.push(server);
    await arrived(await export3(server.url, { protocol: 'grpc' }));
    expect(proxy.asked.map(({ line }) => line.replace(/\d+$/, ''))).toEqual(['CONNECT collector.invalid:']);
  });

  it('verifies the receiver, not the proxy', async () => {
    const server = await MisbehavingOtlpServer.start(tls);
    open.push(server);
    const counts = await export3(server.url, { tls: { ca_file: certificatePath('server.crt') } });
    await vi.waitFor(() => expect(counts.failures.length).toBeGreaterThan(0));
    expect(counts.failures[0]?.message).toContain('ERR_TLS_CERT_ALTNAME_INVALID');
    expect(counts.sentPoints).toBe(0);
  });

  it.each(['http', 'https'])('gives the proxy its credentials for %s', async (scheme) => {
    const server = await MisbehavingOtlpServer.start(scheme === 'https' ? tls : undefined);
    open.push(server);
    await arrived(await export3(server.url, {}, `http://user:p%40ss@127.0.0.1:${proxy.port}`));
    expect(proxy.asked[0]?.authorization).toBe(`Basic ${Buffer.from('user:p@ss').toString('base64')}`);
    expect(server.accepted[0]?.headers).not.toHaveProperty('proxy-authorization');
  });

  it('names the proxy when its connection fails, because nothing else was connected to', async () => {
    const counts = await export3('http://localhost:4318/v1/metrics', {}, 'http://user:S3CRET@127.0.0.1:1');
    await vi.waitFor(() => expect(counts.failures.length).toBeGreaterThan(0));
    expect(counts.failures[0]?.message).toBe(
      'no response from http://collector.invalid:4318/v1/metrics through the proxy http://[redacted]@127.0.0.1:1/: ECONNREFUSED (check the proxy and HTTP_PROXY)',
    );
  });

  it.each([
    { name: 'refuses', prepare: () => (proxy.refuseWith = 407), told: 'HTTP 407 to CONNECT' },
    { name: 'is not there', prepare: () => undefined, told: 'ECONNREFUSED', port: 1 },
  ])('names a proxy that $name, without its password, and keeps the points', async ({ prepare, told, port }) => {
    prepare();
    const server = await MisbehavingOtlpServer.start(tls);
    open.push(server);
    const counts = await export3(server.url, {}, `http://user:S3CRET@127.0.0.1:${port ?? proxy.port}`);
    await vi.waitFor(() => expect(counts.failures.length).toBeGreaterThan(0));
    expect(counts.failures[0]?.message).toContain(`the proxy http://[redacted]@127.0.0.1:${port ?? proxy.port}/`);
    expect(counts.failures[0]?.message).toContain(told);
    expect(counts.failures[0]?.message).not.toContain('S3CRET');
    expect(counts.droppedPoints).toBe(0);
  });
});
