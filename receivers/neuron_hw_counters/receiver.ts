import type { AttributesOf } from '../../src/metric-table.ts';
import type { Receiver, ReceiverContext, Recorder } from '../../src/receiver.ts';
import type { DeviceErrors, GroupReading, HostFacts } from '../../src/readings.ts';
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
  // Only neuron-monitor leaves it open whether its counts are totals or tallies: the driver's are totals.
  const isTally = context.eccCounts === 'tally' && reading.data.counts === undefined;
  const seen = new Set<number>();
  for (const device of devices) {
    if (seen.has(device.neuron_device_index)) recorder.fail('source_malformed', 'a Neuron device is listed twice');
    else recordErrors(device, isTally, recorder, context);
    seen.add(device.neuron_device_index);
  }
}

function recordErrors(device: DeviceErrors, isTally: boolean, recorder: Recorder, context: ReceiverContext): void {
  // By name, whatever the source's order.
  for (const name of Object.keys(device.ecc).toSorted()) {
    const count = device.ecc[name];
    const [, memory, errorType] = /^(mem|hbm|sram)_ecc_(\w+)$/.exec(name) ?? [];
    if (errorType === undefined || count === undefined) continue;
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

/** Every Neuron device has HBM, except those of Inf1 (Neuron documentation, Inf1 architecture: DDR4). */
function deviceMemoryType(facts: HostFacts): 'HBM' | 'DDR' {
  const isInf1 =
    facts.neuron_hardware_info?.neuron_device_type === 'inferentia' || facts.instance_info?.instance_type?.startsWith('inf1.') === true;
  return isInf1 ? 'DDR' : 'HBM';
}
