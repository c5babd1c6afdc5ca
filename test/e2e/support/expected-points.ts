import { isObject, asArray, asObject, asObjects } from './json.ts';
import type { JsonObject } from './json.ts';

/**
 * What a stream of neuron-monitor records must become, worked out from the raw JSON without any of the agent's code.
 * Only metrics named in `EXPECTED_METRICS` are worked out; they are all that records of Inf1, Inf2, Trn1 and Trn2 hosts carry by default.
 */
export interface ExpectedPoint {
  readonly metric: string;
  /** Process id of the resource; absent for the host's. */
  readonly pid?: number;
  readonly attributes: Readonly<Record<string, string | number>>;
  /** For histograms, how many executions they hold. */
  readonly value: number;
}

export const EXPECTED_METRICS: ReadonlySet<string> = new Set([
  'neuron.executions',
  'neuron.execution.errors',
  'neuron.execution.duration',
  'neuron.execution.latency',
  'neuron.runtime.memory.usage',
  'neuron.runtime.host_memory.usage',
  'neuron.core.memory.usage',
  'neuron.model.count',
  'process.cpu.utilization',
  'neuron.core.utilization',
  'neuron.core.flops',
  'neuron.physical_core.utilization',
  'system.memory.limit',
  'system.memory.usage',
  'system.paging.usage',
  'hw.errors',
  'system.cpu.utilization',
  'system.cpu.logical.count',
  'neuron.host.context_switches',
  'neuron.device.count',
  'neuron.core.count',
  'neuron.device.memory.limit',
  'neuron.core.allocation',
  'neuron.device.allocation',
]);

/** Shorter periods say nothing about shares and rates. */
const SHORTEST_PERIOD_SECONDS = 0.02;

const CPU_MODES: Readonly<Record<string, string>> = { io_wait: 'iowait', irq: 'interrupt', soft_irq: 'softirq' };

/** Process (or host) → point → running total. */
type Totals = Map<string, Map<string, number>>;

/** Points after each record, counters summed up over the records before. Totals of a process end with the process. */
export function expectedPoints(records: readonly JsonObject[]): readonly (readonly ExpectedPoint[])[] {
  const totals: Totals = new Map();
  return records.map((record) => {
    const alive = new Set(['host', ...asObjects(record['neuron_runtime_data'] ?? [], 'neuron_runtime_data').map(ownerOf)]);
    for (const owner of totals.keys()) if (!alive.has(owner)) totals.delete(owner);
    return new RecordReader(record, totals).read();
  });
}

/** Identity of a point within one record. */
export function pointKey({ metric, pid, attributes }: Omit<ExpectedPoint, 'value'>): string {
  const sorted = Object.entries(attributes).toSorted(([a], [b]) => (a < b ? -1 : 1));
  return JSON.stringify([metric, pid ?? 'host', ...sorted]);
}

class RecordReader {
  readonly #record: JsonObject;
  readonly #totals: Totals;
  readonly #points: ExpectedPoint[] = [];
  readonly #hardware: JsonObject;

  constructor(record: JsonObject, totals: Totals) {
    this.#record = record;
    this.#totals = totals;
    this.#hardware = measured(objectOr(record['neuron_hardware_info']), {});
  }

  read(): readonly ExpectedPoint[] {
    for (const runtime of asObjects(this.#record['neuron_runtime_data'] ?? [], 'neuron_runtime_data')) this.#runtime(runtime);
    this.#system(objectOr(this.#record['system_data']));
    this.#pods();
    this.#facts();
    return this.#points;
  }

  #set(metric: string, value: unknown, attributes: ExpectedPoint['attributes'], pid?: number): void {
    if (typeof value === 'number') this.#points.push({ metric, value, attributes, ...(pid === undefined ? {} : { pid }) });
  }

  #add(metric: string, tally: unknown, attributes: ExpectedPoint['attributes'], runtime?: JsonObject): void {
    if (typeof tally !== 'number') return;
    const pid = runtime === undefined ? undefined : Number(runtime['pid']);
    const owner = runtime === undefined ? 'host' : ownerOf(runtime);
    const own = this.#totals.get(owner) ?? new Map<string, number>();
    this.#totals.set(owner, own);
    const key = pointKey({ metric, attributes });
    const total = (own.get(key) ?? 0) + tally;
    own.set(key, total);
    this.#set(metric, total, attributes, pid);
  }

  #runtime(runtime: JsonObject): void {
    const report = objectOr(runtime['report']);
    const pid = Number(runtime['pid']);
    const group = (name: string): JsonObject => measured(objectOr(report[name]), runtime);
    this.#executions(runtime, objectOr(report['execution_stats']));
    this.#memory(pid, group('memory_used'));
    const vcpu = group('neuron_runtime_vcpu_usage');
    if (hasRates(vcpu)) {
      for (const mode of ['user', 'system']) {
        this.#set('process.cpu.utilization', ratio(objectOr(vcpu['vcpu_usage'])[mode]), { 'cpu.mode': mode }, pid);
      }
    }
    this.#cores(pid, group('neuroncore_counters'));
  }

  #executions(runtime: JsonObject, stats: JsonObject): void {
    const pid = Number(runtime['pid']);
    for (const [type, tally] of Object.entries(objectOr(stats['error_summary']))) {
      this.#add('neuron.execution.errors', tally, { 'error.type': type }, runtime);
    }
    for (const [outcome, tally] of Object.entries(objectOr(stats['execution_summary']))) {
      this.#add('neuron.executions', tally, { 'neuron.execution.outcome': outcome }, runtime);
    }
    if (!isObject(stats['latency_stats'])) return;
    for (const kind of ['total', 'device']) {
      const percentiles = stats['latency_stats'][`${kind}_latency`];
      const completed = isObject(percentiles) ? objectOr(stats['execution_summary'])['completed'] : 0;
      this.#add('neuron.execution.duration', completed, { 'neuron.latency.type': kind }, runtime);
      for (const [name, seconds] of Object.entries(objectOr(percentiles))) {
        const quantile = String(Number(name.slice(1)) / 100);
        this.#set('neuron.execution.latency', seconds, { 'neuron.latency.type': kind, 'neuron.latency.quantile': quantile }, pid);
      }
    }
  }

  #memory(pid: number, memory: JsonObject): void {
    const used = objectOr(memory['neuron_runtime_used_bytes']);
    this.#set('neuron.runtime.memory.usage', used['host'], { 'neuron.memory.location': 'host' }, pid);
    this.#set('neuron.runtime.memory.usage', used['neuron_device'], { 'neuron.memory.location': 'device' }, pid);
    const breakdown = objectOr(used['usage_breakdown']);
    for (const [kind, bytes] of Object.entries(objectOr(breakdown['host']))) {
      this.#set('neuron.runtime.host_memory.usage', bytes, { 'neuron.memory.category': kind }, pid);
    }
    for (const [core, kinds] of Object.entries(objectOr(breakdown['neuroncore_memory_usage']))) {
      for (const [kind, bytes] of Object.entries(objectOr(kinds))) {
        this.#set('neuron.core.memory.usage', bytes, { ...this.#core(core), 'neuron.memory.category': kind }, pid);
      }
    }
    if (memory['loaded_models'] === undefined) return;
    const models = asObjects(memory['loaded_models'], 'loaded_models');
    const running = models.filter((model) => model['is_running'] === true).length;
    this.#set('neuron.model.count', running, { 'neuron.model.state': 'running' }, pid);
    this.#set('neuron.model.count', models.length - running, { 'neuron.model.state': 'loaded' }, pid);
  }

  #cores(pid: number, group: JsonObject): void {
    if (!hasRates(group)) return;
    for (const [core, value] of Object.entries(objectOr(group['neuroncores_in_use']))) {
      const counters = objectOr(value);
      this.#set('neuron.core.utilization', ratio(counters['neuroncore_utilization']), this.#core(core), pid);
      this.#set('neuron.core.flops', counters['effective_flops'] ?? counters['flops'], this.#core(core), pid);
      for (const [name, physical] of Object.entries(objectOr(counters['v3d']))) {
        const index = Number(name.slice(name.lastIndexOf('.') + 1));
        const attributes = { ...this.#core(core), 'neuron.physical_core.index': index };
        this.#set('neuron.physical_core.utilization', ratio(objectOr(physical)['neuroncore_utilization']), attributes, pid);
      }
    }
  }

  #core(core: string): Readonly<Record<string, number>> {
    const perDevice = this.#hardware['neuroncore_per_device_count'];
    const index = Number(core);
    return typeof perDevice === 'number' && perDevice > 0
      ? { 'neuron.device.index': Math.floor(index / perDevice), 'neuron.core.index': index }
      : { 'neuron.core.index': index };
  }

  #system(system: JsonObject): void {
    const memory = objectOr(system['memory_info']);
    const { memory_total_bytes: total, memory_used_bytes: used, swap_total_bytes: swap, swap_used_bytes: swapped } = memory;
    this.#set('system.memory.limit', total, {});
    this.#set('system.memory.usage', used, { 'system.memory.state': 'used' });
    if (typeof total === 'number' && typeof used === 'number') {
      this.#set('system.memory.usage', total - used, { 'system.memory.state': 'free' });
    }
    this.#set('system.paging.usage', swapped, { 'system.paging.state': 'used' });
    if (typeof swap === 'number' && typeof swapped === 'number') {
      this.#set('system.paging.usage', swap - swapped, { 'system.paging.state': 'free' });
    }
    this.#vcpus(objectOr(system['vcpu_usage']));
    const hardware = objectOr(system['neuron_hw_counters']);
    for (const device of asArray(hardware['neuron_devices'] ?? [], 'neuron_devices')) this.#ecc(asObject(device, 'device'));
  }

  #vcpus(group: JsonObject): void {
    const average = objectOr(group['average_usage']);
    const isMeasured = Object.values(average).some((percent) => percent !== 0);
    if (isMeasured && hasRates(group)) {
      for (const [mode, percent] of Object.entries(average)) {
        this.#set('system.cpu.utilization', ratio(percent), { 'cpu.mode': CPU_MODES[mode] ?? mode });
      }
    }
    if (isObject(group['usage_data'])) this.#set('system.cpu.logical.count', Object.keys(group['usage_data']).length, {});
    this.#add('neuron.host.context_switches', group['context_switch_count'], {});
  }

  #ecc(device: JsonObject): void {
    const index = Number(device['neuron_device_index']);
    for (const [name, count] of Object.entries(device)) {
      const [, memory, type] = /^(mem|sram)_ecc_(.+)$/.exec(name) ?? [];
      if (memory === undefined || type === undefined) continue;
      const isInf1 = String(objectOr(this.#record['instance_info'])['instance_type']).startsWith('inf1');
      const memoryType = memory === 'sram' ? 'SRAM' : isInf1 ? 'DDR' : 'HBM';
      this.#set('hw.errors', count, {
        'hw.id': `neuron${index}:${memoryType.toLowerCase()}`,
        'hw.type': 'memory',
        'hw.parent': `neuron${index}`,
        'hw.memory.type': memoryType,
        'error.type': type,
        'neuron.device.index': index,
      });
    }
  }

  #pods(): void {
    const pods = objectOr(this.#record['neuron_k8s_info']);
    for (const [core, pod] of Object.entries(objectOr(pods['neuroncores_k8s_info']))) {
      this.#set('neuron.core.allocation', 1, { ...this.#core(core), ...podAttributes(objectOr(pod)) });
    }
    for (const [device, pod] of Object.entries(objectOr(pods['neurondevices_k8s_info']))) {
      this.#set('neuron.device.allocation', 1, { 'neuron.device.index': Number(device), ...podAttributes(objectOr(pod)) });
    }
  }

  #facts(): void {
    const { neuron_device_count: devices, neuroncore_per_device_count: cores, neuron_device_memory_size: size } = this.#hardware;
    if (typeof devices !== 'number') return;
    this.#set('neuron.device.count', devices, {});
    if (typeof cores === 'number') this.#set('neuron.core.count', devices * cores, {});
    for (let device = 0; device < devices; device += 1) {
      this.#set('neuron.device.memory.limit', size, { 'neuron.device.index': device });
    }
  }
}

/** A tag that changes is another process as far as totals go. */
function ownerOf(runtime: JsonObject): string {
  return `${String(runtime['pid'])} ${String(runtime['neuron_runtime_tag'])}`;
}

function podAttributes(pod: JsonObject): Readonly<Record<string, string>> {
  const containers = asArray(pod['container_name'], 'container_name');
  return {
    'k8s.pod.name': String(pod['pod_name']),
    'k8s.namespace.name': String(pod['namespace']),
    ...(containers.length === 1 ? { 'k8s.container.name': String(containers[0]) } : {}),
  };
}

/** neuron-monitor fills a group it could not read with zeros and says so in `error`: those are no measurements. */
function measured(group: JsonObject, runtime: JsonObject): JsonObject {
  const failed = [group['error'], runtime['error']].some((error) => typeof error === 'string' && error !== '');
  return failed && !holdsNumber({ ...group, period: 0 }) ? {} : group;
}

/** True when a number other than 0 stands anywhere in it. */
function holdsNumber(value: unknown): boolean {
  if (typeof value === 'number') return value !== 0;
  if (typeof value !== 'object' || value === null) return false;
  return Object.values(value).some((member) => holdsNumber(member));
}

function hasRates(group: JsonObject): boolean {
  return typeof group['period'] === 'number' && group['period'] >= SHORTEST_PERIOD_SECONDS;
}

function ratio(percent: unknown): number | undefined {
  return typeof percent === 'number' ? percent / 100 : undefined;
}

function objectOr(value: unknown): JsonObject {
  return isObject(value) ? value : {};
}
