import { spawnSync } from 'node:child_process';
import { parseObject } from './json.ts';
import type { JsonObject } from './json.ts';
import { peerPath } from '../../../scripts/peers.ts';

/** A series as a parser of the ecosystem read it. */
export interface ParsedSample {
  readonly labels: Readonly<Record<string, string>>;
  readonly value: number;
}

/** What a current Prometheus makes of a page; throws with its complaint when it would refuse it. */
export function parseAsPrometheus(page: Uint8Array | string, contentType: string): readonly JsonObject[] {
  return run(peerPath('prometheus-parser'), [contentType], page).map((line) => parseObject(line));
}

/** The series among them, the name under `__name__`. */
export function samplesOf(entries: readonly JsonObject[]): readonly ParsedSample[] {
  return entries
    .filter(({ kind }) => kind === 'series')
    .map(({ labels, value }) => ({ labels: stringsOf(labels), value: numberOf(String(value)) }));
}

const PYTHON = `
import json, sys
from prometheus_client.openmetrics.parser import text_string_to_metric_families as openmetrics
from prometheus_client.parser import text_string_to_metric_families as text
page = sys.stdin.buffer.read().decode()
for family in (openmetrics if sys.argv[1] == 'openmetrics' else text)(page):
    for sample in family.samples:
        print(json.dumps({'family': family.name, 'type': family.type, 'name': sample.name, 'labels': sample.labels, 'value': repr(sample.value)}))
`;

/** What Python's prometheus_client makes of a page. */
export function parseAsPython(page: string, format: 'text' | 'openmetrics'): readonly ParsedSample[] {
  return run(peerPath('python'), ['-c', PYTHON, format], page)
    .map((line) => parseObject(line))
    .map(({ name, labels, value }) => ({ labels: { __name__: String(name), ...stringsOf(labels) }, value: numberOf(String(value)) }));
}

function run(program: string, args: readonly string[], input: Uint8Array | string): readonly string[] {
  const { status, stdout, stderr, error } = spawnSync(program, args, { input, encoding: 'utf8', maxBuffer: 1 << 28 });
  if (error !== undefined) throw error;
  if (status !== 0) throw new Error(stderr.trim().split('\n').at(-1));
  return stdout.split('\n').filter((line) => line !== '');
}

function stringsOf(labels: unknown): Readonly<Record<string, string>> {
  return Object.fromEntries(Object.entries(labels ?? {}).map(([name, value]) => [name, String(value)]));
}

/** Go and Python spell what is not a number of digits in their own ways. */
function numberOf(text: string): number {
  const infinity = /^([+-]?)inf$/i.exec(text);
  if (infinity !== null) return infinity[1] === '-' ? Number.NEGATIVE_INFINITY : Number.POSITIVE_INFINITY;
  return Number(text);
}
