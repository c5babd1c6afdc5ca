import type { DriverGeneration } from './driver-generation.ts';
import { connectedDevices } from './instances.ts';
import type { InstanceSpec } from './instances.ts';
import type { FileContent, TreeFile, TreeWriter } from './tree-writer.ts';
import { COUNTER, DEVICE_MEMORY_CATEGORIES, HOST_MEMORY_CATEGORIES } from './truth.ts';
import type { CoreTruth, DeviceTruth, EccTruth, MemoryTruth, Truth } from './truth.ts';

export interface SysfsTreeOptions {
  readonly truth: Truth;
  readonly driver: DriverGeneration;
  readonly timeUnit: 'us' | 'ps';
  /** Only these devices; all when absent. */
  readonly devices?: readonly number[];
}

const DEVICES = 'devices/virtual/neuron_device';
const CLASS = 'class/neuron_device';
const MAJOR = 245;

/** Puts the driver's tree into `writer`, whose root stands for `/sys`. */
export function addSysfs(writer: TreeWriter, { truth, driver, timeUnit, devices }: SysfsTreeOptions): void {
  writer.add({ path: 'module/neuron/version', content: () => `${driver.version}\n` });
  for (const file of classFiles(driver)) writer.add({ ...file, path: `${CLASS}/${file.path}` });
  for (const device of truth.devices) {
    if (devices?.includes(device.index) === false) continue;
    const root = `${DEVICES}/neuron${device.index}`;
    for (const file of deviceFiles(truth.instance, driver, device, timeUnit)) {
      writer.add({ ...file, path: `${root}/${driver.isRearranged ? rearranged(file.path) : file.path}` });
    }
    // As in every device directory of the kernel: a way round in circles.
    writer.addLink(`${root}/subsystem`, '../../../../class/neuron_device');
    writer.addLink(`${CLASS}/neuron${device.index}`, `../../${root}`);
  }
}

function* deviceFiles(spec: InstanceSpec, driver: DriverGeneration, device: DeviceTruth, timeUnit: 'us' | 'ps'): Generator<TreeFile> {
  yield* rootFiles(spec, driver, device);
  yield* infoFiles(spec, driver, device);
  yield* hardwareFiles(spec, driver, device);
  if (driver.has('2.10')) {
    yield* memoryFiles('stats/memory_usage/host_mem', device.hostMemory);
    for (const [i, category] of HOST_MEMORY_CATEGORIES.entries()) {
      const since = i < 4 ? '2.10' : category === 'dma_rings' ? '2.18' : '2.17';
      if (driver.has(since)) yield* categoryFiles(`stats/memory_usage/host_mem/${category}`, device.hostMemory, i);
    }
  }
  if (driver.has('2.21.37')) yield { path: 'stats/power/utilization', content: () => powerText(spec, device) };
  if (driver.has('2.29')) yield { path: 'stats/power/utilization_raw', content: () => '0,unavailable\n1,unavailable\n' };
  for (const [index, core] of device.cores.entries()) {
    for (const file of coreFiles({ spec, driver, device, core, timeUnit })) yield { ...file, path: `neuron_core${index}/${file.path}` };
  }
}

/** The kernel's own files, and the driver's at the top. */
function* rootFiles(spec: InstanceSpec, driver: DriverGeneration, device: DeviceTruth): Generator<TreeFile> {
  const mode = driver.has('2.28') ? 0o444 : 0o400;
  yield { path: 'core_count', content: () => String(spec.physicalCoresPerDevice), mode };
  yield { path: 'reset', content: () => '0\n', mode: 0o600 };
  yield { path: 'dev', content: () => `${MAJOR}:${device.index}\n` };
  yield { path: 'uevent', content: () => `MAJOR=${MAJOR}\nMINOR=${device.index}\nDEVNAME=neuron${device.index}\n`, mode: 0o644 };
  yield { path: 'power/control', content: () => 'auto\n', mode: 0o644 };
  yield { path: 'power/runtime_status', content: () => 'unsupported\n' };
  if (driver.has('2.13.4')) {
    yield { path: 'connected_devices', content: () => `${connectedDevices(spec, device.index).join(', ')}\n`, mode };
  }
  if (!driver.has('2.30')) return;
  yield { path: 'fw_api_version', content: () => (device.resetting ? 'busy\n' : '6\n') };
  yield { path: 'fw_build', content: () => (device.resetting ? 'busy\n' : '1.23.45.0\n') };
}

function* infoFiles(spec: InstanceSpec, driver: DriverGeneration, device: DeviceTruth): Generator<TreeFile> {
  if (driver.has('2.9')) yield { path: 'info/notify_delay', content: () => '-1\n', mode: 0o644 };
  if (driver.has('2.15.9') && spec.deviceArch !== 'NDv1') {
    yield { path: 'info/serial_number', content: () => (device.resetting ? '\n' : `${device.serialNumber}\n`) };
  }
  yield { path: 'info/architecture/arch_type', content: () => `${spec.deviceArch}\n` };
  yield { path: 'info/architecture/instance_type', content: () => `${spec.sysfsInstanceType}\n` };
  yield { path: 'info/architecture/device_name', content: () => `${spec.deviceName}\n` };
}

/** Error counters read as nothing while the device is in reset. */
function* hardwareFiles(spec: InstanceSpec, driver: DriverGeneration, device: DeviceTruth): Generator<TreeFile> {
  if (spec.deviceArch === 'NDv1') return;
  const errors = (name: string, count: (ecc: EccTruth) => number): TreeFile => ({
    path: `stats/hardware/${name}`,
    content: () => (device.resetting ? 0 : count(device.ecc)),
  });
  if (driver.has('2.14.5')) {
    yield errors('sram_ecc_uncorrected', (ecc) => ecc.sramUncorrected);
    yield errors('mem_ecc_uncorrected', (ecc) => ecc.memoryUncorrected);
  }
  if (driver.has('2.23.9')) yield errors('mem_ecc_repairable_uncorrected', (ecc) => ecc.memoryRepairableUncorrected);
  if (driver.has('2.30.2')) {
    yield errors('sram_ecc_corrected', (ecc) => ecc.sramCorrected);
    yield errors('mem_ecc_corrected', (ecc) => ecc.memoryCorrected);
  }
  if (!driver.has('2.28') || !spec.coreArch.startsWith('NCv3')) return;
  yield { path: 'stats/hardware/health_status/hw_error_event', content: () => device.hardwareErrorEvents };
  if (!driver.has('2.30.2')) return;
  yield {
    path: 'stats/hardware/health_status/unhealthy_components',
    content: () => healthText(device, device.unhealthyComponents.join(',')),
  };
  yield { path: 'stats/hardware/health_status/healthcheck_heartbeat', content: () => healthText(device, String(device.heartbeat)) };
}

function healthText(device: DeviceTruth, text: string): string {
  return device.resetting ? 'device_unreachable\n' : `${text}\n`;
}

function powerText(spec: InstanceSpec, device: DeviceTruth): string {
  const { power } = device;
  if (power === undefined || spec.deviceArch === 'NDv1') return 'POWER_STATUS_NO_DATA,0,0.00,0.00,0.00\n';
  const percents = [power.min, power.max, power.average].map((percent) => percent.toFixed(2));
  return `POWER_STATUS_VALID,${power.epochSeconds},${percents.join(',')}\n`;
}

/** Attributes of the class on a host that is not part of an UltraServer. */
function* classFiles(driver: DriverGeneration): Generator<TreeFile> {
  const ids = driver.has('2.30') ? [] : driver.has('2.23') ? ['_2', '_4'] : driver.has('2.22') ? [''] : [];
  for (const suffix of ids) {
    yield { path: `node_id${suffix}`, content: () => '-1\n' };
    yield { path: `server_id${suffix}`, content: () => '0000000000000000\n' };
  }
  if (driver.has('2.23') && !driver.has('2.30')) yield { path: 'ultraserver_mode', content: () => '\n' };
  if (!driver.has('2.30')) return;
  yield { path: 'hbm_7200_capable', content: () => '0\n' };
  yield { path: 'current_perf_profile', content: () => '0\n' };
}

/**
 * Driver 2.31 moved nodes; where to is not public. This is an invention that moves nearly everything, so that nothing can
 * be found by its old path.
 */
function rearranged(path: string): string {
  return path
    .replace(/^stats\/hardware\/health_status\//, 'health/')
    .replace(/^stats\/hardware\//, 'health/ecc/')
    .replace(/^stats\/(memory_usage|power)\//, 'telemetry/$1/')
    .replace(/^info\/architecture\//, 'identity/')
    .replace(/^info\//, 'identity/')
    .replace(/^(neuron_core\d+)\/stats\/(status|other_info)\//, 'cores/$1/counters/')
    .replace(/^(neuron_core\d+)\/stats\/memory_usage\//, 'cores/$1/memory/')
    .replace(/^(neuron_core\d+)\//, 'cores/$1/');
}

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
