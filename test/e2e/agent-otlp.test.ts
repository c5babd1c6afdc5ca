import { isDeepStrictEqual } from 'node:util';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { OTLP_PROTOCOLS } from '../../exporters/otlp/settings.ts';
import type { OtlpProtocol } from '../../exporters/otlp/settings.ts';
import { agentConfig } from './support/agent-config.ts';
import { AgentProcess } from './support/agent.ts';
import type { Program } from './support/agent.ts';
import { Collector } from './support/collector.ts';
import { expectedSeries, faultsOf, receivedSeries } from './support/compare.ts';
import type { FlatPoint } from './support/otlp-json.ts';
import { FIXTURE_NAMES, fixture, nineRealRecords } from './support/recordings.ts';
import type { Recording } from './support/recordings.ts';

interface Run {
  readonly program: Program;
  readonly protocol: OtlpProtocol;
  readonly compression?: 'none' | 'gzip';
}

/** The real captures are not part of the project: they are fed where they lie beside it. */
const RECORDINGS: readonly Recording[] = [fixture('trn1-one-runtime'), ...[nineRealRecords()].filter((one) => one !== undefined)];

const RUNS = RECORDINGS.flatMap((recording) =>
  OTLP_PROTOCOLS.flatMap((protocol) => [
    { recording, protocol, program: 'sources' } as const,
    { recording, protocol, program: 'bundle', compression: 'gzip' } as const,
  ]),
);

describe('a stream on stdin becomes OTLP at a real Collector', () => {
  let collector: Collector;
  let runs = 0;

  beforeAll(async () => {
    collector = await Collector.start();
  });
  afterAll(() => collector[Symbol.asyncDispose]());

  it.each(FIXTURE_NAMES)('%s: every series and value of every record', async (name) => {
    const { records, bytes } = fixture(name);
    const expected = expectedSeries(records);
    const received = await exportThroughAgent(bytes, { program: 'sources', protocol: 'http/protobuf' }, expected);
    expect(receivedSeries(received)).toEqual(expected);
    expect(faultsOf(received)).toEqual([]);
  });

  it.each(RUNS)('the $program over $protocol: $recording.name', async ({ recording, ...run }) => {
    const expected = expectedSeries(recording.records);
    const received = await exportThroughAgent(recording.bytes, run, expected);
    expect(receivedSeries(received)).toEqual(expected);
    expect(faultsOf(received)).toEqual([]);
  });

  /**
   * Feeds the whole recording, waits for the agent's clean end, and returns what the Collector wrote of this run: as soon as that is what is
   * expected, else what is there after a while.
   */
  async function exportThroughAgent(
    bytes: Uint8Array,
    { program, protocol, compression }: Run,
    expected: ReturnType<typeof expectedSeries>,
  ): Promise<FlatPoint[]> {
    runs += 1;
    const run = `run-${runs}`;
    const endpoint = protocol === 'grpc' ? collector.grpcEndpoint : collector.httpEndpoint;
    await using agent = new AgentProcess([], {
      program,
      config: agentConfig({
        exporters: { otlp: { endpoint, protocol, compression: compression ?? 'none' } },
        resource: { 'test.run': run },
      }),
    });
    agent.feedAndEnd(bytes);
    await agent.process.endsWith(0);
    const isOurs = (point: FlatPoint): boolean => point.resource['test.run'] === run;
    // The file exporter writes a moment later, in several steps.
    let ours: FlatPoint[] = [];
    const isComplete = (all: readonly FlatPoint[]): boolean => {
      ours = all.filter(isOurs);
      return isDeepStrictEqual(receivedSeries(ours), expected);
    };
    await collector.receives('all of the run', isComplete).catch(() => {});
    return ours;
  }
});
