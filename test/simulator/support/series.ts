import type { DecodedPoint } from '../../support/otlp-decode.ts';
import { parsePage } from '../../exporters/prometheus/support/parse.ts';

const CORE = ['neuron.device.index', 'neuron.core.index'];
const PHYSICAL_CORE = ['neuron.device.index', 'neuron.physical_core.index'];

/** OpenTelemetry name → name on the page, and the attributes that tell the series of one process, or of the host, apart. */
export const METRICS = {
  'neuron.executions': { page: 'neuron_executions_total', by: ['neuron.execution.outcome'] },
  'neuron.execution.errors': { page: 'neuron_execution_errors_total', by: ['error.type'] },
  'neuron.execution.duration': { page: 'neuron_execution_duration_seconds_count', by: ['neuron.latency.type'] },
  'neuron.runtime.memory.usage': { page: 'neuron_runtime_memory_usage_bytes', by: ['neuron.memory.location'] },
  'neuron.runtime.host_memory.usage': { page: 'neuron_runtime_host_memory_usage_bytes', by: ['neuron.memory.category'] },
  'neuron.core.memory.usage': { page: 'neuron_core_memory_usage_bytes', by: [...CORE, 'neuron.memory.category'] },
  'neuron.model.count': { page: 'neuron_model_count_models', by: ['neuron.model.state'] },
  'neuron.core.utilization': { page: 'neuron_core_utilization_ratio', by: CORE },
  'neuron.core.flops': { page: 'neuron_core_flops_per_second', by: CORE },
  'neuron.physical_core.utilization': {
    page: 'neuron_physical_core_utilization_ratio',
    by: [...CORE, 'neuron.physical_core.index'],
  },
  'process.cpu.time': { page: 'process_cpu_time_seconds_total', by: ['cpu.mode'] },
  'process.cpu.utilization': { page: 'process_cpu_utilization_ratio', by: ['cpu.mode'] },
  'process.memory.usage': { page: 'process_memory_usage_bytes', by: [] },
  'process.memory.virtual': { page: 'process_memory_virtual_bytes', by: [] },
  'process.thread.count': { page: 'process_thread_count_threads', by: [] },
  'process.uptime': { page: 'process_uptime_seconds', by: [] },
  'hw.errors': { page: 'hw_errors_total', by: ['hw.memory.type', 'error.type', 'neuron.device.index'] },
  'hw.status': { page: 'hw_status', by: ['hw.id', 'hw.state'] },
  'neuron.device.component.fault': { page: 'neuron_device_component_fault', by: ['neuron.device.index', 'neuron.device.component'] },
  'neuron.device.error_events': { page: 'neuron_device_error_events_total', by: ['neuron.device.index'] },
  'neuron.device.memory.usage': { page: 'neuron_device_memory_usage_bytes', by: [...PHYSICAL_CORE, 'neuron.memory.category'] },
  'neuron.device.host_memory.usage': {
    page: 'neuron_device_host_memory_usage_bytes',
    by: ['neuron.device.index', 'neuron.memory.category'],
  },
  'neuron.device.core.utilization': { page: 'neuron_device_core_utilization_ratio', by: PHYSICAL_CORE },
  'neuron.device.core.flops': { page: 'neuron_device_core_flops_per_second', by: PHYSICAL_CORE },
  'neuron.device.core.executions': {
    page: 'neuron_device_core_executions_total',
    by: [...PHYSICAL_CORE, 'neuron.execution.outcome'],
  },
  'neuron.device.core.model_loads': { page: 'neuron_device_core_model_loads_total', by: PHYSICAL_CORE },
  'neuron.device.core.reset_requests': { page: 'neuron_device_core_reset_requests_total', by: PHYSICAL_CORE },
  'neuron.device.reset_failures': { page: 'neuron_device_reset_failures_total', by: ['neuron.device.index'] },
  'system.cpu.time': { page: 'system_cpu_time_seconds_total', by: ['cpu.mode'] },
  'system.memory.limit': { page: 'system_memory_limit_bytes', by: [] },
  'system.memory.usage': { page: 'system_memory_usage_bytes', by: ['system.memory.state'] },
  'system.memory.linux.available': { page: 'system_memory_linux_available_bytes', by: [] },
  'neuron.host.context_switches': { page: 'neuron_host_context_switches_total', by: [] },
} as const satisfies Readonly<Record<string, { readonly page: string; readonly by: readonly string[] }>>;

export type MetricName = keyof typeof METRICS;

type Attributes = Readonly<Record<string, string | number | undefined>>;

/** A Neuron process as an output names it. */
export interface Owner {
  readonly pid: number;
  /** ISO 8601. */
  readonly startedAt: string;
  readonly tag: string;
}

/** Series → value. */
export type SeriesMap = Map<string, number>;

export function ownerKey(owner: Owner | undefined): string {
  return owner === undefined ? '' : `${owner.pid} ${owner.startedAt} ${owner.tag}`;
}

export function seriesKey(metric: MetricName, owner: Owner | undefined, attributes: Attributes): string {
  const by = METRICS[metric].by.map((name) => `${name}=${attributes[name] ?? ''}`);
  return `${metric}{${by.join(',')}} ${ownerKey(owner)}`;
}

const BY_PAGE_NAME = new Map<string, string>(Object.entries(METRICS).map(([metric, { page }]) => [page, metric]));

function isMetricName(name: string | undefined): name is MetricName {
  return name !== undefined && name in METRICS;
}

export interface PageSeries {
  readonly series: SeriesMap;
  /** Every process that has any series. */
  readonly owners: ReadonlySet<string>;
  /** Its pid, and the container that its series name. */
  readonly containers: ReadonlySet<string>;
}

/** What a page says that was made with `resourceLabels: ['process.creation.time']`. */
export function seriesOfPage(page: string): PageSeries {
  const series: SeriesMap = new Map();
  const owners = new Set<string>();
  const containers = new Set<string>();
  for (const { name, labels, value } of parsePage(page)) {
    const { process_pid: pid, process_creation_time: startedAt = '', neuron_runtime_tag: tag = '', container_id: container } = labels;
    const owner = pid === undefined ? undefined : { pid: Number(pid), startedAt, tag };
    if (owner !== undefined) {
      owners.add(ownerKey(owner));
      containers.add(`${pid} ${container}`);
    }
    const metric = BY_PAGE_NAME.get(name);
    if (!isMetricName(metric)) continue;
    const attributes = Object.fromEntries(METRICS[metric].by.map((attribute) => [attribute, labels[attribute.replaceAll('.', '_')]]));
    put(series, seriesKey(metric, owner, attributes), Number(value));
  }
  return { series, owners, containers };
}

/** What OTLP requests say. */
export function seriesOfOtlp(points: readonly DecodedPoint[]): { readonly series: SeriesMap; readonly owners: ReadonlySet<string> } {
  const series: SeriesMap = new Map();
  const owners = new Set<string>();
  for (const { resource, metric, attributes, value } of points) {
    const owner = ownerOf(resource);
    if (owner !== undefined) owners.add(ownerKey(owner));
    if (isMetricName(metric)) put(series, seriesKey(metric, owner, attributes), value);
  }
  return { series, owners };
}

function ownerOf(resource: DecodedPoint['resource']): Owner | undefined {
  const pid = resource['process.pid'];
  if (pid === undefined) return undefined;
  return {
    pid: Number(pid),
    startedAt: String(resource['process.creation.time']),
    tag: String(resource['neuron.runtime.tag']),
  };
}

function put(series: SeriesMap, key: string, value: number): void {
  if (series.has(key)) throw new Error(`${key} is there twice`);
  series.set(key, value);
}

export interface ExpectedValue {
  readonly value: number;
  /** How far an output may be off; rounding of a double when absent, which is less than one for any count of bytes. */
  readonly tolerance?: number;
}

const ROUNDING = 8 * Number.EPSILON;

/** What is missing, what is too much, and what is another value; empty when an output says what is true. */
export function differences(actual: SeriesMap, expected: ReadonlyMap<string, ExpectedValue>): string[] {
  const found: string[] = [];
  for (const [key, { value, tolerance }] of expected) {
    const said = actual.get(key);
    if (said === undefined) found.push(`missing: ${key} ${value}`);
    else if (!(Math.abs(said - value) <= (tolerance ?? ROUNDING * Math.abs(value)))) found.push(`${key}: ${said} instead of ${value}`);
  }
  for (const [key, value] of actual) if (!expected.has(key)) found.push(`too much: ${key} ${value}`);
  return found;
}
