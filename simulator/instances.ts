/** What one virtual process does all day. */
export type JobKind = 'training' | 'inference' | 'batch' | 'task';

/** One job of the virtual host: its processes each own some logical cores. */
export interface JobSpec {
  readonly kind: JobKind;
  readonly name: string;
  /** `NEURON_PROCESS_TAG`; absent when the job sets none, then the tag is the pid. */
  readonly tag?: string;
  /** Cores of each process: devices, and which of their logical cores (all when absent). */
  readonly processes: readonly { readonly devices: readonly number[]; readonly logicalCores?: readonly number[] }[];
  readonly containerized: boolean;
  /** How long a process lives before the next one follows it; absent for processes that stay. */
  readonly lifetimeMs?: { readonly shortest: number; readonly longest: number };
}

/** Hardware of one EC2 instance type, as the AWS Neuron architecture pages and the driver's tables state it. */
export interface InstanceSpec {
  readonly instanceType: string;
  readonly deviceCount: number;
  readonly physicalCoresPerDevice: number;
  /** Physical cores that form one logical core (LNC). */
  readonly logicalCoreSize: number;
  readonly deviceMemoryBytes: number;
  readonly vcpuCount: number;
  readonly hostMemoryBytes: number;
  /** sysfs `info/architecture/*`. */
  readonly deviceName: string;
  readonly sysfsInstanceType: string;
  readonly deviceArch: string;
  readonly coreArch: string;
  /** neuron-monitor's `neuron_hardware_info`. */
  readonly monitorDeviceType: string;
  readonly monitorDeviceVersion: string;
  readonly monitorCoreVersion: string;
  /** Dense BF16 (inf1: FP16) multiply-accumulates per second of one physical core. */
  readonly peakMacsPerSecond: number;
  readonly links: 'ring' | 'torus4x4' | 'none';
  readonly jobs: readonly JobSpec[];
}

export const VIRTUAL_INSTANCE_TYPES = ['trn2.48xlarge', 'trn2.3xlarge', 'trn1.32xlarge', 'inf2.48xlarge', 'inf1.6xlarge'] as const;

export type VirtualInstanceType = (typeof VIRTUAL_INSTANCE_TYPES)[number];

export function isVirtualInstanceType(text: string): text is VirtualInstanceType {
  return (VIRTUAL_INSTANCE_TYPES as readonly string[]).includes(text);
}

const GIB = 1024 ** 3;

const TRAINIUM2 = {
  physicalCoresPerDevice: 8,
  logicalCoreSize: 2,
  deviceMemoryBytes: 96 * GIB,
  deviceName: 'Trainium2',
  sysfsInstanceType: 'Trn2',
  deviceArch: 'NDv3',
  coreArch: 'NCv3',
  monitorDeviceType: 'trainium2',
  monitorDeviceVersion: 'v4',
  monitorCoreVersion: 'v3d',
  peakMacsPerSecond: 41.7e12,
} as const;

export const INSTANCE_SPECS: Readonly<Record<VirtualInstanceType, InstanceSpec>> = {
  'trn2.48xlarge': {
    ...TRAINIUM2,
    instanceType: 'trn2.48xlarge',
    deviceCount: 16,
    vcpuCount: 192,
    hostMemoryBytes: 2048 * GIB,
    links: 'torus4x4',
    jobs: [
      training('llama-70b-pretrain', [range(0, 4), range(4, 8), range(8, 12)]),
      inference('chat-server', 'chat', [[12], [13]]),
      batch('embed-corpus', [[14]]),
    ],
  },
  'trn2.3xlarge': {
    ...TRAINIUM2,
    instanceType: 'trn2.3xlarge',
    deviceCount: 1,
    vcpuCount: 12,
    hostMemoryBytes: 128 * GIB,
    links: 'none',
    jobs: [
      { ...training('lora-finetune', []), processes: [{ devices: [0], logicalCores: [0, 1] }] },
      { ...inference('chat-server', 'chat', []), processes: [{ devices: [0], logicalCores: [2] }] },
    ],
  },
  'trn1.32xlarge': {
    instanceType: 'trn1.32xlarge',
    deviceCount: 16,
    physicalCoresPerDevice: 2,
    logicalCoreSize: 1,
    deviceMemoryBytes: 32 * GIB,
    vcpuCount: 128,
    hostMemoryBytes: 512 * GIB,
    deviceName: 'Trainium1',
    sysfsInstanceType: 'Trn1',
    deviceArch: 'NDv2',
    coreArch: 'NCv2',
    monitorDeviceType: 'trainium',
    monitorDeviceVersion: 'v2',
    monitorCoreVersion: 'v2',
    peakMacsPerSecond: 47.5e12,
    links: 'torus4x4',
    jobs: [
      training('bert-pretrain', [range(0, 6), range(6, 12)]),
      inference('translate-server', 'translate', [[12, 13]]),
      batch('embed-corpus', [[14]]),
    ],
  },
  'inf2.48xlarge': {
    instanceType: 'inf2.48xlarge',
    deviceCount: 12,
    physicalCoresPerDevice: 2,
    logicalCoreSize: 1,
    deviceMemoryBytes: 32 * GIB,
    vcpuCount: 192,
    hostMemoryBytes: 768 * GIB,
    deviceName: 'Inferentia2',
    sysfsInstanceType: 'Inf2',
    deviceArch: 'NDv3',
    coreArch: 'NCv2',
    monitorDeviceType: 'inferentia2',
    monitorDeviceVersion: 'v3',
    monitorCoreVersion: 'v2',
    peakMacsPerSecond: 47.5e12,
    links: 'ring',
    jobs: [
      inference('llama-70b-server', 'llama-70b', [range(0, 8)]),
      inference('diffusion-server', 'diffusion', [[8], [9]]),
      batch('transcribe', [[10]]),
    ],
  },
  'inf1.6xlarge': {
    instanceType: 'inf1.6xlarge',
    deviceCount: 4,
    physicalCoresPerDevice: 4,
    logicalCoreSize: 1,
    deviceMemoryBytes: 8 * GIB,
    vcpuCount: 24,
    hostMemoryBytes: 48 * GIB,
    deviceName: 'Inferentia',
    sysfsInstanceType: 'Inf1',
    deviceArch: 'NDv1',
    coreArch: 'NCv1',
    monitorDeviceType: 'inferentia',
    monitorDeviceVersion: 'v1',
    monitorCoreVersion: 'v1',
    peakMacsPerSecond: 8e12,
    links: 'ring',
    jobs: [inference('resnet-server', 'resnet', [[0], [1]]), batch('ocr-batch', [[2]])],
  },
};

/** NeuronLink neighbours of a device, in the order the driver lists them. */
export function connectedDevices(spec: InstanceSpec, device: number): readonly number[] {
  const count = spec.deviceCount;
  if (spec.links === 'none' || count < 2) return [];
  if (spec.links === 'ring') return [(device + count - 1) % count, (device + 1) % count];
  const row = Math.floor(device / 4) * 4;
  return [row + ((device + 1) % 4), (device + 4) % 16, (device + 12) % 16, row + ((device + 3) % 4)];
}

export function logicalCoresPerDevice(spec: InstanceSpec): number {
  return spec.physicalCoresPerDevice / spec.logicalCoreSize;
}

function training(name: string, deviceGroups: readonly (readonly number[])[]): JobSpec {
  return { kind: 'training', name, processes: deviceGroups.map((devices) => ({ devices })), containerized: false };
}

function inference(name: string, tag: string, deviceGroups: readonly (readonly number[])[]): JobSpec {
  return { kind: 'inference', name, tag, processes: deviceGroups.map((devices) => ({ devices })), containerized: true };
}

function batch(name: string, deviceGroups: readonly (readonly number[])[]): JobSpec {
  return { kind: 'batch', name, processes: deviceGroups.map((devices) => ({ devices })), containerized: true };
}

function range(from: number, to: number): number[] {
  return Array.from({ length: to - from }, (_, i) => from + i);
}
