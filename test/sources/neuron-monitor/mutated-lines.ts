import { Readable } from 'node:stream';
import { expect } from 'vitest';
import { createNeuronMonitorSource } from '../../../sources/neuron-monitor/source.ts';
import { silentLogger } from '../../../src/log.ts';
import { fixtureHost } from '../../support/fixture-host.ts';
import { fullRecord } from '../../support/neuron-monitor-record.ts';
import { RecordingSink } from '../../support/recording-sink.ts';

const REPORT = fullRecord();
const GOOD = fullRecord({ pid: 1, tag: 'good' });
const LF = Buffer.from('\n');

/** A small generator with a fixed seed: the same lines in every run. */
function randoms(seed: number): (below: number) => number {
  let state = seed;
  return (below) => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    return Math.floor((state / 2 ** 32) * below);
  };
}

function* prefixes(): Generator<Buffer> {
  for (let length = 1; length < REPORT.length; length += 1) yield Buffer.from(REPORT.slice(0, length));
}

function* byteFlips(count: number): Generator<Buffer> {
  const random = randoms(7);
  for (let made = 0; made < count;) {
    const bytes = Buffer.from(REPORT);
    const flips = 1 + random(3);
    for (let flip = 0; flip < flips; flip += 1) {
      const at = random(bytes.length);
      bytes[at] = (bytes[at] ?? 0) ^ (1 << random(8));
    }
    if (bytes.includes(0x0a) || bytes.includes(0x0d)) continue;
    made += 1;
    yield bytes;
  }
}

/** Every number of the report in turn becomes something that is no number, or that is too large for one. */
function* brokenNumbers(): Generator<Buffer> {
  const spellings = ['NaN', '1e400', '-1e400', 'Infinity', '0x10', '01', '1.', '"1"', 'true', '{}', '[]', '-', '1e999999'];
  const numbers = [...REPORT.matchAll(/(?<=[:[,])-?\d+(?:\.\d+)?/g)];
  for (const { index, 0: text } of numbers) {
    for (const spelling of spellings) yield Buffer.from(REPORT.slice(0, index) + spelling + REPORT.slice(index + text.length));
  }
}

/** Every object of the report in turn gets a member that is there twice, or that is a prototype. */
function* hostileMembers(): Generator<Buffer> {
  const members = [
    '"__proto__":{"polluted":true},',
    '"__proto__":null,',
    '"period":1,"period":2,',
    '"constructor":{"prototype":{"polluted":true}},',
  ];
  for (const { index } of REPORT.matchAll(/\{(?=")/g)) {
    for (const member of members) yield Buffer.from(`${REPORT.slice(0, index)}{${member}${REPORT.slice(index + 1)}`);
  }
}

function* oddities(): Generator<Buffer> {
  yield Buffer.concat([Buffer.from([0xef, 0xbb, 0xbf]), Buffer.from(REPORT)]);
  yield Buffer.from(`${REPORT}\r`);
  yield Buffer.from(`\u0000${REPORT}`);
  yield Buffer.concat([Buffer.from(REPORT), Buffer.from([0xc3])]);
  yield Buffer.from([0xff, 0xfe, 0x7b, 0x00]);
  yield Buffer.alloc(8 * 1024 * 1024 + 1, ' ');
  yield Buffer.from(`{"system_data":null,"x":"${'y'.repeat(7 * 1024 * 1024)}"}`);
}

/** Returns the event that the platform's own decoders lead to, without any code of the source. */
function expectedEvent(line: Buffer): 'batch' | 'malformed' | 'too_long' {
  if (line.length > 8 * 1024 * 1024) return 'too_long';
  try {
    const text = new TextDecoder('utf-8', { fatal: true }).decode(line);
    const document: unknown = JSON.parse(text);
    const isReport =
      typeof document === 'object' &&
      document !== null &&
      !Array.isArray(document) &&
      /"(?:neuron_runtime_data|system_data|instance_info|neuron_hardware_info|neuron_k8s_info)"/.test(
        JSON.stringify(Object.keys(document)),
      );
    return isReport ? 'batch' : 'malformed';
  } catch {
    return 'malformed';
  }
}

/**
 * Feeds every n-th of some 10,000 bad lines, each followed by a good one, and expects each to be lost once, nothing to be thrown, and the
 * good line to be read.
 */
export async function expectBadLinesToBeLostOnce(everyNth: number): Promise<number> {
  const expected: string[] = [];
  let made = 0;
  let lines = 0;
  function* input(): Generator<Buffer> {
    for (const mutations of [prefixes(), byteFlips(4000), brokenNumbers(), hostileMembers(), oddities()]) {
      for (const line of mutations) {
        made += 1;
        if (made % everyNth !== 0) continue;
        lines += 1;
        expected.push(expectedEvent(line), 'batch');
        yield Buffer.concat([line, LF, Buffer.from(GOOD), LF]);
      }
    }
  }
  const host = fixtureHost('/nowhere');
  let losses = 0;
  let broken = 0;
  const sink = new RecordingSink();
  await using source = createNeuronMonitorSource({
    mode: 'stdin',
    host,
    logger: silentLogger,
    input: Readable.from(input(), { objectMode: false }),
  });
  await source.start({
    batch: (batch) => {
      const text = batch.line === undefined ? '' : Buffer.from(batch.line.bytes).toString('latin1');
      sink.events.push('batch');
      if (sink.events.length % 2 === 0 && text !== GOOD) broken += 1;
      return Promise.resolve();
    },
    lost: (_error, reason) => {
      losses += 1;
      sink.events.push(reason);
    },
    state: (state) => {
      if (state.state === 'ended') sink.state(state);
    },
  });
  await sink.until(({ states }) => states.length === 1);
  sink.events.pop();
  expect(sink.events.length).toBe(expected.length);
  expect(sink.events.findIndex((event, index) => event !== expected[index])).toBe(-1);
  expect(losses).toBe(expected.filter((event) => event !== 'batch').length);
  expect(broken).toBe(0);
  expect(Object.hasOwn(Object.prototype, 'polluted')).toBe(false);
  return lines;
}
