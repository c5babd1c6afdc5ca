import type { NeuronHardwareInfo } from '../../src/readings.ts';
import { DEVICE_MODELS } from './table.ts';
import type { DeviceModel } from './table.ts';

/** What sysfs says about the devices of a host. All devices of a host are of one kind. */
export interface HardwareFacts {
  /** Devices found. */
  readonly deviceCount: number;
  /** `info/architecture/device_name`. */
  readonly deviceName?: string;
  /** `info/architecture/arch_type` of a device, `NDv3`. */
  readonly deviceArchitecture?: string;
  /** `info/architecture/arch_type` of a core, `NCv3`. */
  readonly coreArchitecture?: string;
  /** `core_count`: physical cores of one device. */
  readonly physicalCores?: number;
  /** Physical cores that form one logical core, where something says so. */
  readonly logicalCoreConfig?: number;
}

/** The kind of device; by its name, or by its two architectures for drivers that do not tell a name. Undefined when unknown. */
export function deviceModel(facts: Omit<HardwareFacts, 'deviceCount'>): DeviceModel | undefined {
  const byName = DEVICE_MODELS.find((model) => model.deviceName === facts.deviceName);
  if (byName !== undefined || facts.deviceName !== undefined) return byName;
  return DEVICE_MODELS.find(
    (model) => model.deviceArchitecture === facts.deviceArchitecture && model.coreArchitecture === facts.coreArchitecture,
  );
}

/**
 * neuron-monitor's `neuron_hardware_info`: cores are logical cores, and the version of a core made of two ends with `d`.
 * A device that the table does not know keeps its counts and has no words. Undefined without devices.
 */
export function neuronHardwareInfo(facts: HardwareFacts): NeuronHardwareInfo | undefined {
  if (facts.deviceCount === 0) return undefined;
  const model = deviceModel(facts);
  const lnc = facts.logicalCoreConfig ?? model?.defaultLogicalCoreConfig;
  const physicalCores = facts.physicalCores ?? model?.physicalCores;
  return {
    ...(model !== undefined && words(model, lnc)),
    neuron_device_count: facts.deviceCount,
    ...(physicalCores !== undefined && { neuroncore_per_device_count: Math.trunc(physicalCores / (lnc ?? 1)) }),
    ...(lnc !== undefined && { logical_neuroncore_config: lnc }),
  };
}

function words(model: DeviceModel, lnc: number | undefined): NeuronHardwareInfo {
  return {
    neuron_device_type: model.monitorType,
    ...(model.monitorDeviceVersion !== undefined && { neuron_device_version: model.monitorDeviceVersion }),
    neuroncore_version: lnc === 2 ? `${model.monitorCoreVersion}d` : model.monitorCoreVersion,
    neuron_device_memory_size: model.memoryBytes,
  };
}
