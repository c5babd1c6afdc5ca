/**
 * `FileRow` describes one file of the driver's sysfs tree that the agent reads. The table below is the only place that names such
 * files: the search in the tree, the types of the readers and the README are held against it.
 */
export interface FileRow {
  /** Name of the file, or of the folder whose `total` (and `peak`) is read; `<kind>` and `<counter>` stand for any name. */
  readonly file: string;
  readonly where: Where;
  /** Field of the reading (`src/readings.ts`). `<C>` is the index of the physical core within the device. */
  readonly field: string;
  readonly unit: string;
  /** The first driver release that has the file (driver source, neuron_sysfs_metrics.c and neuron_cdev.c by release). */
  readonly since: string;
}

/**
 * A file is found by the names above it and not by its whole path, because drivers move nodes:
 * - `device` and its groups (`ecc`, `health`, `fact`, `power`): below a device, outside of every core and of `device_mem` and `host_mem`;
 * - `host memory`: below `host_mem`, outside of every core;
 * - `core`: below `neuron_core<C>`; `core memory`: below `device_mem` of a core; `core status`: a counter of a core's `status`.
 */
type Where = 'ecc' | 'health' | 'fact' | 'power' | 'host memory' | 'core' | 'core memory' | 'core status';

function event<F extends string>(file: F, since: string) {
  return { file, where: 'core status', field: 'device_cores.<C>.events.<counter>', unit: '{event}', since } as const;
}

function execution<F extends string>(file: F, outcome: string) {
  return { file, where: 'core status', field: `device_cores.<C>.executions.${outcome}`, unit: '{execution}', since: '2.8' } as const;
}

export const FILES = [
  { file: 'mem_ecc_corrected', where: 'ecc', field: 'ecc.mem_ecc_corrected', unit: '{error}', since: '2.30.2' },
  { file: 'mem_ecc_uncorrected', where: 'ecc', field: 'ecc.mem_ecc_uncorrected', unit: '{error}', since: '2.14.5' },
  { file: 'mem_ecc_repairable_uncorrected', where: 'ecc', field: 'ecc.mem_ecc_repairable_uncorrected', unit: '{error}', since: '2.23.9' },
  { file: 'sram_ecc_corrected', where: 'ecc', field: 'ecc.sram_ecc_corrected', unit: '{error}', since: '2.30.2' },
  { file: 'sram_ecc_uncorrected', where: 'ecc', field: 'ecc.sram_ecc_uncorrected', unit: '{error}', since: '2.14.5' },

  { file: 'unhealthy_components', where: 'health', field: 'device_health.unhealthy_components', unit: 'names', since: '2.30.2' },
  { file: 'healthcheck_heartbeat', where: 'health', field: 'device_health.state', unit: 'a number that must move', since: '2.30.2' },
  { file: 'hw_error_event', where: 'health', field: 'device_health.hw_error_events', unit: '{event}', since: '2.28' },

  { file: 'device_name', where: 'fact', field: 'device_facts.name', unit: 'text', since: '2.8' },
  { file: 'arch_type', where: 'fact', field: 'device_facts.architecture', unit: 'text', since: '2.7' },
  { file: 'serial_number', where: 'fact', field: 'device_facts.serial_number', unit: '16 hex digits', since: '2.15.9' },
  { file: 'fw_build', where: 'fact', field: 'device_facts.firmware_build', unit: 'text', since: '2.30' },
  { file: 'fw_api_version', where: 'fact', field: 'device_facts.firmware_api_version', unit: 'text', since: '2.30' },
  { file: 'connected_devices', where: 'fact', field: 'device_facts.connected_devices', unit: 'indexes', since: '2.13.4' },
  { file: 'core_count', where: 'fact', field: 'device_facts.core_count', unit: '{core}', since: '2.7' },

  { file: 'utilization', where: 'power', field: 'device_power', unit: '% of maximum power', since: '2.21.37' },

  { file: 'host_mem', where: 'host memory', field: 'device_host_memory', unit: 'By', since: '2.10' },
  { file: '<kind>', where: 'host memory', field: 'device_host_memory.<kind>', unit: 'By', since: '2.10' },

  { file: 'device_mem', where: 'core memory', field: 'device_cores.<C>.memory', unit: 'By', since: '2.7' },
  { file: '<kind>', where: 'core memory', field: 'device_cores.<C>.memory.<kind>', unit: 'By', since: '2.10' },

  { file: 'nc_time_in_use', where: 'core', field: 'device_cores.<C>.utilization', unit: 'us or ps', since: '2.21.37' },
  { file: 'flop_count', where: 'core', field: 'device_cores.<C>.flops', unit: '{operation}', since: '2.12.11' },
  { file: 'model_load_count', where: 'core', field: 'device_cores.<C>.model_loads', unit: '{load}', since: '2.8' },
  { file: 'reset_req_count', where: 'core', field: 'device_cores.<C>.reset_requests', unit: '{reset}', since: '2.8' },
  // The count is the device's: every core shows the same one.
  { file: 'reset_fail_count', where: 'core', field: 'device_reset_failures', unit: '{reset}', since: '2.8' },
  { file: 'arch_type', where: 'core', field: 'neuron_hardware_info.neuroncore_version', unit: 'text', since: '2.7' },

  execution('success', 'completed'),
  execution('execute_completed_with_error', 'completed_with_err'),
  execution('execute_completed_with_num_error', 'completed_with_num_err'),
  execution('timeout', 'timed_out'),
  execution('exec_bad_input', 'incorrect_input'),
  execution('execute_failed_to_queue', 'failed_to_queue'),
  event('failure', '2.8'),
  event('hw_error', '2.8'),
  event('generic_error', '2.8'),
  event('resource_error', '2.8'),
  event('resource_nc_error', '2.8'),
  event('invalid_error', '2.8'),
  event('unsupported_neff_version', '2.8'),
  event('oob_error', '2.16.7'),
  event('hw_collectives_error', '2.19'),
  event('hw_hbm_ue_error', '2.19'),
  event('hw_nc_ue_error', '2.19'),
  event('hw_dma_abort_error', '2.19'),
  event('execute_sw_nq_overflow', '2.20'),
  event('execute_sw_semaphore_error', '2.21.37'),
  event('execute_sw_event_error', '2.21.37'),
  event('execute_sw_psum_collision', '2.21.37'),
  event('execute_sw_sequencer_fatal', '2.21.37'),
  event('hw_repairable_hbm_ue_error', '2.23.9'),
  // The set is open: whatever else a `status` folder has is a counter too.
  event('<counter>', '2.8'),
] as const satisfies readonly FileRow[];

type Row = (typeof FILES)[number];
export type EccFile = Extract<Row, { readonly where: 'ecc' }>['file'];
export type HealthFile = Extract<Row, { readonly where: 'health' }>['file'];
export type FactFile = Extract<Row, { readonly where: 'fact' }>['file'];
export type CoreFile = Extract<Row, { readonly where: 'core' }>['file'];

/** Outcome of an execution, as `execution_summary` spells it → the status counter that counts it. */
export const OUTCOMES: readonly (readonly [outcome: string, counter: string])[] = FILES.flatMap(({ field, file }) => {
  const [, outcome] = /\.executions\.(\w+)$/.exec(field) ?? [];
  return outcome === undefined ? [] : [[outcome, file]];
});

/** The meaning of one file below a device's directory. Memory files have a kind, or belong to the total over all kinds. */
export type FoundRow =
  | { readonly where: 'ecc'; readonly file: EccFile }
  | { readonly where: 'health'; readonly file: HealthFile }
  | { readonly where: 'fact'; readonly file: FactFile }
  | { readonly where: 'power' }
  | { readonly where: 'host memory'; readonly leaf: 'total' | 'peak'; readonly kind: string | undefined }
  | { readonly where: 'core memory'; readonly core: number; readonly leaf: 'total' | 'peak'; readonly kind: string | undefined }
  | { readonly where: 'core'; readonly core: number; readonly file: CoreFile }
  | { readonly where: 'core status'; readonly core: number; readonly counter: string };

const STATUS_COUNTERS: ReadonlySet<string> = new Set(FILES.flatMap(({ where, file }) => (where === 'core status' ? [file] : [])));
const DEVICE_ROWS = FILES.filter((row) => row.where === 'ecc' || row.where === 'health' || row.where === 'fact');
const CORE_ROWS = FILES.filter((row) => row.where === 'core');

/**
 * Finds the row of a file. `directories` are the names between the device's directory and the file. Undefined for files that the agent
 * does not read: `present` is the size of the last change, and in some releases a copy of `total`.
 */
export function rowOf(directories: readonly string[], file: string): FoundRow | undefined {
  const core = coreIndex(directories);
  const memory = directories.findLast((name) => name === 'device_mem' || name === 'host_mem');
  if (memory !== undefined) return memoryRow(directories, { file, memory, core });
  return core === undefined ? deviceRow(directories, file) : coreRow(directories, file, core);
}

function coreIndex(directories: readonly string[]): number | undefined {
  for (const name of directories.toReversed()) {
    const [, index] = /^neuron_core(\d{1,4})$/.exec(name) ?? [];
    if (index !== undefined) return Number(index);
  }
  return undefined;
}

function memoryRow(
  directories: readonly string[],
  { file, memory, core }: { readonly file: string; readonly memory: string; readonly core: number | undefined },
): FoundRow | undefined {
  if (file !== 'total' && file !== 'peak') return undefined;
  const parent = directories.at(-1);
  const kind = parent === memory ? undefined : parent;
  if (memory === 'device_mem' && core !== undefined) return { where: 'core memory', core, leaf: file, kind };
  return memory === 'host_mem' && core === undefined ? { where: 'host memory', leaf: file, kind } : undefined;
}

/** A counter of a core is a folder with `total` and `present`; a file of the same name counts as well. */
function coreRow(directories: readonly string[], file: string, core: number): FoundRow | undefined {
  const isTotal = file === 'total';
  const name = currentName((isTotal ? directories.at(-1) : file) ?? '');
  const row = CORE_ROWS.find((candidate) => candidate.file === name);
  if (row !== undefined) return { where: 'core', core, file: row.file };
  const isInStatus = isTotal && directories.at(-2) === 'status';
  return STATUS_COUNTERS.has(name) || isInStatus ? { where: 'core status', core, counter: name } : undefined;
}

/** Before 2.8 three counters were called `infer_*`, and guides still call them so. */
function currentName(name: string): string {
  return name.startsWith('infer_') ? `execute_${name.slice('infer_'.length)}` : name;
}

function deviceRow(directories: readonly string[], file: string): FoundRow | undefined {
  // The kernel has a folder `power` of its own in each device, without this file.
  if (file === 'utilization') return directories.at(-1) === 'power' ? { where: 'power' } : undefined;
  const row = DEVICE_ROWS.find((candidate) => candidate.file === file);
  // Driver 2.28 showed cached copies of error counters below health_status.
  return row?.where === 'ecc' && directories.includes('health_status') ? undefined : row;
}
