import type { NeuronHardwareInfo } from '../../src/readings.ts';

/** `DeviceModel` is one kind of Neuron device, with its names in the driver and in neuron-monitor. */
export interface DeviceModel {
  /** sysfs `info/architecture/device_name` (drivers since 2.8). */
  readonly deviceName: string;
  /** sysfs `info/architecture/arch_type` of the device. Not unique: `NDv3` is Inferentia2 and Trainium2. */
  readonly deviceArchitecture: string;
  /** sysfs `info/architecture/arch_type` of a core. Together with the device's it is unique. */
  readonly coreArchitecture: string;
  /** Physical cores of one device. */
  readonly physicalCores: number;
  /** Device memory, which sysfs does not show. */
  readonly memoryBytes: number;
  /** Physical cores that form one logical core where nothing else is configured (LNC). */
  readonly defaultLogicalCoreConfig: 1 | 2;
  /** neuron-monitor's `neuron_device_type`. */
  readonly monitorType: string;
  /** neuron-monitor's `neuron_device_version`; absent where no document and no capture shows it. Not sysfs `arch_type`. */
  readonly monitorDeviceVersion?: string;
  /** neuron-monitor's `neuroncore_version` without the `d` of a core made of two. */
  readonly monitorCoreVersion: string;
}

const GIB = 1024 ** 3;

/**
 * Sources: cores and memory, AWS Neuron architecture pages of Inf1, Inf2, Trn1, Trn2, Trn3; names of the driver, driver source 2.24
 * (v2/neuron_dhal_v2.c, v3/neuron_dhal_v3.c) and 2.26 (v4/neuron_dhal_v4.c); neuron-monitor's words, published captures of inf2 and
 * trn1 and the user guide's trn2 example. Inferred: the words of inf1 and trn3.
 */
export const DEVICE_MODELS: readonly DeviceModel[] = [
  {
    deviceName: 'Inferentia',
    deviceArchitecture: 'NDv1',
    coreArchitecture: 'NCv1',
    physicalCores: 4,
    memoryBytes: 8 * GIB,
    defaultLogicalCoreConfig: 1,
    monitorType: 'inferentia',
    monitorDeviceVersion: 'v1',
    monitorCoreVersion: 'v1',
  },
  {
    deviceName: 'Inferentia2',
    deviceArchitecture: 'NDv3',
    coreArchitecture: 'NCv2',
    physicalCores: 2,
    memoryBytes: 32 * GIB,
    defaultLogicalCoreConfig: 1,
    monitorType: 'inferentia2',
    monitorDeviceVersion: 'v3',
    monitorCoreVersion: 'v2',
  },
  {
    deviceName: 'Trainium1',
    deviceArchitecture: 'NDv2',
    coreArchitecture: 'NCv2',
    physicalCores: 2,
    memoryBytes: 32 * GIB,
    defaultLogicalCoreConfig: 1,
    monitorType: 'trainium',
    monitorDeviceVersion: 'v2',
    monitorCoreVersion: 'v2',
  },
  {
    deviceName: 'Trainium2',
    deviceArchitecture: 'NDv3',
    coreArchitecture: 'NCv3',
    physicalCores: 8,
    memoryBytes: 96 * GIB,
    defaultLogicalCoreConfig: 2,
    monitorType: 'trainium2',
    monitorDeviceVersion: 'v4',
    monitorCoreVersion: 'v3',
  },
  {
    deviceName: 'Trainium3',
    deviceArchitecture: 'NDv4',
    coreArchitecture: 'NCv4',
    physicalCores: 8,
    memoryBytes: 144 * GIB,
    defaultLogicalCoreConfig: 2,
    monitorType: 'trainium3',
    monitorCoreVersion: 'v4',
  },
];

/** `HardwareFacts` are the facts of sysfs about the devices of a host. All devices of a host are of one kind. */
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
  /** Physical cores that form one logical core, where that is configured. */
  readonly logicalCoreConfig?: number;
}

/** Finds the kind of device by its name, or by its two architectures where the driver has no name. Undefined when unknown. */
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
