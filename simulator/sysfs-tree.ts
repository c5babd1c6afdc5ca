import { connectedDevices } from './instances.ts';
import type { InstanceSpec } from './instances.ts';
import type { DriverGeneration } from './driver-generation.ts';
import { categoryFiles, coreFiles, memoryFiles } from './sysfs-core.ts';
import { HOST_MEMORY_CATEGORIES } from './truth.ts';
import type { DeviceTruth, EccTruth, Truth } from './truth.ts';
import type { TreeFile, TreeWriter } from './tree-writer.ts';

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
