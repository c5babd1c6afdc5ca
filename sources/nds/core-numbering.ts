/** What is needed to speak of cores as neuron-monitor does. */
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
