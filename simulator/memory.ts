import type { JobKind } from './instances.ts';
import { DEVICE_MEMORY_CATEGORIES, HOST_MEMORY_CATEGORIES } from './truth.ts';
import type { MemoryTruth } from './truth.ts';

const PAGE_BYTES = 4096;
const MIB = 1024 ** 2;

/** Bytes by category with high-water marks, changed by differences as allocations come and go. */
export class MemoryAccount implements MemoryTruth {
  readonly bytes: Float64Array;
  readonly peakBytes: Float64Array;
  totalBytes = 0;
  peakTotalBytes = 0;

  constructor(categories: number) {
    this.bytes = new Float64Array(categories);
    this.peakBytes = new Float64Array(categories);
  }

  change(category: number, deltaBytes: number): void {
    const bytes = (this.bytes[category] ?? 0) + deltaBytes;
    this.bytes[category] = bytes;
    if (bytes > (this.peakBytes[category] ?? 0)) this.peakBytes[category] = bytes;
    this.totalBytes += deltaBytes;
    if (this.totalBytes > this.peakTotalBytes) this.peakTotalBytes = this.totalBytes;
  }
}

/** Share of a physical core's device memory by category, when a job's models are loaded. */
const DEVICE_SHARES: Readonly<Record<JobKind, Readonly<Record<(typeof DEVICE_MEMORY_CATEGORIES)[number], number>>>> = {
  training: {
    model_code: 0.021,
    tensors: 0.58,
    constants: 0.03,
    model_shared_scratchpad: 0.125,
    runtime_memory: 0.0004,
    driver_memory: 0,
    collectives: 0.026,
    nonshared_scratchpad: 0.008,
    notifications: 0.002,
    dma_rings: 0.013,
    uncategorized: 0.0001,
  },
  inference: {
    model_code: 0.016,
    tensors: 0.41,
    constants: 0.045,
    model_shared_scratchpad: 0.06,
    runtime_memory: 0.0003,
    driver_memory: 0,
    collectives: 0.012,
    nonshared_scratchpad: 0.002,
    notifications: 0.002,
    dma_rings: 0.009,
    uncategorized: 0.0001,
  },
  batch: {
    model_code: 0.011,
    tensors: 0.22,
    constants: 0.11,
    model_shared_scratchpad: 0.03,
    runtime_memory: 0.0003,
    driver_memory: 0,
    collectives: 0,
    nonshared_scratchpad: 0.004,
    notifications: 0.002,
    dma_rings: 0.006,
    uncategorized: 0.0001,
  },
  task: {
    model_code: 0.004,
    tensors: 0.06,
    constants: 0.02,
    model_shared_scratchpad: 0.01,
    runtime_memory: 0.0003,
    driver_memory: 0,
    collectives: 0,
    nonshared_scratchpad: 0.001,
    notifications: 0.002,
    dma_rings: 0.003,
    uncategorized: 0.0001,
  },
};

/** Part of tensor memory that grows and shrinks with load. */
const CACHE_SHARE: Readonly<Record<JobKind, number>> = { training: 0.04, inference: 0.22, batch: 0.06, task: 0.3 };

/** Host memory of one process on one device, MiB. */
const HOST_MIB: Readonly<Record<JobKind, Readonly<Record<(typeof HOST_MEMORY_CATEGORIES)[number], number>>>> = {
  training: {
    dma_buffers: 24,
    tensors: 96,
    constants: 0,
    application_memory: 612,
    driver_memory: 8,
    notifications: 4,
    dma_rings: 64,
    uncategorized: 0.25,
  },
  inference: {
    dma_buffers: 12,
    tensors: 40,
    constants: 2,
    application_memory: 380,
    driver_memory: 8,
    notifications: 4,
    dma_rings: 32,
    uncategorized: 0.25,
  },
  batch: {
    dma_buffers: 6,
    tensors: 18,
    constants: 2,
    application_memory: 210,
    driver_memory: 8,
    notifications: 4,
    dma_rings: 16,
    uncategorized: 0.25,
  },
  task: {
    dma_buffers: 2,
    tensors: 6,
    constants: 1,
    application_memory: 90,
    driver_memory: 8,
    notifications: 4,
    dma_rings: 8,
    uncategorized: 0.25,
  },
};

const TENSORS = DEVICE_MEMORY_CATEGORIES.indexOf('tensors');

/** Bytes one physical core holds for a process: `loaded` 0…1 while the model loads, `cacheFill` 0…1 after. */
export function deviceMemoryTarget(kind: JobKind, coreMemoryBytes: number, loaded: number, cacheFill: number): Float64Array {
  const shares = DEVICE_SHARES[kind];
  const target = new Float64Array(DEVICE_MEMORY_CATEGORIES.length);
  DEVICE_MEMORY_CATEGORIES.forEach((category, i) => {
    target[i] = pages(shares[category] * coreMemoryBytes * loaded);
  });
  target[TENSORS] = (target[TENSORS] ?? 0) + pages(CACHE_SHARE[kind] * coreMemoryBytes * loaded * cacheFill);
  return target;
}

export function hostMemoryTarget(kind: JobKind, loaded: number): Float64Array {
  return Float64Array.from(HOST_MEMORY_CATEGORIES, (category) => pages(HOST_MIB[kind][category] * MIB * loaded));
}

function pages(bytes: number): number {
  return Math.round(bytes / PAGE_BYTES) * PAGE_BYTES;
}
