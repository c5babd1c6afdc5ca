import { readFileSync, readdirSync } from 'node:fs';
import { join, resolve } from 'node:path';
import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { reportFromLine } from '../../../exporters/json-stdout/from-line.ts';
import { parseLine } from '../../../sources/neuron-monitor/lines.ts';
import { RUNTIME_GROUPS, SYSTEM_GROUPS } from '../../../src/readings.ts';
import type { RuntimeGroup, SystemGroup } from '../../../src/readings.ts';
import type { StreamLine } from '../../../src/source.ts';
import { fullRecord } from '../../support/neuron-monitor-record.ts';
import { hasSamples, sampleLines } from '../../support/samples.ts';

function lineOf(text: string): StreamLine {
  const bytes = Buffer.from(text);
  const parsed = parseLine(bytes);
  if (parsed.outcome === 'malformed') throw parsed.error;
  return { bytes, document: parsed.document };
}

/** Selects by tag: groups of the tags that are named, nothing of others. */
function selection(runtimes: Readonly<Record<string, readonly RuntimeGroup[]>>, system: readonly SystemGroup[]) {
  return {
    runtimeGroups: ({ tag }: { readonly tag: string }) => (runtimes[tag] === undefined ? undefined : new Set(runtimes[tag])),
    systemGroups: new Set(system),
  };
}

/** Everything but one group, so that a line has to be encoded again. */
const ALL_BUT_VCPU = {
  runtimeGroups: () => new Set(RUNTIME_GROUPS),
  systemGroups: new Set(SYSTEM_GROUPS.filter((group) => group !== 'vcpu_usage')),
};

describe('the report of a line of which something is not selected', () => {
  const line = lineOf(fullRecord({ tag: 'train' }));

  it('is the line when everything is selected', () => {
    expect(reportFromLine(line, selection({ train: RUNTIME_GROUPS }, SYSTEM_GROUPS)).line).toBe(line);
  });

  it('has no line of its own when something is left out', () => {
    expect(reportFromLine(line, selection({ train: ['memory_used'] }, ['vcpu_usage'])).line).toBeUndefined();
  });

  it('loses system groups', () => {
    const { document } = reportFromLine(line, selection({ train: RUNTIME_GROUPS }, ['vcpu_usage']));
    expect(Object.keys(Object(document['system_data']))).toEqual(['vcpu_usage']);
  });

  it('loses groups of processes', () => {
    const { document } = reportFromLine(line, selection({ train: ['memory_used'] }, SYSTEM_GROUPS));
    expect(document['neuron_runtime_data']).toMatchObject([{ pid: 4242, report: { memory_used: {} } }]);
    expect(JSON.stringify(document)).not.toContain('neuroncore_counters');
  });

  it('keeps the facts', () => {
    const { document } = reportFromLine(line, selection({}, []));
    expect(document['instance_info']).toBe(line.document['instance_info']);
  });

  it('loses processes whose tag is not selected', () => {
    expect(reportFromLine(line, selection({ other: RUNTIME_GROUPS }, SYSTEM_GROUPS)).document['neuron_runtime_data']).toEqual([]);
  });

  it('has system_data null when no system group is selected, as neuron-monitor prints it', () => {
    expect(reportFromLine(line, selection({ train: RUNTIME_GROUPS }, [])).document['system_data']).toBeNull();
  });

  it('leaves the document of the line as it was', () => {
    const before = JSON.stringify(line.document);
    reportFromLine(line, selection({}, []));
    expect(JSON.stringify(line.document)).toBe(before);
  });

  it.each([
    ['everything null', '{"neuron_runtime_data":null,"system_data":null}'],
    ['a report null', '{"neuron_runtime_data":[{"pid":1,"neuron_runtime_tag":"train","report":null}],"system_data":null}'],
    [
      'unknown groups',
      '{"neuron_runtime_data":[{"pid":1,"neuron_runtime_tag":"train","report":{"next":{}}}],"system_data":{"self_stats":{}}}',
    ],
    ['entries that are no processes', '{"neuron_runtime_data":[null,5,{"pid":"x"}],"system_data":"none"}'],
    ['the empty report of a tick without runtime groups', '{"neuron_runtime_data":[{"pid":1,"neuron_runtime_tag":"train","report":{}}]}'],
  ])('is the line with %s', (_name, text) => {
    const input = lineOf(text);
    expect(reportFromLine(input, selection({ train: ['memory_used'] }, [])).line).toBe(input);
  });
});

/** The text of a number → the text of the same number after its line was encoded again. */
function encodedAgain(number: string): string | undefined {
  const { document } = reportFromLine(lineOf(`{"system_data":{"vcpu_usage":{}},"next":${number}}`), ALL_BUT_VCPU);
  return /"next":(.*)\}$/.exec(JSON.stringify(document))?.[1];
}

describe('a number of a line that is encoded again', () => {
  it.each(['9007199254740993', '-9007199254740993', '18446744073709551615', '123456789012345678901234567890', '1e400', '1.5E+999'])(
    'keeps the digits of %s, which a double cannot hold',
    (number) => {
      expect(encodedAgain(number)).toBe(number);
    },
  );

  it.each(['0', '0.0014138221740722656', '4.9997076499999995', '875590474948', '1.6e-10', '9007199254740991', '-12.50'])(
    'has the value of %s',
    (number) => {
      expect(Number(encodedAgain(number))).toBe(Number(number));
    },
  );

  it('is exact in every text of digits', () => {
    fc.assert(
      fc.property(fc.bigInt(), (value) => {
        expect(BigInt(encodedAgain(String(value)) ?? '')).toBe(value);
      }),
      { numRuns: 300 },
    );
  });

  it('brings no member named __proto__ back', () => {
    const { document } = reportFromLine(lineOf('{"system_data":{"vcpu_usage":{}},"__proto__":{"a":9007199254740993}}'), ALL_BUT_VCPU);
    expect(JSON.stringify(document)).toBe('{"system_data":{}}');
  });
});

describe('a record that is encoded again', () => {
  const folder = resolve(import.meta.dirname, '../../fixtures/neuron-monitor');
  const streams = readdirSync(folder, { recursive: true, encoding: 'utf8' }).filter((name) => name.endsWith('.ndjson'));

  function expectSameWithoutVcpu(text: string): void {
    const { document } = reportFromLine(lineOf(text), ALL_BUT_VCPU);
    const expected: { readonly system_data: Record<string, unknown> | null } = JSON.parse(text);
    if (expected.system_data !== null) delete expected.system_data['vcpu_usage'];
    expect(JSON.parse(JSON.stringify(document))).toEqual(expected);
  }

  it.each(streams)('has the same values in what is left: fixture %s', (name) => {
    for (const line of readFileSync(join(folder, name), 'utf8').trimEnd().split('\n')) expectSameWithoutVcpu(line);
  });

  it.runIf(hasSamples)('has the same values in what is left: captures (skipped where ../shared/samples is absent)', () => {
    for (const { bytes } of sampleLines()) expectSameWithoutVcpu(bytes.toString('utf8'));
  });
});
