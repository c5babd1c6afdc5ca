import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { AgentError } from '../../src/errors.ts';
import { fileError } from '../../src/file-error.ts';
import type { Host } from '../../src/host.ts';

export interface ConfigFile {
  readonly path: string;
  /** Removes the file and its folder; safe to repeat. */
  [Symbol.asyncDispose](): Promise<void>;
}

/**
 * Writes the configuration for one run of the child, readable by this user alone: mode 0600 in a new folder of mode 0700.
 * Tries TMPDIR, systemd's runtime folder, /tmp and /dev/shm: containers often have a read-only root.
 */
export async function writeConfigFile(host: Host, config: Readonly<Record<string, unknown>>): Promise<ConfigFile> {
  const parents = [host.env['TMPDIR'], host.env['RUNTIME_DIRECTORY'], '/tmp', '/dev/shm'];
  let refused: AgentError | undefined;
  for (const parent of parents) {
    if (parent === undefined || parent === '') continue;
    try {
      return await writeInto(parent, JSON.stringify(config));
    } catch (thrown) {
      refused ??= fileError(thrown, 'neuron-monitor');
    }
  }
  throw new AgentError('source_denied', 'neuron-monitor', 'no folder takes the configuration file', { cause: refused });
}

async function writeInto(parent: string, text: string): Promise<ConfigFile> {
  const folder = await mkdtemp(join(parent, 'neuron-otel-'));
  const path = join(folder, 'neuron-monitor.json');
  const remove = (): Promise<void> => rm(folder, { recursive: true, force: true });
  try {
    await writeFile(path, text, { mode: 0o600, flag: 'wx' });
  } catch (thrown) {
    await remove();
    throw thrown;
  }
  return { path, [Symbol.asyncDispose]: remove };
}
