import { join } from 'node:path';
import { readLine } from '../../src/line-file.ts';

/** Class attributes of drivers 2.22 to 2.30 (driver source neuron_cdev.c); which of them exist depends on the platform. */
const ATTRIBUTES = [
  'node_id',
  'node_id_2',
  'node_id_4',
  'node_cnt',
  'server_id',
  'server_id_2',
  'server_id_4',
  'reservation_id',
  'ultraserver_mode',
] as const;

/**
 * What the driver says about the UltraServer this host is part of. Left out: what is empty, `busy` (still electing), a node id
 * of -1 and an id of zeros only, which all mean none. Undefined when nothing is left.
 */
export function readUltraserver(sysRoot: string): Readonly<Record<string, string>> | undefined {
  const found: Record<string, string> = {};
  for (const name of ATTRIBUTES) {
    const value = readAttribute(join(sysRoot, 'class', 'neuron_device', name));
    if (value !== undefined) found[name] = value;
  }
  return Object.keys(found).length > 0 ? found : undefined;
}

function readAttribute(path: string): string | undefined {
  const text = readLine(path);
  return text === undefined || text === 'busy' || text === '-1' || /^0{2,}$/.test(text) || !/^[\w,.:-]{1,128}$/.test(text)
    ? undefined
    : text;
}
