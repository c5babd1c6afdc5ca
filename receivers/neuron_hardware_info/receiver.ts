import type { Receiver, ReceiverContext, Recorder } from '../../src/receiver.ts';
import type { GroupReading, HostFacts, NeuronHardwareInfo } from '../../src/readings.ts';
import { isZeroFilled } from '../zero-filled.ts';
import { metrics } from './metrics.ts';

export const receiver: Receiver<'neuron_hardware_info'> = { group: 'neuron_hardware_info', metrics, receive };

/** The largest hosts have 16 devices; a count far beyond that is not believed. */
const MAX_DEVICES = 256;

function receive(reading: GroupReading<'neuron_hardware_info'>, recorder: Recorder, { facts }: ReceiverContext): void {
  const info = plausible(reading.data, recorder);
  const { neuron_device_count: devices, neuroncore_per_device_count: coresPerDevice, neuron_device_memory_size: memoryBytes } = info;
  if (Object.keys(info).length === 0) return;
  if (devices !== undefined && devices > MAX_DEVICES) {
    recorder.fail('source_malformed', 'the number of Neuron devices is not believable');
    return;
  }
  recorder.set(metrics.legacyInfo, 1, {
    'neuron.device.count': devices,
    'neuron.device.core_count': coresPerDevice,
    'neuron.device.memory_size': memoryBytes,
  });
  // The script shows the zeros of a host without a driver as they are.
  if (isZeroFilled(reading, [devices, coresPerDevice, memoryBytes])) return;
  recorder.resource(resourceOf(info));
  if (devices !== undefined) recorder.set(metrics.deviceCount, devices, {});
  if (devices !== undefined && coresPerDevice !== undefined) recorder.set(metrics.coreCount, devices * coresPerDevice, {});
  if (devices !== undefined && memoryBytes !== undefined) {
    for (const device of deviceIndexes(devices, info, facts))
      recorder.set(metrics.deviceMemory, memoryBytes, { 'neuron.device.index': device });
  }
}

/** Returns the indexes of the devices that are there. Without any that match the count they are taken to be the first ones. */
function deviceIndexes(count: number, info: NeuronHardwareInfo, facts: HostFacts): Iterable<number> {
  const named = [info.neuron_device_indexes, facts.deviceIndexes].find((indexes) => indexes?.length === count);
  return named ?? Array.from({ length: count }, (_, index) => index);
}

/** Products of two negative counts would look right, so no negative number goes any further. */
function plausible(info: NeuronHardwareInfo, recorder: Recorder): NeuronHardwareInfo {
  const entries = Object.entries(info);
  const kept = entries.filter(([, value]) => typeof value !== 'number' || value >= 0);
  if (kept.length === entries.length) return info;
  recorder.fail('source_malformed', 'a number of the hardware facts is negative');
  return Object.fromEntries(kept);
}

function resourceOf(info: NeuronHardwareInfo): Readonly<Record<string, string | number | undefined>> {
  return {
    'neuron.device.type': known(info.neuron_device_type),
    'neuron.device.version': known(info.neuron_device_version),
    'neuron.device.core_count': info.neuroncore_per_device_count,
    'neuron.core.version': known(info.neuroncore_version),
    'neuron.core.logical_config': info.logical_neuroncore_config,
  };
}

function known(value: string | undefined): string | undefined {
  return value === '' ? undefined : value;
}
