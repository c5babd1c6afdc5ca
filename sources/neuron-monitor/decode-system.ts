import type { DeviceErrors, MemoryInfo, NeuronHwCounters, VcpuUsage } from '../../src/readings.ts';
import { INDEX_KEY, present } from './fields.ts';
import type { FieldReader } from './fields.ts';

export function decodeMemoryInfo(fields: FieldReader): MemoryInfo {
  return present<MemoryInfo>({
    memory_total_bytes: fields.number('memory_total_bytes'),
    memory_used_bytes: fields.number('memory_used_bytes'),
    swap_total_bytes: fields.number('swap_total_bytes'),
    swap_used_bytes: fields.number('swap_used_bytes'),
  });
}

export function decodeVcpuUsage(fields: FieldReader): VcpuUsage {
  return present<VcpuUsage>({
    average_usage: fields.numbers('average_usage'),
    usage_data: fields.map('usage_data', INDEX_KEY, (cpus, key) => cpus.numbers(key)),
    context_switch_count: fields.number('context_switch_count'),
  });
}

/** The list is null without a driver, and then `error` stays empty. */
export function decodeHwCounters(fields: FieldReader): NeuronHwCounters {
  return present<NeuronHwCounters>({
    neuron_devices: fields.objects('neuron_devices')?.flatMap((device) => decodeDevice(device)),
  });
}

/** `sram_ecc_corrected` came after 2022; the driver knows more kinds than neuron-monitor prints, so kinds are data. */
const ECC_COUNTER = /^(?:mem|sram|hbm)_ecc_[a-z_]+$/;

function decodeDevice(device: FieldReader): readonly DeviceErrors[] {
  const index = device.requiredIndex('neuron_device_index');
  if (index === undefined) return [];
  const ecc: Record<string, number> = {};
  for (const name of device.names(ECC_COUNTER)) {
    const events = device.number(name);
    if (events !== undefined) ecc[name] = events;
  }
  return [{ neuron_device_index: index, ecc }];
}
