/** One kind of Neuron device: what the driver calls it, and what neuron-monitor calls it. */
export interface DeviceModel {
  /** sysfs `info/architecture/device_name` (drivers since 2.8). */
  readonly deviceName: string;
  /** sysfs `info/architecture/arch_type` of the device. Not unique: `NDv3` is Inferentia2 and Trainium2. */
  readonly deviceArchitecture: string;
  /** sysfs `info/architecture/arch_type` of a core. Together with the device's it is unique. */
  readonly coreArchitecture: string;
  /** Physical cores of one device. */
  readonly physicalCores: number;
  /** Device memory: sysfs does not tell. */
  readonly memoryBytes: number;
  /** Physical cores that form one logical core unless something says otherwise (LNC). */
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
