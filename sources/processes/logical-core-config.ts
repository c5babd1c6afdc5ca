import { join } from 'node:path';
import type { Host } from '../../src/host.ts';
import { parseLogicalCoreConfig } from './environment.ts';
import { readText } from './proc-files.ts';

const HOST_FILE = 'opt/aws/neuron/logical_nc_config';

/**
 * Physical cores that form one logical core, as the host's file says for all programs that do not say it themselves;
 * undefined without such a file. Then the default of the device applies (`sources/hardware`).
 * Source: AWS Neuron guide, EKS prerequisites: a line `NEURON_LOGICAL_NC_CONFIG=1`.
 */
export function hostLogicalCoreConfig(host: Host): number | undefined {
  const file = readText(join(host.fsRoot, HOST_FILE), 4096);
  if (file.is !== 'seen') return undefined;
  return parseLogicalCoreConfig(/^\s*(?:export\s+)?NEURON_LOGICAL_NC_CONFIG=["']?([^"'\n]*)/m.exec(file.value)?.[1]);
}
