import type { DriverGeneration } from './driver-generation.ts';
import type { InstanceSpec } from './instances.ts';
import { COUNTER, DEVICE_MEMORY_CATEGORIES } from './truth.ts';
import type { CoreTruth, DeviceTruth, MemoryTruth } from './truth.ts';
import type { FileContent, TreeFile } from './tree-writer.ts';

/** Status counters, with their datastore ids and the release that brought them (driver source, neuron_sysfs_metrics.c by release). */
const STATUS: readonly (readonly [name: string, counter: number, since: string])[] = [
  ['success', 1, '2.8'],
  ['failure', 16, '2.8'],
  ['timeout', 4, '2.8'],
  ['exec_bad_input', 5, '2.8'],
  ['hw_error', 11, '2.8'],
  ['execute_completed_with_error', 2, '2.8'],
  ['execute_completed_with_num_error', 3, '2.8'],
  ['generic_error', 7, '2.8'],
  ['resource_error', 17, '2.8'],
  ['resource_nc_error', 18, '2.8'],
  ['execute_failed_to_queue', 6, '2.8'],
  ['invalid_error', 19, '2.8'],
  ['unsupported_neff_version', 20, '2.8'],
  ['oob_error', 30, '2.16.7'],
  ['hw_collectives_error', 31, '2.19'],
  ['hw_hbm_ue_error', 32, '2.19'],
  ['hw_nc_ue_error', 33, '2.19'],
  ['hw_dma_abort_error', 34, '2.19'],
  ['execute_sw_nq_overflow', 35, '2.20'],
  ['execute_sw_semaphore_error', 36, '2.21.37'],
  ['execute_sw_event_error', 37, '2.21.37'],
  ['execute_sw_psum_collision', 38, '2.21.37'],
  ['execute_sw_sequencer_fatal', 39, '2.21.37'],
  ['hw_repairable_hbm_ue_error', 40, '2.23.9'],
];

const CATEGORY_SINCE: Readonly<Partial<Record<(typeof DEVICE_MEMORY_CATEGORIES)[number], string>>> = {
  driver_memory: '2.17',
  collectives: '2.17',
  nonshared_scratchpad: '2.17',
  notifications: '2.17',
  uncategorized: '2.17',
  dma_rings: '2.18',
};

export interface SysfsCoreOptions {
  readonly spec: InstanceSpec;
  readonly driver: DriverGeneration;
  readonly device: DeviceTruth;
  readonly core: CoreTruth;
  /** Unit of `nc_time_in_use`. */
  readonly timeUnit: 'us' | 'ps';
}

/** Files of `neuron_core<C>/`, relative to it. */
export function* coreFiles(options: SysfsCoreOptions): Generator<TreeFile> {
  const { spec, driver, core } = options;
  yield { path: 'info/architecture/arch_type', content: () => `${spec.coreArch}\n` };
  for (const [name, counter, since] of STATUS) {
    if (driver.has(since)) yield* counterFiles(`stats/status/${name}`, () => counterOf(options, counter), driver);
  }
  yield* memoryFiles('stats/memory_usage/device_mem', core.memory);
  if (driver.has('2.10')) {
    for (const [i, category] of DEVICE_MEMORY_CATEGORIES.entries()) {
      if (driver.has(CATEGORY_SINCE[category] ?? '2.10')) yield* categoryFiles(`stats/memory_usage/device_mem/${category}`, core.memory, i);
    }
  }
  for (const leaf of ['total', 'present', 'peak']) yield { path: `stats/memory_usage/host_mem/${leaf}`, content: () => 0 };
  yield* otherFiles(options);
}

function* otherFiles(options: SysfsCoreOptions): Generator<TreeFile> {
  const { spec, driver, device, timeUnit } = options;
  const other = (name: string, value: () => FileContent): Iterable<TreeFile> => counterFiles(`stats/other_info/${name}`, value, driver);
  yield* other('model_load_count', () => counterOf(options, COUNTER.modelLoads));
  yield* other('reset_req_count', () => device.resetRequests);
  yield* other('reset_fail_count', () => 0);
  yield* other('inference_count', () => counterOf(options, COUNTER.inferences));
  if (driver.has('2.12.11')) yield* other('flop_count', () => 2n * counterOf(options, COUNTER.macs));
  if (driver.has('2.21.37')) {
    const unit = timeUnit === 'us' ? 1_000_000n : 1n;
    yield* other('nc_time_in_use', () => counterOf(options, COUNTER.timeInUse) / unit);
  }
  if (driver.has('2.23.9') && spec.deviceArch !== 'NDv1')
    yield { path: 'stats/tensor_engine/pe_cntrs', content: () => tensorEngine(options.core) };
}

function counterOf({ driver, core }: SysfsCoreOptions, counter: number): bigint {
  return (driver.countersAreLive ? core.counters : core.releasedCounters)[counter] ?? 0n;
}

/** `present` is what was added last; since 2.30.2 a copy of `total`. */
function* counterFiles(path: string, value: () => FileContent, driver: DriverGeneration): Generator<TreeFile> {
  yield { path: `${path}/total`, content: value, mode: 0o644 };
  yield { path: `${path}/present`, content: driver.countersAreLive ? value : lastChange(value), mode: 0o644 };
}

/** Memory by one category: `total` is what is in use now, `present` the size of the last change. */
export function* categoryFiles(path: string, memory: MemoryTruth, category: number): Generator<TreeFile> {
  const bytes = (): number => memory.bytes[category] ?? 0;
  yield { path: `${path}/total`, content: bytes, mode: 0o644 };
  yield { path: `${path}/present`, content: lastChange(bytes), mode: 0o644 };
  yield { path: `${path}/peak`, content: () => memory.peakBytes[category] ?? 0, mode: 0o644 };
}

/** Memory over all categories. */
export function* memoryFiles(path: string, memory: MemoryTruth): Generator<TreeFile> {
  yield { path: `${path}/total`, content: () => memory.totalBytes, mode: 0o644 };
  yield { path: `${path}/present`, content: lastChange(() => memory.totalBytes), mode: 0o644 };
  yield { path: `${path}/peak`, content: () => memory.peakTotalBytes, mode: 0o644 };
}

function lastChange(value: () => FileContent): () => FileContent {
  let before: FileContent = 0;
  let change: FileContent = 0;
  return () => {
    const now = value();
    if (now === before) return change;
    if (typeof now === 'bigint') change = now - (typeof before === 'bigint' ? before : 0n);
    else if (typeof now === 'number') change = Math.abs(now - (typeof before === 'number' ? before : 0));
    before = now;
    return change;
  };
}

/** Cycle counts of four row groups; invented from busy time, for the agent does not read this file. */
function tensorEngine(core: CoreTruth): string {
  const busy = (core.counters[COUNTER.timeInUse] ?? 0n) / 1_000n;
  const rows = [0, 1, 2, 3].map((row) => `${row},${busy / 2n},${busy / 8n},${busy / 3n}\n`);
  return `xrow_grp,mm_active,wl_active,idle\n${rows.join('')}`;
}
