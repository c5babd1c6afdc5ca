/**
 * The driver's status counters (driver source neuron_sysfs_metrics.c, 2.24 and 2.30). Older guides call three of them `infer_*`.
 * The set is open: what else stands under `status/` is one too.
 */
const STATUS_COUNTERS: ReadonlySet<string> = new Set([
  'success',
  'failure',
  'timeout',
  'exec_bad_input',
  'hw_error',
  'execute_completed_with_error',
  'execute_completed_with_num_error',
  'generic_error',
  'resource_error',
  'resource_nc_error',
  'execute_failed_to_queue',
  'invalid_error',
  'unsupported_neff_version',
  'oob_error',
  'hw_collectives_error',
  'hw_hbm_ue_error',
  'hw_nc_ue_error',
  'hw_dma_abort_error',
  'execute_sw_nq_overflow',
  'execute_sw_semaphore_error',
  'execute_sw_event_error',
  'execute_sw_psum_collision',
  'execute_sw_sequencer_fatal',
  'hw_repairable_hbm_ue_error',
]);

/** Status counters that say how an execution ended → `execution_summary`. */
export const OUTCOMES = [
  ['completed', 'success'],
  ['completed_with_err', 'execute_completed_with_error'],
  ['completed_with_num_err', 'execute_completed_with_num_error'],
  ['timed_out', 'timeout'],
  ['incorrect_input', 'exec_bad_input'],
  ['failed_to_queue', 'execute_failed_to_queue'],
] as const;

const OTHER_COUNTERS = ['model_load_count', 'flop_count', 'nc_time_in_use', 'reset_req_count', 'reset_fail_count'] as const;
const ERROR_COUNTERS = [
  'mem_ecc_corrected',
  'mem_ecc_uncorrected',
  'mem_ecc_repairable_uncorrected',
  'sram_ecc_corrected',
  'sram_ecc_uncorrected',
] as const;
const HEALTH_NODES = ['unhealthy_components', 'healthcheck_heartbeat', 'hw_error_event'] as const;
const FACT_NODES = ['device_name', 'arch_type', 'serial_number', 'fw_build', 'fw_api_version', 'connected_devices', 'core_count'] as const;

export type OtherCounter = (typeof OTHER_COUNTERS)[number];
export type HealthNode = (typeof HEALTH_NODES)[number];
export type FactNode = (typeof FACT_NODES)[number];

/** What a file below a device's directory means. */
export type NodeRole =
  | { readonly role: 'device_memory'; readonly core: number; readonly leaf: 'total' | 'peak'; readonly kind: string | undefined }
  | { readonly role: 'host_memory'; readonly leaf: 'total' | 'peak'; readonly kind: string | undefined }
  | { readonly role: 'status'; readonly core: number; readonly name: string }
  | { readonly role: 'other'; readonly core: number; readonly name: OtherCounter }
  | { readonly role: 'core_architecture'; readonly core: number }
  | { readonly role: 'ecc'; readonly name: string }
  | { readonly role: 'health'; readonly name: HealthNode }
  | { readonly role: 'fact'; readonly name: FactNode }
  | { readonly role: 'power' };

/**
 * Finds a file's meaning by its own name and the names above it, nearest first, never by its whole path: drivers move nodes.
 * `directories` are the names between the device's directory and the file. Undefined for files the agent does not read.
 */
export function roleOf(directories: readonly string[], file: string): NodeRole | undefined {
  const core = coreIndex(directories);
  const location = directories.findLast((name) => name === 'device_mem' || name === 'host_mem');
  if (location !== undefined) return memoryRole(directories, file, location, core);
  return core === undefined ? deviceRole(directories, file) : coreRole(directories, file, core);
}

function coreIndex(directories: readonly string[]): number | undefined {
  for (const name of directories.toReversed()) {
    const [, index] = /^neuron_core(\d{1,4})$/.exec(name) ?? [];
    if (index !== undefined) return Number(index);
  }
  return undefined;
}

/** `present` is never used: it is the size of the last change, and in some driver generations a copy of `total`. */
function memoryRole(directories: readonly string[], file: string, location: string, core: number | undefined): NodeRole | undefined {
  if (file !== 'total' && file !== 'peak') return undefined;
  const parent = directories.at(-1);
  const kind = parent === location ? undefined : parent;
  if (location === 'device_mem' && core !== undefined) return { role: 'device_memory', core, leaf: file, kind };
  if (location === 'host_mem' && core === undefined) return { role: 'host_memory', leaf: file, kind };
  return undefined;
}

function coreRole(directories: readonly string[], file: string, core: number): NodeRole | undefined {
  // A counter is a directory with `total` and `present`; a driver might one day make it a file.
  const isLeaf = file === 'total';
  const name = (isLeaf ? directories.at(-1) : file) ?? '';
  const group = directories.at(isLeaf ? -2 : -1);
  if (file === 'arch_type') return { role: 'core_architecture', core };
  const other = OTHER_COUNTERS.find((counter) => counter === name);
  if (other !== undefined) return { role: 'other', core, name: other };
  if (STATUS_COUNTERS.has(currentName(name)) || (isLeaf && group === 'status')) return { role: 'status', core, name: currentName(name) };
  return undefined;
}

function currentName(name: string): string {
  return name.startsWith('infer_') ? `execute_${name.slice('infer_'.length)}` : name;
}

function deviceRole(directories: readonly string[], file: string): NodeRole | undefined {
  const ecc = ERROR_COUNTERS.find((counter) => counter === file);
  // Driver 2.28 showed cached copies of error counters below health_status.
  if (ecc !== undefined) return directories.includes('health_status') ? undefined : { role: 'ecc', name: ecc };
  const health = HEALTH_NODES.find((node) => node === file);
  if (health !== undefined) return { role: 'health', name: health };
  const fact = FACT_NODES.find((node) => node === file);
  if (fact !== undefined) return { role: 'fact', name: fact };
  // Not to be confused with the kernel's own `power/` directory, which has no `utilization`.
  return file === 'utilization' && directories.at(-1) === 'power' ? { role: 'power' } : undefined;
}
