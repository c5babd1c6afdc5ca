/**
 * The members that a record of neuron-monitor has in each group, from published captures of tools 2.5 and later and from what AWS's
 * Prometheus script, wandb, Scalene and all-smi read unguarded. A group that is printed has all of them, or readers stop.
 */
type Kind = 'integer' | 'number' | 'text' | 'boolean';
interface Struct {
  readonly [member: string]: Members;
}
/** `each`: a map or a list whose values all have these members. `nullable`: null is printed when nothing ran. */
type Members = Kind | Struct | { readonly each: Members } | { readonly nullable: Members };

const error = 'text';
const period = 'number';

function all(names: string, kind: Kind): Struct {
  return Object.fromEntries(names.split(' ').map((name) => [name, kind]));
}

const cpuModes = all('user nice system idle io_wait irq soft_irq', 'number');
const percentiles = { nullable: all('p0 p1 p25 p50 p75 p99 p100', 'number') };

export const REQUIRED_MEMBERS = {
  execution_stats: {
    period,
    error_summary: all('numerical transient model runtime hardware', 'integer'),
    execution_summary: all('completed completed_with_err completed_with_num_err timed_out incorrect_input failed_to_queue', 'integer'),
    latency_stats: { total_latency: percentiles, device_latency: percentiles },
    error,
  },
  memory_used: {
    period,
    neuron_runtime_used_bytes: {
      host: 'integer',
      neuron_device: 'integer',
      usage_breakdown: {
        host: all('application_memory constants dma_buffers tensors', 'integer'),
        neuroncore_memory_usage: { each: all('constants model_code model_shared_scratchpad runtime_memory tensors', 'integer') },
      },
    },
    loaded_models: { each: { name: 'text', uuid: 'text', model_id: 'integer', is_running: 'boolean', subgraphs: { each: {} } } },
    error,
  },
  neuron_runtime_vcpu_usage: { period, vcpu_usage: all('user system', 'number'), error },
  neuroncore_counters: { period, neuroncores_in_use: { each: { neuroncore_utilization: 'number' } }, error },
  memory_info: { period, ...all('memory_total_bytes memory_used_bytes swap_total_bytes swap_used_bytes', 'integer'), error },
  neuron_hw_counters: {
    period,
    neuron_devices: {
      each: all('neuron_device_index mem_ecc_corrected mem_ecc_uncorrected sram_ecc_uncorrected sram_ecc_corrected', 'integer'),
    },
    error,
  },
  vcpu_usage: { period, average_usage: cpuModes, usage_data: { each: cpuModes }, context_switch_count: 'integer', error },
  instance_info: all(
    'instance_name instance_id instance_type instance_availability_zone instance_availability_zone_id instance_region ami_id subnet_id error',
    'text',
  ),
  neuron_hardware_info: {
    ...all('neuron_device_count neuroncore_per_device_count', 'integer'),
    error,
  },
} satisfies Readonly<Record<string, Members>>;

export type RequiredGroup = keyof typeof REQUIRED_MEMBERS;

/** Paths of members that are missing, or of another kind, in one printed group. A name without a table has none. */
export function missingMembers(group: string, data: unknown): readonly string[] {
  const members = Object.entries(REQUIRED_MEMBERS).find(([name]) => name === group)?.[1];
  return members === undefined ? [] : problemsOf(data, members, group);
}

/** The same for every group of a record, processes and facts included. */
export function missingMembersOfRecord(record: Readonly<Record<string, unknown>>): readonly string[] {
  const runtimes = Array.isArray(record['neuron_runtime_data']) ? record['neuron_runtime_data'] : [];
  return [
    ...runtimes.flatMap((runtime: unknown) => groupsOf(membersOf(runtime)['report'])),
    ...groupsOf(record['system_data']),
    ...missingMembers('instance_info', record['instance_info']),
    ...(record['neuron_hardware_info'] === null ? [] : missingMembers('neuron_hardware_info', record['neuron_hardware_info'])),
  ];
}

function groupsOf(report: unknown): readonly string[] {
  return Object.entries(membersOf(report)).flatMap(([group, data]) => missingMembers(group, data));
}

function problemsOf(value: unknown, members: Members, path: string): readonly string[] {
  if (typeof members === 'string') return isOfKind(value, members) ? [] : [path];
  if (isWrapper(members, 'nullable')) return value === null ? [] : problemsOf(value, members.nullable, path);
  if (typeof value !== 'object' || value === null) return [path];
  if (isWrapper(members, 'each')) {
    const { each } = members;
    return Object.entries(value).flatMap(([name, item]) => problemsOf(item, each, `${path}.${name}`));
  }
  const own = membersOf(value);
  return Object.entries(members).flatMap(([name, member]: [string, Members]) => problemsOf(own[name], member, `${path}.${name}`));
}

function isOfKind(value: unknown, kind: Kind): boolean {
  switch (kind) {
    case 'integer':
      return Number.isInteger(value);
    case 'number':
      return Number.isFinite(value);
    case 'text':
      return typeof value === 'string';
    case 'boolean':
      return typeof value === 'boolean';
  }
}

function isWrapper<Name extends 'each' | 'nullable'>(members: Members, name: Name): members is { readonly [N in Name]: Members } {
  return typeof members === 'object' && Object.hasOwn(members, name);
}

function membersOf(value: unknown): Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null ? { ...value } : {};
}
