import { once } from 'node:events';
import { createServer as createHttpServer } from 'node:http';
import { createServer as createHttp2Server } from 'node:http2';
import { createServer as createHttpsServer } from 'node:https';
import { createServer as createTcpServer } from 'node:net';
import type { AddressInfo, Server } from 'node:net';
import { afterEach, describe, expect, it, vi } from 'vitest';
import { createOtlpExporter } from '../../../exporters/otlp/index.ts';
import type { SomeOtlpSettings } from '../../support/settings.ts';
import { otlpSettings } from '../../support/settings.ts';
import { certificateText } from '../../support/web-configs.ts';
import { EventCounts } from '../delivery/event-counts.ts';
import { gauge, point, resourceMetrics } from './batches.ts';

const open: AsyncDisposable[] = [];

afterEach(async () => {
  for (const one of open.splice(0).toReversed()) await one[Symbol.asyncDispose]();
});

/** What the first failed attempt to reach this server reports; its points stay in the queue. */
async function reported(server: Server, scheme: 'http' | 'https', protocol: SomeOtlpSettings['protocol'] = 'http/protobuf') {
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  const counts = new EventCounts();
  const settings = otlpSettings({ endpoint: `${scheme}://localhost:${port}/v1/metrics`, protocol, tls: { insecure_skip_verify: true } });
  const exporter = await createOtlpExporter(settings, { telemetry: counts });
  open.push({ [Symbol.asyncDispose]: async () => void server.close() }, exporter);
  await exporter.export({ resourceMetrics: [resourceMetrics({}, [gauge('g', [point(1)])])] });
  await vi.waitFor(() => expect(counts.failures.length).toBeGreaterThan(0));
  return { message: counts.failures[0]?.message ?? '', points: exporter.queueState.points };
}

describe('an endpoint with the wrong port or scheme', () => {
  it.each([
    { name: 'OTLP/HTTP to a port of gRPC', server: () => createHttp2Server(), scheme: 'http', told: 'set protocol to grpc' },
    {
      name: 'OTLP/HTTP to something that speaks first',
      server: () => createTcpServer((socket) => void socket.on('error', () => {}).write('SSH-2.0\r\n')),
      scheme: 'http',
      told: 'does not speak HTTP/1.1',
    },
    { name: 'TLS to a port without it', server: () => createHttpServer(), scheme: 'https', told: 'perhaps http:// instead of https://' },
    {
      name: 'HTTP to a port with TLS',
      server: () => createHttpsServer({ cert: certificateText('server.crt'), key: certificateText('server.key') }),
      scheme: 'http',
      told: 'perhaps this port uses TLS',
    },
  ] as const)('explains $name, and keeps the points', async ({ server, scheme, told }) => {
    const { message, points } = await reported(server(), scheme);
    expect(message).toContain(told);
    expect(message).toMatch(/^no response from https?:\/\/localhost:\d+\/v1\/metrics: /);
    expect(points).toBe(1);
  });

  it.each([
    { name: 'OTLP/gRPC to a port of HTTP', server: () => createHttpServer(), scheme: 'http' },
    {
      name: 'OTLP/gRPC to a port of HTTPS',
      server: () => createHttpsServer({ cert: certificateText('server.crt'), key: certificateText('server.key') }),
      scheme: 'https',
    },
  ] as const)('explains $name, and keeps the points', async ({ server, scheme }) => {
    const { message, points } = await reported(server(), scheme, 'grpc');
    expect(message).toContain('set protocol to http/protobuf');
    expect(points).toBe(1);
  });
});
