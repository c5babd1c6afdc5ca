import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import { AgentError } from '../../src/errors.ts';
import type { ErrorCode } from '../../src/errors.ts';
import { fileError } from '../../src/file-error.ts';
import { ATTACH_SLOTS, deviceIndexes } from './access.ts';
import type { DatastoreAccess, DatastoreLocation, MappedDatastore, OpenDevice } from './access.ts';
import { SLAB_BYTES } from './layout.ts';
import type { Libc } from './libc.ts';

/** The same on x86-64 and aarch64. Reading is enough: the driver checks no mode, and a write-only open would not attach. */
const OPEN_FLAGS = 0x8_0000; // O_RDONLY | O_CLOEXEC
const PROT_READ = 1;
const MAP_SHARED = 1;

/** Driver header neuron_ioctl.h. The encoded size is a pointer's; the driver copies the whole struct. */
const IOCTL_ALL_APPS_INFO = 0x8008_4e07;
const IOCTL_ACQUIRE_DATASTORE = 0x8008_4e47;

/** `struct neuron_ioctl_get_apps_info`: flags u16, capacity u32 at 4, size u32 at 8, records from 16. */
const APPS = { capacityAt: 4, sizeAt: 8, recordsAt: 16, recordBytes: 152 } as const;
/** `struct neuron_ioctl_neuron_ds_info`: pid i32, mmap_offset u64 at 8, size u32 at 16. */
const DATASTORE = { bytes: 24, offsetAt: 8, sizeAt: 16 } as const;

/** The Neuron driver's datastores through `/dev/neuron<N>`. Only opens, asks and maps for reading: nothing is written, nothing is reset. */
export function createDriverAccess(devRoot: string, libc: Libc): DatastoreAccess {
  return {
    devices: () => deviceIndexes(namesIn(devRoot)),
    open: (device) => {
      const descriptor = libc.open(join(devRoot, `neuron${device}`), OPEN_FLAGS);
      if (descriptor < 0) throw openError(device, libc.errnoName());
      return new DriverDevice(device, descriptor, libc);
    },
  };
}

class DriverDevice implements OpenDevice {
  readonly #device: number;
  readonly #descriptor: number;
  readonly #libc: Libc;

  constructor(device: number, descriptor: number, libc: Libc) {
    this.#device = device;
    this.#descriptor = descriptor;
    this.#libc = libc;
  }

  attached(): readonly number[] {
    const buffer = Buffer.alloc(APPS.recordsAt + APPS.recordBytes * ATTACH_SLOTS);
    buffer.writeUInt32LE(ATTACH_SLOTS, APPS.capacityAt);
    if (this.#libc.ioctl(this.#descriptor, IOCTL_ALL_APPS_INFO, buffer) !== 0) throw this.#error('cannot be asked who uses it');
    const count = Math.min(buffer.readUInt32LE(APPS.sizeAt), ATTACH_SLOTS);
    return Array.from({ length: count }, (_, index) => buffer.readInt32LE(APPS.recordsAt + APPS.recordBytes * index));
  }

  locate(pid: number): DatastoreLocation | undefined {
    // Pid 0 would create a datastore of our own.
    if (pid <= 0) return undefined;
    const buffer = Buffer.alloc(DATASTORE.bytes);
    buffer.writeInt32LE(pid, 0);
    if (this.#libc.ioctl(this.#descriptor, IOCTL_ACQUIRE_DATASTORE, buffer) !== 0) {
      if (this.#libc.errnoName() === 'ENOENT') return undefined;
      throw this.#error('does not tell where a datastore is');
    }
    const location = { offset: buffer.readBigUInt64LE(DATASTORE.offsetAt), bytes: buffer.readUInt32LE(DATASTORE.sizeAt) };
    if (location.bytes !== SLAB_BYTES)
      throw new AgentError(
        'source_malformed',
        'nds',
        `neuron${this.#device}: a datastore of ${location.bytes} bytes, expected ${SLAB_BYTES}`,
      );
    return location;
  }

  /** The driver maps whole datastores only, and would let a writer write: the mapping is for reading. */
  map(_pid: number, location: DatastoreLocation): MappedDatastore {
    const libc = this.#libc;
    const address = libc.mmap(location.bytes, PROT_READ, MAP_SHARED, this.#descriptor, location.offset);
    if (address === undefined) throw this.#error('does not map a datastore');
    return {
      memory: new Uint8Array(libc.view(address, location.bytes)),
      refresh: () => {},
      unmap: () => void libc.munmap(address, location.bytes),
    };
  }

  close(): void {
    this.#libc.close(this.#descriptor);
  }

  #error(what: string): AgentError {
    return new AgentError('source_malformed', 'nds', `neuron${this.#device} ${what}: ${this.#libc.errnoName()}`);
  }
}

function openError(device: number, errno: string): AgentError {
  const words: Readonly<Record<string, readonly [ErrorCode, string]>> = {
    EBUSY: ['source_denied', `all ${ATTACH_SLOTS} slots for processes are taken`],
    EACCES: ['source_denied', 'permission denied; the device file belongs to root or to group neuron'],
    EPERM: ['source_denied', 'not permitted; the container may lack the device'],
    ENOENT: ['source_absent', 'no such device'],
    ENXIO: ['source_absent', 'no such device'],
    ENODEV: ['source_absent', 'no such device'],
    EINVAL: ['source_absent', 'the device is in an invalid state'],
    EINTR: ['source_timeout', 'interrupted while the device was being reset'],
  };
  const [code, what] = words[errno] ?? ['source_malformed', errno];
  return new AgentError(code, 'nds', `neuron${device} cannot be opened: ${what}`);
}

function namesIn(devRoot: string): readonly string[] {
  try {
    return readdirSync(devRoot);
  } catch (thrown) {
    throw fileError(thrown, 'nds');
  }
}
