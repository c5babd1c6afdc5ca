import { setTimeout as delay } from 'node:timers/promises';
import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { pythonNumber } from '../../exporters/prometheus/numbers.ts';
import { virtualNeuronMonitorLines } from '../../simulator/neuron-monitor-lines.ts';
import { TestEncoder } from '../exporters/prometheus/support/pages.ts';
import { firstDifference } from '../support/first-difference.ts';
import { Replay } from '../support/replay.ts';
import { sampleLines } from '../support/samples.ts';
import { AgentProcess } from './support/agent.ts';
import { anyStream } from './support/any-records.ts';
import { eventually } from './support/eventually.ts';
import { parseObject } from './support/json.ts';
import { clientSpelling, oraclePages, withoutTimes } from './support/legacy-oracle.ts';
import type { LegacyPage } from './support/legacy-oracle.ts';
import { freePort } from './support/ports.ts';
import { FIXTURE_NAMES, fixture, withPeriod } from './support/recordings.ts';

type EccCounts = 'cumulative' | 'tally';

/** The agent's page after each record, each made from the one before as an endpoint does. */
async function agentPages(records: readonly string[], eccCounts: EccCounts): Promise<readonly LegacyPage[]> {
  const replay = new Replay({ eccCounts });
  const encoder = new TestEncoder({ naming: 'legacy' });
  const pages: LegacyPage[] = [];
  for (const record of records) {
    await replay.feed(parseObject(record));
    const collection = replay.store.collect({ legacy: true });
    pages.push({ text: withoutTimes(encoder.text(collection)), openMetrics: withoutTimes(encoder.openMetrics(collection)) });
  }
  return pages;
}

async function expectSamePages(records: readonly string[], eccCounts: EccCounts = 'cumulative'): Promise<void> {
  const expected = oraclePages(records, eccCounts);
  const actual = await agentPages(records, eccCounts);
  expect(actual).toHaveLength(expected.length);
  for (const [index, { text, openMetrics }] of expected.entries()) {
    expect(firstDifference(actual[index]?.text ?? '', text), `record ${index}`).toBeUndefined();
    expect(firstDifference(actual[index]?.openMetrics ?? '', openMetrics), `record ${index}`).toBeUndefined();
  }
}

describe('the legacy page is, byte for byte, that of prometheus_client', () => {
  it.each(FIXTURE_NAMES)('after each record of %s', (name) => expectSamePages(fixture(name).lines));

  it('after each record with memory errors, when they are counted as the script counts them', () =>
    expectSamePages(fixture('inf2').lines, 'tally'));

  it.each(sampleLines())('after the real record $name', ({ bytes }) => expectSamePages([bytes.toString('utf8')]));

  it.each(['inf1.6xlarge', 'trn2.3xlarge', 'trn1.32xlarge'] as const)(
    'after each of 300 records of a %s whose processes come, go and share tags',
    async (instanceType) => {
      const stream = virtualNeuronMonitorLines({ instanceType, seed: 7, periodMs: 5000 });
      const lines = Array.from({ length: 300 }, () => stream.next().value);
      const tags = lines.map((line) => [...line.matchAll(/"neuron_runtime_tag":"([^"]*)"/g)].map(([, tag]) => tag));
      expect(tags.some((ofRecord) => new Set(ofRecord).size < ofRecord.length)).toBe(instanceType === 'inf1.6xlarge');
      await expectSamePages(lines);
    },
  );

  it('after each record of any stream', async () => {
    await fc.assert(
      fc.asyncProperty(anyStream(), fc.constantFrom('cumulative', 'tally'), (lines, eccCounts) => expectSamePages(lines, eccCounts)),
      { numRuns: 150 },
    );
  });
});

it('every number is spelled as prometheus_client spells it', () => {
  const any = fc.sample(fc.double(), 30_000);
  const everyday = fc.sample(fc.oneof(fc.nat(), fc.maxSafeInteger(), fc.double({ min: 0, max: 1e9, noNaN: true })), 30_000);
  const powers = Array.from({ length: 640 }, (_, index) => 10 ** (index - 320)).flatMap((power) => [
    power,
    -power,
    power * 9.75,
    power - 1,
  ]);
  const numbers = [0, -0, 999_999.5, 1e6, 1e11, 1e16, 5e-324, ...powers, ...any, ...everyday];
  expect(numbers.map((value) => pythonNumber(value))).toEqual(clientSpelling(numbers));
});

describe('neuron-otel prometheus in place of the script', () => {
  const PERIOD_SECONDS = 0.2;
  const FORMATS = { text: 'text/plain', openMetrics: 'application/openmetrics-text; version=1.0.0' } as const;

  it.each(FIXTURE_NAMES)('serves the page of each record of %s, on any path', async (name) => {
    const port = await freePort();
    const program = name === 'trn1-32-runtimes' ? 'bundle' : 'sources';
    await using agent = new AgentProcess(['prometheus', '--port', String(port)], { program });
    await agent.process.until('to listen', () => pageAt(port, FORMATS.text).then(() => true));
    const lines = withPeriod(fixture(name).lines, PERIOD_SECONDS);
    for (const [index, expected] of oraclePages(lines).entries()) {
      agent.feed(lines.slice(index, index + 1));
      // Far enough from the next one that a process that is not in it is known to have ended.
      await delay(PERIOD_SECONDS * 1500);
      for (const format of ['text', 'openMetrics'] as const) await expectPage(port, FORMATS[format], expected[format]);
    }
  });
});

async function expectPage(port: number, accept: string, expected: string): Promise<void> {
  let difference: ReturnType<typeof firstDifference>;
  const isThere = async (): Promise<true | undefined> => {
    difference = firstDifference(await pageAt(port, accept), expected);
    return difference === undefined ? true : undefined;
  };
  const context = (): string => JSON.stringify(difference);
  // Longer than that, and points run out.
  await eventually(isThere, { timeoutMs: 5_000, what: `the page of prometheus_client for ${accept}`, context });
}

/** Without the families about the serving process, which are about Python there. */
async function pageAt(port: number, accept: string): Promise<string> {
  const response = await fetch(`http://127.0.0.1:${port}/any/path`, { headers: { accept } });
  expect(response.status).toBe(200);
  return withoutTimes((await response.text()).replaceAll(/^(?:# \w+ )?process_.*\n/gm, ''));
}
