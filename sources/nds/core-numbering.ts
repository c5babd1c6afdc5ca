import { join } from 'node:path';
import type { Host } from '../../src/host.ts';
import { readLine } from '../../src/line-file.ts';
import type { NeuronHardwareInfo } from '../../src/readings.ts';
import { deviceModel } from '../hardware/hardware-info.ts';
import { hostLogicalCoreConfig } from '../processes/identity.ts';
import { parseCount } from '../procfs/counts.ts';

/** Facts that turn physical cores into the core numbers of neuron-monitor. */
export interface CoreNumbering {
  /** Physical cores of one device. */
  readonly coresPerDevice: number;
  /** Physical cores that form one logical core of this process. */
  readonly logicalCoreConfig: number;
}

/** Host-wide index of the first logical core of a device. */
export function firstLogicalCore(device: number, { coresPerDevice, logicalCoreConfig }: CoreNumbering): number {
  return device * Math.floor(coresPerDevice / logicalCoreConfig);
}

/** Logical cores that these physical cores of one device form. */
export function logicalCoreCount(physical: readonly unknown[], { logicalCoreConfig }: CoreNumbering): number {
  return Math.floor(physical.length / logicalCoreConfig);
}

interface OwnFacts {
  readonly coresPerDevice?: number;
  readonly defaultLogicalCoreConfig?: number;
}

/** How the cores of this host are numbered. */
export class HostCores {
  readonly #host: Host;
  /** Facts of the silicon stay once they are complete. */
  #own: OwnFacts = {};

  constructor(host: Host) {
    this.#host = host;
  }

  /** Undefined while the kind of device is not known. The process's own LNC comes on top. */
  numbering(info: NeuronHardwareInfo | undefined): CoreNumbering | undefined {
    if (this.#own.coresPerDevice === undefined || this.#own.defaultLogicalCoreConfig === undefined) this.#own = ownFacts(this.#host);
    const stated = statedNumbering(info);
    const coresPerDevice = this.#own.coresPerDevice ?? stated?.coresPerDevice;
    if (coresPerDevice === undefined) return undefined;
    const logicalCoreConfig = hostLogicalCoreConfig(this.#host) ?? stated?.logicalCoreConfig ?? this.#own.defaultLogicalCoreConfig ?? 1;
    return { coresPerDevice, logicalCoreConfig };
  }
}

/** neuron-monitor's facts count logical cores. */
function statedNumbering(info: NeuronHardwareInfo | undefined): CoreNumbering | undefined {
  const { neuroncore_per_device_count: cores, logical_neuroncore_config: size } = info ?? {};
  return cores === undefined || size === undefined ? undefined : { coresPerDevice: cores * size, logicalCoreConfig: size };
}

/** The paths of drivers 2.8 to 2.30; later drivers may have moved them. */
function ownFacts(host: Host): OwnFacts {
  const device = join(host.sysRoot, 'class/neuron_device/neuron0');
  const deviceName = readLine(join(device, 'info/architecture/device_name'));
  const model = deviceName === undefined ? undefined : deviceModel({ deviceName });
  const coresPerDevice = parseCount(readLine(join(device, 'core_count'))) ?? model?.physicalCores;
  return {
    ...(coresPerDevice !== undefined && { coresPerDevice }),
    ...(model !== undefined && { defaultLogicalCoreConfig: model.defaultLogicalCoreConfig }),
  };
}
