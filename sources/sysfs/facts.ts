import { join } from 'node:path';
import { readLine } from '../../src/line-file.ts';
import type { DeviceFacts } from '../../src/readings.ts';
import { parseCount } from '../procfs/counts.ts';
import type { FactFile } from './files.ts';
import { inodeOf } from './walk.ts';

/** While the device is being reset, firmware attributes contain this (driver source, 2.30). */
const BUSY = 'busy';
const MAX_TEXT = 128;

/** Turns the texts of a device into facts. A text that is empty, busy or not understood is left out. */
export function parseFacts(texts: ReadonlyMap<FactFile, string>): DeviceFacts {
  const name = known(texts.get('device_name'));
  const architecture = known(texts.get('arch_type'));
  const serial = texts.get('serial_number') ?? '';
  const firmwareBuild = known(texts.get('fw_build'));
  const firmwareApi = known(texts.get('fw_api_version'));
  const connected = parseConnected(texts.get('connected_devices'));
  const cores = parseCount(texts.get('core_count'));
  return {
    ...(name !== undefined && { name }),
    ...(architecture !== undefined && { architecture }),
    ...(/^[0-9a-f]{16}$/i.test(serial) && { serial_number: serial.toLowerCase() }),
    ...(firmwareBuild !== undefined && { firmware_build: firmwareBuild }),
    ...(firmwareApi !== undefined && { firmware_api_version: firmwareApi }),
    ...(connected !== undefined && { connected_devices: connected }),
    ...(cores !== undefined && { core_count: cores }),
  };
}

/**
 * Parses `1, 4, 12, 3`. A device without neighbours has an empty line. The driver's buffer of 20 bytes can overflow and then gives nothing,
 * which reads the same: absent, not none.
 */
export function parseConnected(text: string | undefined): readonly number[] | undefined {
  if (text === undefined || text === '') return undefined;
  const indexes = text.split(',').map((field) => parseCount(field.trim()));
  return indexes.every((index) => index !== undefined) ? indexes : undefined;
}

function known(text: string | undefined): string | undefined {
  return text === undefined || text === '' || text === BUSY || text.length > MAX_TEXT || /[^\x20-\x7e]/.test(text) ? undefined : text;
}

/** Since this release the driver computes the datastore's counters whenever sysfs is read; before, they moved only when a process ended. */
const LIVE_SINCE = [2, 30, 2] as const;

/** `Driver` is the kernel module, as far as this host shows it. */
export class Driver {
  readonly #path: string;
  #inode: number | undefined;
  #version: string | undefined;

  constructor(sysRoot: string) {
    this.#path = join(sysRoot, 'module', 'neuron');
    this.check();
  }

  get version(): string | undefined {
    return this.#version;
  }

  /** Looks again. `reloaded` is true when the module is another one or gone, so that every counter begins again. */
  check(): boolean {
    const inode = inodeOf(this.#path);
    const version = inode === undefined ? undefined : this.#readVersion();
    const reloaded = inode !== this.#inode || version !== this.#version;
    this.#inode = inode;
    this.#version = version;
    return reloaded;
  }

  /**
   * Returns true when utilization, FLOPs and executions move while applications run. Where the version is hidden, the error counters of
   * corrected events decide: they came with the same release.
   */
  countersAreLive(hasCorrectedErrors: boolean): boolean {
    if (this.#version === undefined) return hasCorrectedErrors;
    const numbers = this.#version.split('.').map(Number);
    for (const [i, since] of LIVE_SINCE.entries()) {
      const number = numbers[i] ?? 0;
      if (number !== since) return number > since;
    }
    return true;
  }

  #readVersion(): string | undefined {
    const text = readLine(join(this.#path, 'version'));
    return text !== undefined && /^\d{1,5}(\.\d{1,10}){1,4}$/.test(text) ? text : undefined;
  }
}

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
 * Reads the attributes of the UltraServer that this host belongs to. An attribute that is empty, `busy` (still electing), a node id
 * of -1 or an id of zeros only means none and is left out. Undefined when nothing is left.
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
