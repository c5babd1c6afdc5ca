import { COUNTER, CPU_MODES, DEVICE_MEMORY_CATEGORIES, HOST_MEMORY_CATEGORIES } from '../../../simulator/truth.ts';
import type { CoreTruth, DeviceTruth, EccTruth, Truth } from '../../../simulator/truth.ts';
import { OUTCOMES, sum, ticks } from './expected-process.ts';
import type { ExpectedPoint } from './expected-process.ts';
import type { MetricName } from './series.ts';

const ECC: readonly (readonly [memory: 'device' | 'SRAM', errorType: string, count: (ecc: EccTruth) => number])[] = [
  ['device', 'corrected', (ecc) => ecc.memoryCorrected],
  ['device', 'uncorrected', (ecc) => ecc.memoryUncorrected],
  ['device', 'repairable_uncorrected', (ecc) => ecc.memoryRepairableUncorrected],
  ['SRAM', 'corrected', (ecc) => ecc.sramCorrected],
  ['SRAM', 'uncorrected', (ecc) => ecc.sramUncorrected],
];

/** Parts of a device that driver 2.30 names. */
const COMPONENTS = [
  'axi_fabric',
  'firmware_service_api',
  'firmware_service_processor',
  'hbm',
  'link_efa',
  'link_host',
  'link_interserver',
  'link_intraserver',
  'link_switch',
  'sram',
];

const SEMCONV_MODES: Readonly<Record<string, string>> = { irq: 'interrupt' };
const SHARE_TOLERANCE = 1e-9;
/** sources/sysfs/README.md, dips: a zero after errors is not believed for this long. */
const DIP_MS = 30_000;

/** What of devices and of the host itself has to be in the outputs, sample by sample; for a driver whose counters are live. */
export class HostLedger {
  readonly #truth: Truth;
  readonly #devices: readonly DeviceLedger[];
  #switchesBefore: number | undefined;
  #switches = 0;

  constructor(truth: Truth) {
    this.#truth = truth;
    this.#devices = truth.devices.map((device) => new DeviceLedger(device, truth));
  }

  get cores(): readonly DeviceCoreLedger[] {
    return this.#devices.flatMap(({ cores }) => cores);
  }

  sample(periodMs: number): readonly ExpectedPoint[] {
    return [...this.#devices.flatMap((device) => device.sample(periodMs)), ...this.#host()];
  }

  #host(): readonly ExpectedPoint[] {
    const { host } = this.#truth;
    const kib = (bytes: number): number => Math.floor(bytes / 1024) * 1024;
    const [total, free] = [kib(host.memoryTotalBytes), kib(host.memoryFreeBytes)];
    const tally = this.#switchesBefore === undefined ? undefined : host.contextSwitches - this.#switchesBefore;
    this.#switches += tally ?? 0;
    this.#switchesBefore = host.contextSwitches;
    const usage = (state: string, value: number): ExpectedPoint => point('system.memory.usage', { 'system.memory.state': state }, value);
    return [
      point('system.memory.limit', {}, total),
      usage('used', total - free),
      usage('free', free),
      point('system.memory.linux.available', {}, kib(host.memoryAvailableBytes)),
      ...(tally === undefined ? [] : [{ ...point('neuron.host.context_switches', {}, this.#switches), tally }]),
      ...CPU_MODES.map((mode, i) => {
        const used = sum(host.vcpuSeconds, (modes) => ticks(modes[i] ?? 0)) / 100;
        return point('system.cpu.time', { 'cpu.mode': SEMCONV_MODES[mode] ?? mode }, used);
      }),
    ];
  }
}

class DeviceLedger {
  readonly cores: readonly DeviceCoreLedger[];
  readonly #device: DeviceTruth;
  readonly #truth: Truth;
  /** Error counter → its highest value, and since when it reads as nothing. */
  readonly #errors = new Map<string, { highest: number; zeroSinceMs: number | undefined }>();

  constructor(device: DeviceTruth, truth: Truth) {
    this.#device = device;
    this.#truth = truth;
    const { physicalCoresPerDevice } = truth.instance;
    this.cores = device.cores.map((core, i) => new DeviceCoreLedger(core, device, device.index * physicalCoresPerDevice + i));
  }

  sample(periodMs: number): readonly ExpectedPoint[] {
    const { index, hostMemory } = this.#device;
    const attributes = { 'neuron.device.index': index };
    return [
      ...this.cores.flatMap((core) => core.sample(periodMs)),
      ...HOST_MEMORY_CATEGORIES.map((category, i) =>
        point('neuron.device.host_memory.usage', { ...attributes, 'neuron.memory.category': category }, hostMemory.bytes[i] ?? 0),
      ),
      point('neuron.device.reset_failures', attributes, 0),
      ...this.#health(attributes),
      ...(this.#truth.instance.deviceArch === 'NDv1' ? [] : this.#ecc(attributes)),
    ];
  }

  #health(attributes: { readonly 'neuron.device.index': number }): readonly ExpectedPoint[] {
    const { index, resetting, unhealthyComponents, hardwareErrorEvents } = this.#device;
    // Only Trainium2 reports its health.
    const isTold = this.#truth.instance.coreArch.startsWith('NCv3');
    const isOk = !resetting && unhealthyComponents.length === 0;
    const state = isTold ? (isOk ? 'ok' : 'failed') : 'unknown';
    const states = ['ok', 'failed', 'unknown'].map((one) =>
      point('hw.status', { 'hw.id': `neuron${index}`, 'hw.state': one }, one === state ? 1 : 0),
    );
    if (!isTold) return states;
    const faults = COMPONENTS.map((component) =>
      point(
        'neuron.device.component.fault',
        { ...attributes, 'neuron.device.component': component },
        unhealthyComponents.includes(component) ? 1 : 0,
      ),
    );
    return [...states, point('neuron.device.error_events', attributes, hardwareErrorEvents), ...(resetting ? [] : faults)];
  }

  #ecc(attributes: { readonly 'neuron.device.index': number }): readonly ExpectedPoint[] {
    return ECC.flatMap(([memory, errorType, count]) => {
      const value = this.#device.resetting ? 0 : count(this.#device.ecc);
      if (!this.#isBelieved(`${memory} ${errorType}`, value)) return [];
      return [point('hw.errors', { 'hw.memory.type': memory === 'SRAM' ? 'SRAM' : 'HBM', 'error.type': errorType, ...attributes }, value)];
    });
  }

  #isBelieved(name: string, value: number): boolean {
    const nowMs = this.#truth.elapsedMs;
    const counter = this.#errors.get(name) ?? { highest: 0, zeroSinceMs: undefined };
    this.#errors.set(name, counter);
    if (value === 0 && counter.highest > 0) {
      counter.zeroSinceMs ??= nowMs;
      if (nowMs - counter.zeroSinceMs < DIP_MS) return false;
    }
    counter.zeroSinceMs = undefined;
    counter.highest = value;
    return true;
  }
}

/** One physical core, all processes together. */
export class DeviceCoreLedger {
  /** Busy and shown time since the first sample or the last reset, milliseconds. */
  busyMs = 0;
  shownMs = 0;
  /** Share of the last period. */
  utilization = 0;
  readonly #core: CoreTruth;
  readonly #device: DeviceTruth;
  readonly #index: number;
  #before: BigUint64Array | undefined;

  constructor(core: CoreTruth, device: DeviceTruth, index: number) {
    this.#core = core;
    this.#device = device;
    this.#index = index;
  }

  sample(periodMs: number): readonly ExpectedPoint[] {
    const { counters, memory } = this.#core;
    const attributes = { 'neuron.device.index': this.#device.index, 'neuron.physical_core.index': this.#index };
    const counter = (id: number): number => Number(counters[id] ?? 0n);
    return [
      ...DEVICE_MEMORY_CATEGORIES.map((category, i) =>
        point('neuron.device.memory.usage', { ...attributes, 'neuron.memory.category': category }, memory.bytes[i] ?? 0),
      ),
      ...Object.entries(OUTCOMES).map(([outcome, id]) =>
        point('neuron.device.core.executions', { ...attributes, 'neuron.execution.outcome': outcome }, counter(id)),
      ),
      point('neuron.device.core.model_loads', attributes, counter(COUNTER.modelLoads)),
      point('neuron.device.core.reset_requests', attributes, this.#device.resetRequests),
      ...this.#rates(attributes, periodMs),
    ];
  }

  /** A total that fell has no rate: the device was reset. */
  #rates(attributes: ExpectedPoint['attributes'], periodMs: number): readonly ExpectedPoint[] {
    const { counters } = this.#core;
    const before = this.#before;
    this.#before = counters.slice();
    if (before === undefined) return [];
    const change = (id: number): number => Number((counters[id] ?? 0n) - (before[id] ?? 0n));
    const [busyMs, macs] = [change(COUNTER.timeInUse) / 1e9, change(COUNTER.macs)];
    const flops = macs < 0 ? [] : [point('neuron.device.core.flops', attributes, (2 * macs * 1000) / periodMs)];
    if (busyMs < 0) {
      [this.busyMs, this.shownMs] = [0, 0];
      return flops;
    }
    this.busyMs += busyMs;
    const dueMs = Math.min(periodMs, this.busyMs - this.shownMs);
    this.shownMs += dueMs;
    this.utilization = dueMs / periodMs;
    return [...flops, { ...point('neuron.device.core.utilization', attributes, this.utilization), tolerance: SHARE_TOLERANCE }];
  }
}

function point(metric: MetricName, attributes: ExpectedPoint['attributes'], value: number): ExpectedPoint {
  return { metric, attributes, value };
}
