import type { AttributesOf } from '../../src/metric-table.ts';
import type { Receiver, ReceiverContext, Recorder } from '../../src/receiver.ts';
import type { DeviceCore, DeviceCounters, DeviceHealth, GroupReading, HostFacts, NeuronHwCounters, NumberMap } from '../../src/report.ts';
import { indexOf } from '../core-index.ts';
import { isZeroFilled } from '../zero-filled.ts';
import { metrics } from './metrics.ts';

export const receiver: Receiver<'neuron_hw_counters'> = { group: 'neuron_hw_counters', metrics, receive };

function receive(reading: GroupReading<'neuron_hw_counters'>, recorder: Recorder, context: ReceiverContext): void {
  const devices = reading.data.neuron_devices ?? [];
  // With an error, zeros would look like counters that were reset.
  if (
    isZeroFilled(
      reading,
      devices.flatMap(({ ecc }) => Object.values(ecc)),
    )
  )
    return;
  const seen = new Set<number>();
  for (const device of devices) {
    if (seen.has(device.neuron_device_index)) recorder.fail('source_malformed', 'a Neuron device is listed twice');
    else recordAll(device, reading.data, recorder, context);
    seen.add(device.neuron_device_index);
  }
  recorder.resource(resourceOf(reading.data));
}

function recordAll(device: DeviceCounters, { driver_version }: NeuronHwCounters, recorder: Recorder, context: ReceiverContext): void {
  recordErrors(device, recorder, context);
  recordDevice(device, driver_version, recorder, context);
  for (const [index, core] of Object.entries(device.device_cores ?? {})) recordCore(device, index, core, recorder, context);
}

function resourceOf({ driver_version, ultraserver }: NeuronHwCounters): Readonly<Record<string, string | undefined>> {
  const attributes: Record<string, string | undefined> = { 'neuron.driver.version': driver_version };
  for (const [name, value] of Object.entries(ultraserver ?? {}))
    attributes[`neuron.ultraserver.${name.replace('ultraserver_', '')}`] = value;
  return attributes;
}

/** Only neuron-monitor leaves it open whether its counts are totals or tallies: the driver's are totals. By name, whatever the source's order. */
function recordErrors(device: DeviceCounters, recorder: Recorder, context: ReceiverContext): void {
  const isTally = context.eccCounts === 'tally' && device.device_health === undefined;
  for (const [name, count] of Object.entries(device.ecc).toSorted(([a], [b]) => (a < b ? -1 : 1))) {
    const [, memory, errorType] = /^(mem|hbm|sram)_ecc_(\w+)$/.exec(name) ?? [];
    if (errorType === undefined) continue;
    const attributes = attributesOf(device.neuron_device_index, memory === 'sram' ? 'SRAM' : deviceMemoryType(context.facts), errorType);
    if (isTally) recorder.add(metrics.errors, count, attributes);
    else recorder.total(metrics.errors, count, attributes, context.bootTimeMs);
  }
}

function attributesOf(
  device: number,
  memoryType: 'HBM' | 'DDR' | 'SRAM',
  errorType: string,
): AttributesOf<(typeof metrics.errors)['attributes']> {
  return {
    'hw.id': `neuron${device}:${memoryType.toLowerCase()}`,
    'hw.type': 'memory',
    'hw.parent': `neuron${device}`,
    'hw.memory.type': memoryType,
    'error.type': errorType,
    'neuron.device.index': device,
  };
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
  for (const statistic of POWER_STATISTICS) {
    if (power !== undefined) recorder.set(metrics.power, power[statistic], { ...attributes, 'neuron.power.statistic': statistic });
  }
  for (const [category, bytes] of entriesOf(device.device_host_memory))
    recorder.set(metrics.hostMemory, bytes, { ...attributes, 'neuron.memory.category': category });
  for (const [category, bytes] of entriesOf(device.device_host_memory_peak))
    recorder.set(metrics.hostMemoryPeak, bytes, { ...attributes, 'neuron.memory.category': category });
  if (device.device_reset_failures !== undefined)
    recorder.total(metrics.resetFailures, device.device_reset_failures, attributes, bootTimeMs);
}

const POWER_STATISTICS = ['min', 'max', 'avg'] as const;
const HW_STATES = { healthy: 'ok', unhealthy: 'failed', unknown: 'unknown' } as const;

/** The parts that firmware of 2026 knows (driver source, 2.30); it may come to know more. */
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
  for (const [state, hwState] of Object.entries(HW_STATES)) {
    recorder.set(metrics.status, state === health.state ? 1 : 0, {
      'hw.id': `neuron${index}`,
      'hw.type': 'npu',
      'hw.state': hwState,
      'hw.model': device.device_facts?.name,
      'hw.serial_number': device.device_facts?.serial_number,
      'hw.firmware_version': device.device_facts?.firmware_build,
      'hw.driver_version': driverVersion,
      'neuron.device.index': index,
    });
  }
  if (health.state !== 'healthy' && health.reason !== 'components') return;
  for (const component of new Set([...COMPONENTS, ...health.unhealthy_components])) {
    const isUnhealthy = health.unhealthy_components.includes(component) ? 1 : 0;
    recorder.set(metrics.componentFaults, isUnhealthy, { 'neuron.device.index': index, 'neuron.device.component': component });
  }
}

function recordCore(device: DeviceCounters, index: string, core: DeviceCore, recorder: Recorder, context: ReceiverContext): void {
  const inDevice = indexOf(index, recorder);
  if (inDevice === undefined) return;
  const coresPerDevice = device.device_facts?.core_count ?? Object.keys(device.device_cores ?? {}).length;
  const attributes = {
    'neuron.device.index': device.neuron_device_index,
    'neuron.physical_core.index': device.neuron_device_index * coresPerDevice + inDevice,
  };
  const since = context.bootTimeMs;
  for (const [category, bytes] of entriesOf(core.memory))
    recorder.set(metrics.memory, bytes, { ...attributes, 'neuron.memory.category': category });
  for (const [category, bytes] of entriesOf(core.memory_peak))
    recorder.set(metrics.memoryPeak, bytes, { ...attributes, 'neuron.memory.category': category });
  if (context.ratesAreMeaningful && core.utilization !== undefined) recorder.set(metrics.utilization, core.utilization, attributes);
  if (context.ratesAreMeaningful && core.flops !== undefined) recorder.set(metrics.flops, core.flops, attributes);
  for (const [outcome, total] of entriesOf(core.executions))
    recorder.total(metrics.executions, total, { ...attributes, 'neuron.execution.outcome': outcome }, since);
  for (const [type, total] of entriesOf(core.events))
    recorder.total(metrics.events, total, { ...attributes, 'neuron.core.event.type': type }, since);
  if (core.model_loads !== undefined) recorder.total(metrics.modelLoads, core.model_loads, attributes, since);
  if (core.reset_requests !== undefined) recorder.total(metrics.resetRequests, core.reset_requests, attributes, since);
}

function entriesOf(map: NumberMap | undefined): readonly (readonly [string, number])[] {
  return map === undefined ? [] : Object.entries(map);
}

/** Every Neuron device has HBM, except those of Inf1 (Neuron documentation, Inf1 architecture: DDR4). */
function deviceMemoryType(facts: HostFacts): 'HBM' | 'DDR' {
  const isInf1 =
    facts.neuron_hardware_info?.neuron_device_type === 'inferentia' || facts.instance_info?.instance_type?.startsWith('inf1.') === true;
  return isInf1 ? 'DDR' : 'HBM';
}
