import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { connect } from 'node:tls';
import { describe, expect, it } from 'vitest';
import { createLegacyEndpoint } from '../../../exporters/prometheus/index.ts';
import type { LegacyEndpointOptions, PrometheusExporter } from '../../../exporters/prometheus/index.ts';
import { silentLogger } from '../../../src/log.ts';
import { replayFixture } from '../../support/replay.ts';
import { ManualClock } from '../../support/manual-clock.ts';
import { certificatePath, certificateText } from '../../support/web-configs.ts';
import { get } from './support/endpoint.ts';
import { familyTypes, parsePage } from './support/parse.ts';

async function start(options: LegacyEndpointOptions = {}): Promise<PrometheusExporter & { readonly port: number }> {
  const endpoint = createLegacyEndpoint({ port: 0, host: '127.0.0.1', ...options }, await services());
  await endpoint.start();
  return Object.assign(endpoint, { port: endpoint.addresses[0]?.port ?? 0 });
}

describe('in place of neuron-monitor-prometheus.py', () => {
  it('answers on every path with its page and our process', async () => {
    await using endpoint = await start();
    for (const path of ['/metrics', '/', '/anything/else?x=y', '/-/healthy']) {
      const { status, text } = await get(endpoint.port, path);
      expect(status).toBe(200);
      expect([...familyTypes(text).keys()].slice(0, 7)).toEqual([
        'process_virtual_memory_bytes',
        'process_resident_memory_bytes',
        'process_start_time_seconds',
        'process_cpu_seconds_total',
        'process_open_fds',
        'process_max_fds',
        'execution_errors_total',
      ]);
      expect(text).not.toContain('neuron_core_utilization_ratio');
      expect(text).not.toContain('pod_name');
    }
  });

  it('listens on all addresses when not told otherwise', async () => {
    const endpoint = createLegacyEndpoint({ port: 0 }, await services());
    await endpoint.start();
    expect(endpoint.addresses.map(({ host }) => host)).toEqual(['::']);
    await endpoint[Symbol.asyncDispose]();
  });

  it('shows pods with --enable-k8s-info', async () => {
    await using endpoint = await start({ enableK8sInfo: true });
    const samples = parsePage((await get(endpoint.port, '/metrics')).text);
    const labels = samples.find(({ name }) => name === 'neuroncore_utilization_ratio')?.labels ?? {};
    expect(Object.keys(labels)).toEqual(expect.arrayContaining(['pod_name', 'namespace', 'container_name']));
  });

  it('wants both files for HTTPS', () => {
    expect(() => createLegacyEndpoint({ keyFile: 'x' }, {} as never)).toThrow('HTTPS needs both');
  });

  it('reads its certificate again when the content changes, and keeps the old one while the new one is half written', async () => {
    const folder = mkdtempSync(join(tmpdir(), 'legacy-'));
    const files = { certFile: join(folder, 'a.crt'), keyFile: join(folder, 'a.key') };
    const install = (name: string): void => {
      writeFileSync(files.certFile, certificateText(`${name}.crt`));
      writeFileSync(files.keyFile, certificateText(`${name}.key`));
    };
    install('server');
    await using endpoint = await start(files);
    expect(await subjectOf(endpoint.port)).toBe('neuron-otel test server');
    writeFileSync(files.certFile, certificateText('server-renewed.crt'));
    expect(await subjectOf(endpoint.port)).toBe('neuron-otel test server');
    install('server-renewed');
    expect(await subjectOf(endpoint.port)).toBe('neuron-otel test server, renewed');
    rmSync(folder, { recursive: true });
    expect(await subjectOf(endpoint.port)).toBe('neuron-otel test server, renewed');
  });

  it('does not start with a certificate that cannot be used', async () => {
    const files = { certFile: certificatePath('server.crt'), keyFile: certificatePath('client.key') };
    await expect(start(files)).rejects.toMatchObject({ code: 'config_invalid' });
  });
});

async function services(): Promise<Parameters<typeof createLegacyEndpoint>[1]> {
  const { store } = await replayFixture('k8s');
  return {
    collect: () => Promise.resolve(store.collect({ legacy: true })),
    generation: () => store.sequence,
    isReady: () => true,
    sources: () => [],
    version: '0',
    clock: new ManualClock(),
    log: silentLogger,
    onScrape: () => {},
  };
}

function subjectOf(port: number): Promise<unknown> {
  return new Promise((resolve, reject) => {
    const socket = connect({ host: '127.0.0.1', port, rejectUnauthorized: false }, () => {
      resolve(socket.getPeerCertificate().subject.CN);
      socket.destroy();
    });
    socket.on('error', reject);
  });
}
