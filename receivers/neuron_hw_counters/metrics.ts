import { defineMetrics } from '../../src/metric-table.ts';
import type { LegacyMapping } from '../../src/metric-table.ts';

export const metrics = defineMetrics('neuron_hw_counters', {
  errors: {
    name: 'hw.errors',
    unit: '{error}',
    instrument: 'counter',
    valueType: 'int',
    attributes: {
      'hw.id': 'string',
      'hw.type': ['memory'],
      'hw.parent': 'string',
      'hw.memory.type': ['HBM', 'DDR', 'SRAM'],
      'error.type': 'string',
      'neuron.device.index': 'int',
    },
    description: 'ECC events of the memories of a Neuron device: device memory (HBM, DDR on Inf1) and on-chip memory (SRAM).',
    enabled: true,
    source: { path: 'neuron_hw_counters.neuron_devices[].{mem,sram}_ecc_*' },
    note: 'error.type is corrected or uncorrected; drivers that can repair rows add repairable_uncorrected, counted apart.',
    legacy: [
      eccFamily('mem_ecc_corrected', ['HBM', 'DDR'], 'corrected'),
      eccFamily('mem_ecc_uncorrected', ['HBM', 'DDR'], 'uncorrected'),
      eccFamily('sram_ecc_corrected', ['SRAM'], 'corrected'),
      eccFamily('sram_ecc_uncorrected', ['SRAM'], 'uncorrected'),
    ],
  },
});

function eccFamily(eventType: string, memoryTypes: readonly string[], errorType: string): LegacyMapping {
  return {
    name: 'hardware_ecc_events_total',
    help: 'Hardware ecc events total',
    where: { 'hw.memory.type': memoryTypes, 'error.type': [errorType] },
    labels: { 'neuron.device.index': { label: 'neuron_device_index' } },
    constantLabels: { event_type: eventType },
  };
}
