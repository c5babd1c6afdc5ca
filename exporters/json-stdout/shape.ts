/**
 * Member order of neuron-monitor's document: Go prints structs in the order of their declaration and maps sorted as strings.
 * Source: published captures of tools 2.x; the user guide prints another order than the tool.
 */
export type Shape =
  | { readonly kind: 'value' }
  | { readonly kind: 'list'; readonly of: Shape }
  | { readonly kind: 'map'; readonly of: Shape }
  | { readonly kind: 'struct'; readonly members: ReadonlyMap<string, Shape>; readonly rank: ReadonlyMap<string, number> };

/** Whatever stands where no document tells what to expect. */
export const ANY: Shape = { kind: 'value' };

function list(of: Shape): Shape {
  return { kind: 'list', of };
}

function map(of: Shape = ANY): Shape {
  return { kind: 'map', of };
}

/** Members as names of plain values, or as pairs of a name and a shape, in order. */
function struct(...members: readonly (string | readonly [string, Shape])[]): Extract<Shape, { readonly kind: 'struct' }> {
  const pairs = members.map((member) => (typeof member === 'string' ? ([member, ANY] as const) : member));
  return { kind: 'struct', members: new Map(pairs), rank: new Map(pairs.map(([name], index) => [name, index])) };
}

/** A member whose place among the others no document or capture shows: it stays where it is. */
function withLoose(shape: ReturnType<typeof struct>, name: string, member: Shape): Shape {
  return { ...shape, members: new Map([...shape.members, [name, member]]) };
}

const errorSummary = struct('generic', 'numerical', 'transient', 'model', 'runtime', 'hardware');
const executionSummary = struct(
  'completed',
  'completed_with_err',
  'completed_with_num_err',
  'timed_out',
  'incorrect_input',
  'failed_to_queue',
);
const latencyStats = struct(['total_latency', map()], ['device_latency', map()]);
const subgraph = struct(
  ['memory_used_bytes', struct('host', 'neuron_device', ['usage_breakdown', struct(['host', map()], ['neuron_device', map()])])],
  'neuroncore_index',
  'neuron_device_index',
);
const loadedModel = struct('name', 'uuid', 'model_id', 'is_running', ['subgraphs', map(subgraph)]);
const runtimeUsedBytes = struct('host', 'neuron_device', [
  'usage_breakdown',
  struct(['host', map()], ['neuroncore_memory_usage', map(map())]),
]);
const core = withLoose(struct('neuroncore_utilization', 'flops', 'effective_flops'), 'v3d', map(struct('neuroncore_utilization')));
const cpuModes = struct('user', 'nice', 'system', 'idle', 'io_wait', 'irq', 'soft_irq');
const device = struct('neuron_device_index', 'mem_ecc_corrected', 'mem_ecc_uncorrected', 'sram_ecc_uncorrected', 'sram_ecc_corrected');
const placement = struct('pod_name', 'namespace', 'container_name');

const runtimeReport = struct(
  [
    'execution_stats',
    struct('period', ['error_summary', errorSummary], ['execution_summary', executionSummary], ['latency_stats', latencyStats], 'error'),
  ],
  ['memory_used', struct('period', ['neuron_runtime_used_bytes', runtimeUsedBytes], ['loaded_models', list(loadedModel)], 'error')],
  ['neuron_runtime_vcpu_usage', struct('period', ['vcpu_usage', struct('user', 'system')], 'error')],
  ['neuroncore_counters', struct('period', ['neuroncores_in_use', map(core)], 'error')],
);

const systemData = struct(
  ['memory_info', struct('period', 'memory_total_bytes', 'memory_used_bytes', 'swap_total_bytes', 'swap_used_bytes', 'error')],
  ['neuron_hw_counters', struct('period', ['neuron_devices', list(device)], 'error')],
  ['vcpu_usage', struct('period', ['average_usage', cpuModes], ['usage_data', map(cpuModes)], 'context_switch_count', 'error')],
);

const instanceInfo = struct(
  'instance_name',
  'instance_id',
  'instance_type',
  'instance_availability_zone',
  'instance_availability_zone_id',
  'instance_region',
  'ami_id',
  'subnet_id',
  'ultraserver_id',
  'error',
);

const hardwareInfo = struct(
  'neuron_device_type',
  'neuron_device_version',
  'neuroncore_version',
  'neuron_device_count',
  'neuron_device_memory_size',
  'neuroncore_per_device_count',
  'logical_neuroncore_config',
  'error',
);

export const DOCUMENT_SHAPE: Shape = struct(
  ['neuron_runtime_data', list(struct('pid', 'neuron_runtime_tag', 'error', ['report', runtimeReport]))],
  ['system_data', systemData],
  ['instance_info', instanceInfo],
  ['neuron_hardware_info', hardwareInfo],
  ['neuron_k8s_info', struct('period', ['neuroncores_k8s_info', map(placement)], ['neurondevices_k8s_info', map(placement)], 'error')],
);
