import { createHash } from 'node:crypto';
import { join } from 'node:path';
import type { Host } from './host.ts';
import { readLine } from './line-file.ts';

/** Namespace of `service.instance.id` for UUIDs that are made from a name (semantic conventions, attributes of `service`). */
const NAMESPACE = Buffer.from('4d63009a8d0f11eeaad74c796ed8e320', 'hex');

/** Returns the `service.instance.id` of a name: a UUID of version 5, which does not reveal the name. */
export function instanceIdOf(name: string): string {
  const bytes = createHash('sha1').update(NAMESPACE).update(name).digest().subarray(0, 16);
  bytes.writeUInt8((bytes.readUInt8(6) & 0x0f) | 0x50, 6);
  bytes.writeUInt8((bytes.readUInt8(8) & 0x3f) | 0x80, 8);
  return bytes.toString('hex').replace(/^(.{8})(.{4})(.{4})(.{4})(.{12})$/, '$1-$2-$3-$4-$5');
}

/**
 * Returns a name that only this machine has, without a network: the machine-id, else the host name; undefined where there is neither.
 * The machine-id is confidential (machine-id(5)): it is a name to make an id from, and never an attribute.
 */
export function machineName(host: Host): string | undefined {
  for (const path of ['etc/machine-id', 'var/lib/dbus/machine-id']) {
    const id = readLine(join(host.fsRoot, path));
    if (id !== undefined && /^[0-9a-f]{32}$/.test(id)) return id;
  }
  // Within a container the kernel reports the name of the container; the file below the mounted root has that of the host.
  for (const path of [join(host.fsRoot, 'etc/hostname'), join(host.procRoot, 'sys/kernel/hostname')]) {
    const name = readLine(path);
    if (name !== undefined && name !== '' && !name.startsWith('localhost')) return name;
  }
  return undefined;
}
