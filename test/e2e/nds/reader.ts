/**
 * A small agent around the `nds` source, for tests that start it with the shim: `read` on stdin prints one batch as a line of JSON,
 * `exit N` disposes of the source and exits with N.
 */
import { createInterface } from 'node:readline';
import { createNdsSource } from '../../../sources/nds/source.ts';
import { createProcessInspector } from '../../../sources/processes/inspector.ts';
import { systemHost } from '../../../src/host.ts';

const host = systemHost();
const source = createNdsSource({ host, inspector: createProcessInspector({ host }) });
const groups = new Set(['execution_stats', 'memory_used', 'neuroncore_counters'] as const);

for await (const line of createInterface({ input: process.stdin })) {
  const [command, argument] = line.split(' ');
  if (command === 'exit') {
    await source[Symbol.asyncDispose]();
    process.exit(Number(argument));
  }
  const startedMs = performance.now();
  const batch = await source.read(groups, new AbortController().signal);
  const failures = batch.failures.map(({ error }) => ({ code: error.code, message: error.message }));
  process.stdout.write(`${JSON.stringify({ ...batch, failures, tookMs: performance.now() - startedMs })}\n`);
}
