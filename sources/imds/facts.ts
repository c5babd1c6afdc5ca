import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { AgentError } from '../../src/errors.ts';
import type { Host } from '../../src/host.ts';
import { readLine } from '../../src/line-file.ts';
import type { InstanceInfo } from '../../src/readings.ts';
import type { MetadataClient } from './client.ts';

/** Facts that the machine's firmware holds, without a network. */
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

/** The result of one round of questions. */
export interface MetadataRound {
  readonly info: InstanceInfo;
  /** Everything that every instance has was told. */
  readonly complete: boolean;
  /** The first thing that went wrong. */
  readonly error?: AgentError;
}

interface Value {
  readonly value?: string;
  readonly error?: AgentError;
}

/** Source of the paths: EC2 user guide, instance metadata categories. A value that does not look as EC2 makes it is not believed. */
const ZONE = /^[a-z0-9][a-z0-9-]{1,63}$/;
const REQUIRED = [
  { field: 'instance_id', path: 'instance-id', pattern: /^i-[0-9a-f]{8,32}$/ },
  { field: 'instance_type', path: 'instance-type', pattern: /^[a-z][a-z0-9-]{0,31}\.[a-z0-9-]{1,31}$/ },
  { field: 'instance_availability_zone', path: 'placement/availability-zone', pattern: ZONE },
  { field: 'instance_availability_zone_id', path: 'placement/availability-zone-id', pattern: ZONE },
  { field: 'instance_region', path: 'placement/region', pattern: ZONE },
  { field: 'ami_id', path: 'ami-id', pattern: /^ami-[0-9a-f]{8,32}$/ },
] as const;
const MAC = /^[0-9a-f]{2}(?::[0-9a-f]{2}){5}$/;
const SUBNET = /^subnet-[0-9a-f]{8,32}$/;
/** There when the instance's tags are exposed (InstanceMetadataTags). */
const NAME_PATH = 'tags/instance/Name';
const NAME = /^[^\p{Cc}\u2028\u2029]{1,256}$/u;

/** Asks for everything; the client has its token already. */
export async function askInstanceFacts(client: MetadataClient): Promise<MetadataRound> {
  const required = REQUIRED.map(async ({ field, path, pattern }) => [field, await ask(client, path, pattern)] as const);
  const [name, subnet, ...others] = await Promise.all([ask(client, NAME_PATH, NAME), askSubnet(client), ...required]);
  const info: Record<string, string> = {};
  for (const [field, { value }] of [['instance_name', name], ['subnet_id', subnet], ...others] as const) {
    if (value !== undefined) info[field] = value;
  }
  const error = [name, subnet, ...others.map(([, value]) => value)].find((value) => value.error !== undefined)?.error;
  const complete = subnet.value !== undefined && others.every(([, { value }]) => value !== undefined);
  return { info, complete, ...(error !== undefined && { error }) };
}

async function askSubnet(client: MetadataClient): Promise<Value> {
  const mac = await ask(client, 'mac', MAC);
  return mac.value === undefined ? mac : await ask(client, `network/interfaces/macs/${mac.value}/subnet-id`, SUBNET);
}

async function ask(client: MetadataClient, path: string, pattern: RegExp): Promise<Value> {
  const answer = await client.ask(path);
  switch (answer.is) {
    case 'silent':
      return failed('source_timeout', path, 'no answer in time');
    case 'too_long':
      return failed('source_malformed', path, 'a value that is too long');
    case 'answered':
      if (answer.status === 404) return {};
      if (answer.status === 401 || answer.status === 403) return failed('source_denied', path, `refused with ${answer.status}`);
      if (answer.status !== 200) return failed('source_malformed', path, `status ${answer.status}`);
      return pattern.test(answer.body.trim())
        ? { value: answer.body.trim() }
        : failed('source_malformed', path, 'a value that cannot be right');
  }
}

function failed(code: 'source_timeout' | 'source_denied' | 'source_malformed', path: string, what: string): Value {
  return { error: new AgentError(code, 'imds', `metadata ${path}: ${what}`) };
}
