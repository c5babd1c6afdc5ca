import { logicalCoresPerDevice } from './instances.ts';
import type { VirtualInstanceType } from './instances.ts';
import { createWorkloadModel } from './model.ts';
import { RuntimeEntryRenderer } from './neuron-monitor-runtime.ts';
import { CPU_MODES } from './truth.ts';
import type { DeviceTruth, ProcessTruth, Truth } from './truth.ts';

/** `/proc/stat` spelling → neuron-monitor's; it has no steal. */
const CPU_MODE_NAMES: Readonly<Record<string, string>> = {
  user: 'user',
  nice: 'nice',
  system: 'system',
  idle: 'idle',
  iowait: 'io_wait',
  irq: 'irq',
  softirq: 'soft_irq',
};

export interface NeuronMonitorRenderer {
  /** The host as neuron-monitor's record, for the time since the call before (since model time 0 on the first call). */
  record(): Record<string, unknown>;
}

/** Renders a virtual host as neuron-monitor prints it (members and units of the user guide and of published captures). */
export function createNeuronMonitorRenderer(truth: Truth): NeuronMonitorRenderer {
  const runtimes = new Map<ProcessTruth, RuntimeEntryRenderer>();
  let beforeMs = 0;
  let cpuBefore = cpuSeconds(truth);
  let switchesBefore = truth.host.contextSwitches;

  function runtimeEntries(periodMs: number): Record<string, unknown>[] {
    const alive = new Set(truth.processes);
    for (const process of runtimes.keys()) if (!alive.has(process)) runtimes.delete(process);
    return truth.processes.map((process) => {
      let renderer = runtimes.get(process);
      if (renderer === undefined) {
        renderer = new RuntimeEntryRenderer(process, truth.instance);
        runtimes.set(process, renderer);
      }
      return renderer.render(periodMs);
    });
  }

  return {
    record() {
      // neuron-monitor's own first record covers about a millisecond.
      const periodMs = truth.elapsedMs - beforeMs || 1;
      const cpu = cpuSeconds(truth);
      const contextSwitches = truth.host.contextSwitches - switchesBefore;
      const record = {
        neuron_runtime_data: runtimeEntries(periodMs),
        system_data: {
          memory_info: memoryInfo(truth, periodMs),
          neuron_hw_counters: { period: periodMs / 1000, neuron_devices: truth.devices.map(deviceCounters), error: '' },
          vcpu_usage: vcpuUsage(cpu, cpuBefore, contextSwitches, periodMs),
        },
        instance_info: instanceInfo(truth),
        neuron_hardware_info: hardwareInfo(truth),
      };
      beforeMs = truth.elapsedMs;
      cpuBefore = cpu;
      switchesBefore = truth.host.contextSwitches;
      return record;
    },
  };
}

export interface VirtualNeuronMonitorOptions {
  readonly instanceType: VirtualInstanceType;
  readonly seed: number;
  readonly periodMs: number;
  readonly originMs?: number;
  /** Model time that passed before the first line; 0 shows the models being loaded. */
  readonly warmupMs?: number;
}

/** Lines of a virtual neuron-monitor, without line ends, for ever: each `next()` moves the host on by one period. */
export function* virtualNeuronMonitorLines(options: VirtualNeuronMonitorOptions): Generator<string, never> {
  const model = createWorkloadModel(options);
  const renderer = createNeuronMonitorRenderer(model.truth);
  if (options.warmupMs !== undefined && options.warmupMs > 0) {
    model.step(options.warmupMs);
    renderer.record();
  }
  for (;;) {
    model.step(options.periodMs);
    yield JSON.stringify(renderer.record());
  }
}

function memoryInfo({ host }: Truth, periodMs: number): Record<string, unknown> {
  return {
    period: periodMs / 1000,
    memory_total_bytes: host.memoryTotalBytes,
    memory_used_bytes: host.memoryTotalBytes - host.memoryFreeBytes,
    swap_total_bytes: 0,
    swap_used_bytes: 0,
    error: '',
  };
}

/** While a device is in reset its error registers read as nothing. */
function deviceCounters({ index, ecc, resetting }: DeviceTruth): Record<string, number> {
  return {
    neuron_device_index: index,
    mem_ecc_corrected: resetting ? 0 : ecc.memoryCorrected,
    mem_ecc_uncorrected: resetting ? 0 : ecc.memoryUncorrected + ecc.memoryRepairableUncorrected,
    sram_ecc_uncorrected: resetting ? 0 : ecc.sramUncorrected,
    sram_ecc_corrected: resetting ? 0 : ecc.sramCorrected,
  };
}

function cpuSeconds(truth: Truth): readonly Float64Array[] {
  return truth.host.vcpuSeconds.map((modes) => modes.slice());
}

function vcpuUsage(
  now: readonly Float64Array[],
  before: readonly Float64Array[],
  contextSwitches: number,
  periodMs: number,
): Record<string, unknown> {
  const deltas = now.map((modes, vcpu) => modes.map((seconds, mode) => seconds - (before[vcpu]?.[mode] ?? seconds)));
  const sum = new Float64Array(CPU_MODES.length).map((_, mode) => deltas.reduce((total, modes) => total + (modes[mode] ?? 0), 0));
  return {
    period: periodMs / 1000,
    average_usage: shares(sum),
    usage_data: Object.fromEntries(deltas.map((modes, vcpu) => [vcpu, shares(modes)])),
    context_switch_count: contextSwitches,
    error: '',
  };
}

function shares(seconds: Float64Array): Record<string, number> {
  const whole = seconds.reduce((sum, value) => sum + value, 0);
  const percent: Record<string, number> = {};
  CPU_MODES.forEach((mode, i) => {
    const name = CPU_MODE_NAMES[mode];
    if (name !== undefined) percent[name] = whole > 0 ? Math.round((10_000 * (seconds[i] ?? 0)) / whole) / 100 : 0;
  });
  return percent;
}

function instanceInfo({ identity, instance }: Truth): Record<string, string> {
  return {
    instance_name: identity.name,
    instance_id: identity.instanceId,
    instance_type: instance.instanceType,
    instance_availability_zone: identity.availabilityZone,
    instance_availability_zone_id: identity.availabilityZoneId,
    instance_region: identity.region,
    ami_id: identity.amiId,
    subnet_id: identity.subnetId,
    error: '',
  };
}

function hardwareInfo({ instance }: Truth): Record<string, string | number> {
  return {
    neuron_device_type: instance.monitorDeviceType,
    neuron_device_version: instance.monitorDeviceVersion,
    neuroncore_version: instance.monitorCoreVersion,
    neuron_device_count: instance.deviceCount,
    neuron_device_memory_size: instance.deviceMemoryBytes,
    neuroncore_per_device_count: logicalCoresPerDevice(instance),
    logical_neuroncore_config: instance.logicalCoreSize,
    error: '',
  };
}
