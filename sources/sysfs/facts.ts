import type { DeviceFacts } from '../../src/readings.ts';
import { parseCount } from '../procfs/counts.ts';
import type { FactNode } from './roles.ts';

/** While the device is being reset, firmware attributes say this (driver source, 2.30). */
const BUSY = 'busy';
const MAX_TEXT = 128;

/** Texts of a device, without spaces at either end → facts. What is empty, busy or not understood is left out. */
export function parseFacts(texts: ReadonlyMap<FactNode, string>): DeviceFacts {
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
 * `1, 4, 12, 3`. A device without neighbours has an empty line. The driver's buffer of 20 bytes can overflow and then gives nothing,
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
