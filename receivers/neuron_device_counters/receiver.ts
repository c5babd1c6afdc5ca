import type { Receiver, ReceiverContext, Recorder } from '../../src/receiver.ts';
import type { DeviceCore, DeviceCounters, DeviceHealth, GroupReading, NeuronDeviceCounters, NumberMap } from '../../src/readings.ts';
import { indexOf } from '../core-index.ts';
import { metrics } from './metrics.ts';

export const receiver: Receiver<'neuron_device_counters'> = { group: 'neuron_device_counters', metrics, receive };

function receive({ data }: GroupReading<'neuron_device_counters'>, recorder: Recorder, context: ReceiverContext): void {
  for (const device of data.neuron_devices ?? []) {
    recordDevice(device, data.driver_version, recorder, context);
    for (const [index, core] of Object.entries(device.device_cores ?? {})) recordCore(device, index, core, recorder, context);
  }
  recorder.resource(resourceOf(data));
}

function resourceOf({ driver_version, ultraserver }: NeuronDeviceCounters): Readonly<Record<string, string | undefined>> {
  const attributes: Record<string, string | undefined> = { 'neuron.driver.version': driver_version };
  for (const [name, value] of Object.entries(ultraserver ?? {}))
    attributes[`neuron.ultraserver.${name.replace('ultraserver_', '')}`] = value;
  return attributes;
}

/** Totals of the driver count since it was loaded, which is after the boot. */
function recordDevice(
  device: DeviceCounters,
  driverVersion: string | undefined,
  recorder: Recorder,
  { bootTimeMs }: ReceiverContext,
): void {
  const attributes = { 'neuron.device.index': device.neuron_device_index };
  const { device_health: health, device_power: power } = device;
  if (health !== undefined) recordHealth(device, health, driverVersion, recorder);
  if (health?.hw_error_events !== undefined) recorder.total(metrics.errorEvents, health.hw_error_events, attributes, bootTimeMs);
  for (const peer of new Set(device.device_facts?.connected_devices))
    recorder.set(metrics.links, 1, { ...attributes, 'neuron.device.peer.index': peer });
  for (const statistic of POWER_STATISTICS) {
    if (power !== undefined) recorder.set(metrics.power, power[statistic], { ...attributes, 'neuron.power.statistic': statistic });
  }
  eachOf(device.device_host_memory, (category, bytes) =>
    recorder.set(metrics.hostMemory, bytes, { ...attributes, 'neuron.memory.category': category }),
  );
  eachOf(device.device_host_memory_peak, (category, bytes) =>
    recorder.set(metrics.hostMemoryPeak, bytes, { ...attributes, 'neuron.memory.category': category }),
  );
  if (device.device_reset_failures !== undefined)
    recorder.total(metrics.resetFailures, device.device_reset_failures, attributes, bootTimeMs);
}

const POWER_STATISTICS = ['min', 'max', 'avg'] as const;
const HEALTH_REASONS = ['components', 'device_unreachable', 'heartbeat_stalled', 'unreadable', 'not_reported'] as const;
const STATES = [
  ['healthy', 'ok'],
  ['unhealthy', 'failed'],
  ['unknown', 'unknown'],
] as const;

/** Components that firmware of 2026 reports (driver source, 2.30); later firmware may report more. */
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
] as const;

function recordHealth(device: DeviceCounters, health: DeviceHealth, driverVersion: string | undefined, recorder: Recorder): void {
  const index = device.neuron_device_index;
  const inState = {
    'hw.id': `neuron${index}`,
    'hw.type': 'npu' as const,
    'hw.state': 'unknown' as (typeof STATES)[number][1],
    'hw.model': device.device_facts?.name,
    'hw.serial_number': device.device_facts?.serial_number,
    'hw.firmware_version': device.device_facts?.firmware_build,
    'hw.driver_version': driverVersion,
    'neuron.device.index': index,
  };
  for (const [state, hwState] of STATES) {
    inState['hw.state'] = hwState;
    recorder.set(metrics.status, state === health.state ? 1 : 0, inState);
  }
  for (const reason of HEALTH_REASONS)
    recorder.set(metrics.healthReasons, reason === health.reason ? 1 : 0, {
      'neuron.device.index': index,
      'neuron.device.health.reason': reason,
    });
  if (health.state !== 'healthy' && health.reason !== 'components') return;
  const components = health.unhealthy_components.length === 0 ? COMPONENTS : new Set([...COMPONENTS, ...health.unhealthy_components]);
  for (const component of components) {
    const isUnhealthy = health.unhealthy_components.includes(component) ? 1 : 0;
    recorder.set(metrics.componentFaults, isUnhealthy, { 'neuron.device.index': index, 'neuron.device.component': component });
  }
}

function recordCore(device: DeviceCounters, index: string, core: DeviceCore, recorder: Recorder, context: ReceiverContext): void {
  const inDevice = indexOf(index, recorder);
  if (inDevice === undefined) return;
  const coresPerDevice = device.device_facts?.core_count ?? Object.keys(device.device_cores ?? {}).length;
  const deviceIndex = device.neuron_device_index;
  const coreIndex = deviceIndex * coresPerDevice + inDevice;
  const attributes = { 'neuron.device.index': deviceIndex, 'neuron.physical_core.index': coreIndex };
  const since = context.bootTimeMs;
  // A cycle has thousands of these points: one object serves them all.
  const ofKind = { ...attributes, 'neuron.memory.category': '' };
  eachOf(core.memory, (kind, bytes) => {
    ofKind['neuron.memory.category'] = kind;
    recorder.set(metrics.memory, bytes, ofKind);
  });
  eachOf(core.memory_peak, (kind, bytes) => {
    ofKind['neuron.memory.category'] = kind;
    recorder.set(metrics.memoryPeak, bytes, ofKind);
  });
  if (context.ratesAreMeaningful && core.utilization !== undefined) recorder.set(metrics.utilization, core.utilization, attributes);
  if (context.ratesAreMeaningful && core.flops !== undefined) recorder.set(metrics.flops, core.flops, attributes);
  const ofOutcome = { ...attributes, 'neuron.execution.outcome': '' };
  eachOf(core.executions, (outcome, total) => {
    ofOutcome['neuron.execution.outcome'] = outcome;
    recorder.total(metrics.executions, total, ofOutcome, since);
  });
  eachOf(core.events, (type, total) => recorder.total(metrics.events, total, { ...attributes, 'neuron.core.event.type': type }, since));
  if (core.model_loads !== undefined) recorder.total(metrics.modelLoads, core.model_loads, attributes, since);
  if (core.reset_requests !== undefined) recorder.total(metrics.resetRequests, core.reset_requests, attributes, since);
}

function eachOf(map: NumberMap | undefined, record: (name: string, value: number) => void): void {
  if (map === undefined) return;
  for (const name in map) {
    const value = map[name];
    if (value !== undefined) record(name, value);
  }
}
