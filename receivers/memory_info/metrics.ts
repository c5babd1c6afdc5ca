import { defineMetrics } from '../../src/metric-table.ts';

export const metrics = defineMetrics('memory_info', {
  limit: {
    name: 'system.memory.limit',
    unit: 'By',
    instrument: 'up_down_counter',
    valueType: 'int',
    attributes: {},
    description: 'Memory of the host.',
    enabled: true,
    source: { path: 'memory_info.memory_total_bytes' },
    legacy: [{ name: 'system_memory_total_bytes', help: 'System memory total_bytes bytes' }],
  },
  usage: {
    name: 'system.memory.usage',
    unit: 'By',
    instrument: 'up_down_counter',
    valueType: 'int',
    attributes: { 'system.memory.state': ['used', 'free'] },
    description: 'Memory of the host by state; used and free add up to system.memory.limit.',
    enabled: true,
    source: { path: 'memory_info.memory_used_bytes; free is memory_total_bytes less that' },
    note: "Used is neuron-monitor's own number and holds the page cache; the semantic conventions would count that as available.",
    legacy: [{ name: 'system_memory_used_bytes', help: 'System memory used_bytes bytes', where: { 'system.memory.state': ['used'] } }],
  },
  paging: {
    name: 'system.paging.usage',
    unit: 'By',
    instrument: 'up_down_counter',
    valueType: 'int',
    attributes: { 'system.paging.state': ['used', 'free'] },
    description: 'Swap space of the host by state; used and free add up to all swap space.',
    enabled: true,
    source: { path: 'memory_info.swap_used_bytes; free is swap_total_bytes less that' },
    legacy: [
      { name: 'system_swap_total_bytes', help: 'System swap total_bytes bytes' },
      { name: 'system_swap_used_bytes', help: 'System swap used_bytes bytes', where: { 'system.paging.state': ['used'] } },
    ],
  },
});
