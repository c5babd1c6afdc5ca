import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { OTLP_PROTOCOLS } from '../../exporters/otlp/settings.ts';
import { familyTypes, parsePage } from '../exporters/prometheus/support/parse.ts';
import type { Sample } from '../exporters/prometheus/support/parse.ts';
import { agentConfig } from './support/agent-config.ts';
import { AgentProcess } from './support/agent.ts';
import { Collector } from './support/collector.ts';
import { expectedSeries, receivedSeries } from './support/compare.ts';
import { freePort } from './support/ports.ts';
import { fixture } from './support/recordings.ts';

const RECORDING = fixture('trn1-one-runtime');

describe('the exporters of the OpenTelemetry SDK in the bundle', () => {
  let collector: Collector;

  beforeAll(async () => {
    collector = await Collector.start();
  });
  afterAll(() => collector[Symbol.asyncDispose]());

  it.each(OTLP_PROTOCOLS)('deliver every series and value of a recording over %s', async (protocol) => {
    const run = `sdk ${protocol}`;
    const endpoint = protocol === 'grpc' ? collector.grpcEndpoint : collector.httpEndpoint;
    const config = agentConfig({
      exporters: { otlp: { endpoint, protocol, compression: 'gzip', implementation: 'sdk' } },
      resource: { 'test.run': run },
    });
    await using agent = new AgentProcess([], { program: 'bundle', config });
    agent.feedAndEnd(RECORDING.bytes);
    await agent.process.endsWith(0);
    const expected = expectedSeries(RECORDING.records);
    const isOfRun = (point: { readonly resource: Readonly<Record<string, unknown>> }): boolean => point.resource['test.run'] === run;
    let before = -1;
    const points = await collector.receives('all of the run', (all) => {
      const count = all.filter(isOfRun).length;
      const isSettled = count > 0 && count === before;
      before = count;
      return isSettled;
    });
    expect(receivedSeries(points.filter(isOfRun))).toEqual(expected);
  });

  it("serve a page with the gauges and values of the agent's own page", async () => {
    const ports = { native: await freePort(), sdk: await freePort() };
    const exporters = {
      'prometheus/native': { port: ports.native, translation_strategy: 'UnderscoreEscapingWithoutSuffixes' },
      'prometheus/sdk': { port: ports.sdk, implementation: 'sdk' },
    };
    await using agent = new AgentProcess([], { program: 'bundle', config: agentConfig({ exporters }) });
    agent.feed(RECORDING.records.slice(0, 2).map((record) => JSON.stringify(record)));
    const pageAt = async (port: number): Promise<string> => (await fetch(`http://127.0.0.1:${port}/metrics`)).text();
    const native = await agent.process.until('a page with samples', async () => {
      try {
        const page = await pageAt(ports.native);
        return page.includes('neuron_core_utilization') ? page : undefined;
      } catch {
        // It does not listen yet.
        return undefined;
      }
    });
    const types = familyTypes(native);
    const gauges = parsePage(native).filter(({ name }) => types.get(name) === 'gauge' && isOfHost(name));
    const page = parsePage(await pageAt(ports.sdk));
    expect(gauges.length).toBeGreaterThan(10);
    expect(gauges.filter((gauge) => !page.some((sample) => isSame(gauge, sample)))).toEqual([]);
  });
});

/** Values of the agent itself change between two scrapes. */
function isOfHost(name: string): boolean {
  return /^neuron_(core|device|runtime)_/.test(name);
}

/** The page of the SDK has more labels on the series of processes. */
function isSame(native: Sample, sdk: Sample): boolean {
  const hasLabels = Object.entries(native.labels).every(([label, value]) => sdk.labels[label] === value);
  return sdk.name === native.name && hasLabels && Number(sdk.value) === Number(native.value);
}
