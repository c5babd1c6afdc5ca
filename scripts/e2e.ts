/**
 * `npm run test:e2e [-- VITEST ARGUMENTS]`: makes the peers ready (a Collector, a Prometheus, Python's client library), builds the
 * bundle, and runs `test/e2e/`. A peer that cannot be had is a failure, never a skipped test.
 */
import { spawnSync } from 'node:child_process';
import { join, resolve } from 'node:path';
import { PEER_NAMES, preparePeers } from './peers.ts';

const root = resolve(import.meta.dirname, '..');
const { missing } = preparePeers(PEER_NAMES, (line) => console.log(`e2e: ${line}`));
for (const { name, problem, remedy } of missing) console.error(`e2e: the peer "${name}" is missing: ${problem}\ne2e: remedy: ${remedy}`);
if (missing.length > 0) process.exit(1);

process.exitCode =
  node('scripts/build.ts') ||
  node('node_modules/vitest/vitest.mjs', 'run', '--config', 'test/e2e/vitest.config.ts', ...process.argv.slice(2));

function node(script: string, ...args: readonly string[]): number {
  const { status } = spawnSync(process.execPath, [join(root, script), ...args], { cwd: root, stdio: 'inherit' });
  return status ?? 1;
}
