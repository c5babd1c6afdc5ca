import { existsSync } from 'node:fs';
import { join } from 'node:path';
import type { Host } from '../../src/host.ts';
import { readLine } from '../../src/line-file.ts';
import type { InstanceInfo } from '../../src/readings.ts';

/** What the machine says about itself without a network. */
export interface Machine {
  readonly isEc2: boolean;
  readonly info: InstanceInfo;
}

/**
 * Reads what the firmware of an EC2 instance tells the kernel (DMI): type and id. Source: EC2 user guide, identify EC2 instances
 * (`sys_vendor`), and instances themselves (`product_name`, `board_asset_tag`). The firmware of other machines says other things there.
 * A machine with Neuron devices is an EC2 instance even where the firmware cannot be read.
 */
export function readMachine(host: Host): Machine {
  if (readLine(join(host.sysRoot, 'class/dmi/id/sys_vendor')) !== 'Amazon EC2')
    return { isEc2: existsSync(join(host.sysRoot, 'class/neuron_device')), info: {} };
  const type = readLine(join(host.sysRoot, 'class/dmi/id/product_name'));
  const id = readLine(join(host.sysRoot, 'class/dmi/id/board_asset_tag'));
  return {
    isEc2: true,
    info: {
      ...(id !== undefined && /^i-[0-9a-f]{8,32}$/.test(id) && { instance_id: id }),
      ...(type !== undefined && /^[a-z][a-z0-9-]{0,31}\.[a-z0-9-]{1,31}$/.test(type) && { instance_type: type }),
    },
  };
}

/** Nodes of the driver that name the UltraServer, the largest first; driver source neuron_cdev.c, 2.22 to 2.30. */
const SERVER_NODES = ['server_id_4', 'server_id_2', 'server_id'];

/**
 * The UltraServer this host is part of, as neuron-monitor writes it: `u-` and 16 hex digits. That these digits are the driver's
 * server id is inferred: both have the same form, and the metadata service has no such value. Undefined outside of an UltraServer.
 */
export function readUltraserverId(host: Host): string | undefined {
  for (const node of SERVER_NODES) {
    const text = readLine(join(host.sysRoot, 'class/neuron_device', node))?.toLowerCase();
    // All zeros: not in one. `busy`: still being found out.
    if (text !== undefined && /^[0-9a-f]{16}$/.test(text) && !/^0+$/.test(text)) return `u-${text}`;
  }
  return undefined;
}
