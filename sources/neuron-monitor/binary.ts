import { constants } from 'node:fs';
import { access, stat } from 'node:fs/promises';
import { delimiter, isAbsolute, join } from 'node:path';
import { AgentError } from '../../src/errors.ts';
import { errnoName } from '../../src/file-error.ts';
import type { Host } from '../../src/host.ts';

const NAME = 'neuron-monitor';
/** Folder into which the package aws-neuronx-tools installs the binary; the package does not add this folder to everybody's PATH. */
const INSTALL_FOLDER = 'opt/aws/neuron/bin';

/**
 * Absolute path of the binary: `requested` when given, else the first in PATH, else the package's own folder under the host's root.
 * Relative entries of PATH are not searched. Rejects with `source_absent`, or `source_denied` when it may not be executed.
 */
export async function findBinary(host: Host, requested?: string): Promise<string> {
  if (requested !== undefined) return await requestedBinary(requested);
  const folders = (host.env['PATH'] ?? '').split(delimiter).filter((folder) => isAbsolute(folder));
  let denied: string | undefined;
  for (const folder of [...folders, join(host.fsRoot, INSTALL_FOLDER)]) {
    const path = join(folder, NAME);
    const state = await inspect(path);
    if (state === 'executable') return path;
    if (state === 'denied') denied ??= path;
  }
  if (denied !== undefined) throw mayNotExecute(denied);
  throw new AgentError(
    'source_absent',
    'neuron-monitor',
    `neuron-monitor is neither in PATH nor in ${join(host.fsRoot, INSTALL_FOLDER)}; it comes with the package aws-neuronx-tools`,
  );
}

async function requestedBinary(path: string): Promise<string> {
  if (!isAbsolute(path)) throw new AgentError('source_absent', 'neuron-monitor', `path of neuron-monitor is not absolute: ${path}`);
  const state = await inspect(path);
  if (state === 'denied') throw mayNotExecute(path);
  if (state === 'absent') throw new AgentError('source_absent', 'neuron-monitor', `no such file: ${path}`);
  return path;
}

function mayNotExecute(path: string): AgentError {
  return new AgentError('source_denied', 'neuron-monitor', `may not be executed: ${path}`);
}

async function inspect(path: string): Promise<'executable' | 'denied' | 'absent'> {
  try {
    if (!(await stat(path)).isFile()) return 'absent';
    await access(path, constants.X_OK);
    return 'executable';
  } catch (thrown) {
    const errno = errnoName(thrown);
    return errno === 'EACCES' || errno === 'EPERM' ? 'denied' : 'absent';
  }
}
