import { once } from 'node:events';
import { connect } from 'node:net';
import { gunzipSync, zstdDecompressSync } from 'node:zlib';
import type { ResourceMetrics } from '@opentelemetry/sdk-metrics';
import { describe, expect, it, vi } from 'vitest';
import { TEST_METRICS, cycle, testStore } from '../../support/metrics.ts';
import { sampleCollection, startEndpoint } from './support/endpoint.ts';

describe('the endpoint', () => {
  it('serves metrics, health, readiness and a landing page', async () => {
    await using endpoint = await startEndpoint();
    const metrics = await endpoint.get('/metrics');
    expect(metrics.status).toBe(200);
    expect(metrics.headers['content-type']).toBe('text/plain; version=0.0.4; charset=utf-8');
    expect(metrics.text).toContain('test_utilization_ratio{core="0"} 0.5\n');
    expect((await endpoint.get('/-/healthy')).text).toBe('Healthy.\n');
    expect((await endpoint.get('/-/ready')).status).toBe(200);
    endpoint.state.isReady = false;
    expect((await endpoint.get('/-/ready')).status).toBe(503);
    const landing = await endpoint.get('/');
    expect(landing.text).toContain('<a href="/metrics">Metrics</a>');
    expect(landing.text).toContain('<tr><td>neuroncore_counters</td><td>sysfs</td></tr>');
    expect(landing.headers['content-security-policy']).toContain("default-src 'none'");
  });

  it('listens where told, on the path told', async () => {
    await using endpoint = await startEndpoint({ listen: ['127.0.0.1:0', '[::1]:0'], telemetry_path: '/neuron' });
    expect(endpoint.exporter.addresses.map(({ host }) => host)).toEqual(['127.0.0.1', '::1']);
    expect((await endpoint.get('/neuron')).status).toBe(200);
    expect((await endpoint.get('/metrics')).status).toBe(404);
  });

  it('says why it cannot listen', async () => {
    await using endpoint = await startEndpoint();
    await expect(startEndpoint({ listen: [`127.0.0.1:${endpoint.port}`] })).rejects.toThrow(
      /cannot listen on 127\.0\.0\.1:\d+: .*EADDRINUSE/,
    );
    await expect(startEndpoint({ listen: ['localhost'] })).rejects.toThrow('"localhost" is no listen address');
  });

  it('can be disposed twice, and unstarted', async () => {
    const endpoint = await startEndpoint();
    await endpoint[Symbol.asyncDispose]();
    await endpoint[Symbol.asyncDispose]();
    await expect(endpoint.get('/metrics')).rejects.toThrow('ECONNREFUSED');
  });

  it.each([
    ['POST', '/metrics', 405],
    ['PUT', '/-/healthy', 405],
    ['DELETE', '/', 405],
    ['OPTIONS', '*', 405],
    ['GET', '/nothing', 404],
    ['GET', '/metrics/', 404],
    ['GET', '/..%2f..%2fetc/passwd', 404],
    ['GET', `/metrics?x=${'y'.repeat(2048)}`, 414],
    ['GET', 'http://elsewhere/metrics', 400],
  ])('%s %s is answered with %i', async (method, path, status) => {
    await using endpoint = await startEndpoint();
    expect((await endpoint.get(path, { method })).status).toBe(status);
  });

  it('takes no bodies', async () => {
    await using endpoint = await startEndpoint();
    expect((await endpoint.get('/metrics', { body: 'x', headers: { 'content-length': '1' } })).status).toBe(413);
    expect((await endpoint.get('/metrics', { body: 'x', headers: { 'transfer-encoding': 'chunked' } })).status).toBe(413);
  });

  it('answers HEAD with the headers of GET', async () => {
    await using endpoint = await startEndpoint();
    const [get, head] = await Promise.all([endpoint.get('/metrics'), endpoint.get('/metrics', { method: 'HEAD' })]);
    expect(head.headers['content-length']).toBe(String(get.bytes.length));
    expect(head.bytes).toHaveLength(0);
  });
});

describe('collections and pages', () => {
  it('are made once for each generation and format, however many ask', async () => {
    await using endpoint = await startEndpoint();
    const pages = await Promise.all(Array.from({ length: 20 }, () => endpoint.get('/metrics')));
    expect(new Set(pages.map(({ text }) => text)).size).toBe(1);
    await endpoint.get('/metrics', { headers: { accept: 'application/openmetrics-text; version=1.0.0' } });
    expect(endpoint.state.collections).toBe(1);
    endpoint.state.generation += 1;
    await endpoint.get('/metrics');
    expect(endpoint.state.collections).toBe(2);
  });

  it('do not stay when nothing new comes for a second', async () => {
    await using endpoint = await startEndpoint();
    await endpoint.get('/metrics');
    await endpoint.clock.advance(1_001);
    await endpoint.get('/metrics');
    expect(endpoint.state.collections).toBe(2);
  });

  it('that fail are a 500, counted, and the next one works', async () => {
    await using endpoint = await startEndpoint();
    endpoint.state.fail = new Error('no');
    const failed = await endpoint.get('/metrics');
    expect(failed.status).toBe(500);
    expect(failed.text).not.toContain('Error: no');
    endpoint.state.fail = undefined;
    expect((await endpoint.get('/metrics')).status).toBe(200);
    expect(endpoint.outcomes.map(({ outcome }) => outcome)).toEqual(['failed', 'served']);
  });

  it('whose encoding fails are a 500, and the next one works', async () => {
    const store = testStore();
    let isBroken = true;
    await using endpoint = await startEndpoint({}, {}, () => {
      store.apply(cycle(1), (recorder) => recorder.set(TEST_METRICS.utilization, 1, { core: 0 }));
      const [host] = store.collect();
      if (host === undefined || !isBroken) return store.collect();
      return [{ resource: host.resource, scopeMetrics: [{ scope: { name: 'x' }, metrics: [{ broken: true } as never] }] }];
    });
    expect((await endpoint.get('/metrics')).status).toBe(500);
    isBroken = false;
    expect((await endpoint.get('/metrics')).text).toContain('test_utilization_ratio');
  });
});

it('a collection that hangs is a 500 after ten seconds, counted, and the next one works', async () => {
  const collection = sampleCollection();
  let hanging = 0;
  const collect = (): Promise<readonly ResourceMetrics[]> => {
    if (hanging > 0) return Promise.resolve(collection());
    hanging += 1;
    return new Promise(() => {});
  };
  await using endpoint = await startEndpoint({}, { collect });
  const scrape = endpoint.get('/metrics');
  await vi.waitFor(() => expect(hanging).toBe(1));
  await endpoint.clock.advance(10_000);
  expect((await scrape).status).toBe(500);
  expect((await endpoint.get('/metrics')).status).toBe(200);
  expect(endpoint.outcomes).toMatchObject([{ outcome: 'failed', error: { code: 'source_timeout' } }, { outcome: 'served' }]);
});

describe('compression', () => {
  it.each([
    ['gzip', 'gzip', gunzipSync],
    ['gzip;q=0.5, zstd', 'zstd', zstdDecompressSync],
    ['zstd, gzip', 'zstd', zstdDecompressSync],
    ['gzip, zstd;q=0', 'gzip', gunzipSync],
    ['br', undefined, (bytes: Buffer) => bytes],
  ] as const)('Accept-Encoding: %s', async (accept, encoding, decode) => {
    await using endpoint = await startEndpoint();
    const plain = await endpoint.get('/metrics');
    const answer = await endpoint.get('/metrics', { headers: { 'accept-encoding': accept } });
    expect(answer.headers['content-encoding']).toBe(encoding);
    expect(decode(answer.bytes).toString()).toBe(plain.text);
  });
});

describe('?collect[]= and ?exclude[]=', () => {
  it('select metric groups', async () => {
    await using endpoint = await startEndpoint();
    expect((await endpoint.get('/metrics?collect[]=neuroncore_counters')).text).toContain('test_utilization_ratio');
    expect((await endpoint.get('/metrics?collect%5B%5D=memory_info')).text).not.toContain('test_utilization_ratio');
    expect((await endpoint.get('/metrics?exclude[]=neuroncore_counters')).text).not.toContain('test_utilization_ratio');
    expect((await endpoint.get('/metrics?other=1')).text).toContain('test_utilization_ratio');
  });

  it('refuse unknown groups, and both at once', async () => {
    await using endpoint = await startEndpoint();
    expect((await endpoint.get('/metrics?collect[]=cpu')).status).toBe(400);
    expect((await endpoint.get('/metrics?collect[]=memory_info&exclude[]=vcpu_usage')).status).toBe(400);
    expect(endpoint.outcomes).toEqual([
      { outcome: 'refused', status: 400 },
      { outcome: 'refused', status: 400 },
    ]);
  });
});

describe('limits', () => {
  it('refuse more scrapes at once than allowed', async () => {
    const gate = Promise.withResolvers<readonly ResourceMetrics[]>();
    await using endpoint = await startEndpoint({ max_requests: 2 }, { collect: () => gate.promise });
    const waiting = [endpoint.get('/metrics'), endpoint.get('/metrics')];
    await expect.poll(async () => (await endpoint.get('/metrics')).status).toBe(503);
    gate.resolve([]);
    expect((await Promise.all(waiting)).map(({ status }) => status)).toEqual([200, 200]);
    expect((await endpoint.get('/metrics')).status).toBe(200);
  });

  it('refuse large headers and many of them', async () => {
    await using endpoint = await startEndpoint();
    expect((await endpoint.get('/metrics', { headers: { big: 'x'.repeat(9000) } })).status).toBe(431);
    const many = Object.fromEntries(Array.from({ length: 70 }, (_, index) => [`h${index}`, 'x']));
    expect((await endpoint.get('/metrics', { headers: many })).status).toBe(431);
  });

  it('keep idle connections from locking scrapers out', async () => {
    await using endpoint = await startEndpoint();
    const idle = Array.from({ length: 300 }, () => connect({ host: '127.0.0.1', port: endpoint.port }).on('error', () => {}));
    await Promise.all(idle.map((socket) => once(socket, 'connect')));
    expect((await endpoint.get('/metrics')).status).toBe(200);
    const ended = idle.map((socket) => once(socket, 'close'));
    for (const socket of idle) socket.resume();
    await expect.poll(() => endpoint.clock.advance(100).then(() => idle.filter((socket) => socket.readableEnded).length)).toBe(300 - 128);
    expect((await endpoint.get('/metrics')).status).toBe(200);
    for (const socket of idle) socket.destroy();
    await Promise.all(ended);
  });
});
