import { asArray, asObject, asObjects, parseObject } from '../../e2e/support/json.ts';
import type { JsonObject } from '../../e2e/support/json.ts';
import type { Sampled } from '../../support/virtual-agent.ts';
import type { ExpectedPoint } from './expected-process.ts';
import { ownerKey, seriesKey } from './series.ts';
import type { ExpectedValue, MetricName, Owner, SeriesMap } from './series.ts';

/** What of the truth stands in neuron-monitor's document: counters as tallies of the period, shares as percent. */
const IN_DOCUMENT: Readonly<Partial<Record<MetricName, 'value' | 'integer' | 'tally' | 'percent'>>> = {
  'neuron.executions': 'tally',
  'neuron.execution.errors': 'tally',
  'neuron.runtime.memory.usage': 'value',
  'neuron.runtime.host_memory.usage': 'value',
  'neuron.core.memory.usage': 'value',
  'neuron.model.count': 'value',
  'neuron.core.utilization': 'percent',
  'neuron.core.flops': 'integer',
  'neuron.physical_core.utilization': 'percent',
  'process.cpu.utilization': 'percent',
  'hw.errors': 'value',
  'system.memory.limit': 'value',
  'system.memory.usage': 'value',
  'neuron.host.context_switches': 'tally',
};

/** What a line has to say; it names a process by pid and tag. */
export function expectedOfLine(
  points: readonly ExpectedPoint[],
  { isFirst }: Pick<Sampled, 'isFirst'>,
): ReadonlyMap<string, ExpectedValue> {
  const expected = new Map<string, ExpectedValue>();
  if (isFirst) return expected;
  const wholeDevices = devicesWithAllCounters(points);
  for (const { metric, owner, attributes, value, tally, tolerance } of points) {
    const form = IN_DOCUMENT[metric];
    if (form === undefined || attributes['system.memory.state'] === 'free') continue;
    if (metric === 'hw.errors' && !wholeDevices.has(attributes['neuron.device.index'])) continue;
    const factor = form === 'percent' ? 100 : 1;
    const key = seriesKey(metric, owner && { ...owner, startedAt: '' }, attributes);
    expected.set(key, {
      value: form === 'tally' ? (tally ?? Number.NaN) : form === 'integer' ? Math.round(value) : value * factor,
      ...(tolerance !== undefined && { tolerance: tolerance * factor }),
    });
  }
  return expected;
}

/** A device is printed with all of neuron-monitor's counters or not at all: in a reset some of them cannot be told. */
function devicesWithAllCounters(points: readonly ExpectedPoint[]): ReadonlySet<unknown> {
  const errors = points.filter(({ metric }) => metric === 'hw.errors');
  const byDevice = Map.groupBy(errors, ({ attributes }) => attributes['neuron.device.index']);
  const counters = ({ attributes }: ExpectedPoint): boolean => /^(?:un)?corrected$/.test(String(attributes['error.type']));
  return new Set([...byDevice].filter(([, ofDevice]) => ofDevice.filter(counters).length === 4).map(([device]) => device));
}

/** What a line says. */
export function seriesOfLine(line: string): { readonly series: SeriesMap; readonly owners: readonly string[] } {
  const document = parseObject(line);
  const reader = new LineReader(document);
  for (const entry of asObjects(document['neuron_runtime_data'], 'neuron_runtime_data')) reader.readProcess(entry);
  reader.readSystem(asObject(document['system_data'] ?? {}, 'system_data'));
  return reader;
}

class LineReader {
  readonly series: SeriesMap = new Map();
  readonly owners: string[] = [];
  readonly #coresPerDevice: number;
  #owner: Owner | undefined;

  constructor(document: JsonObject) {
    const hardware = asObject(document['neuron_hardware_info'], 'neuron_hardware_info');
    this.#coresPerDevice = Number(hardware['neuroncore_per_device_count']);
  }

  readProcess(entry: JsonObject): void {
    const owner = { pid: Number(entry['pid']), startedAt: '', tag: String(entry['neuron_runtime_tag']) };
    this.#owner = owner;
    this.owners.push(ownerKey(owner));
    const report = asObject(entry['report'], 'report');
    const group = (name: string): JsonObject => asObject(report[name] ?? {}, name);
    this.#each('neuron.executions', 'neuron.execution.outcome', group('execution_stats')['execution_summary']);
    this.#each('neuron.execution.errors', 'error.type', group('execution_stats')['error_summary']);
    if (report['memory_used'] !== undefined) this.#readMemory(group('memory_used'));
    this.#readCores(group('neuroncore_counters'));
    this.#each('process.cpu.utilization', 'cpu.mode', group('neuron_runtime_vcpu_usage')['vcpu_usage']);
  }

  readSystem(system: JsonObject): void {
    this.#owner = undefined;
    const memory = asObject(system['memory_info'] ?? {}, 'memory_info');
    this.#put('system.memory.limit', {}, memory['memory_total_bytes']);
    this.#put('system.memory.usage', { 'system.memory.state': 'used' }, memory['memory_used_bytes']);
    this.#put('neuron.host.context_switches', {}, asObject(system['vcpu_usage'] ?? {}, 'vcpu_usage')['context_switch_count']);
    const counters = asObject(system['neuron_hw_counters'] ?? {}, 'neuron_hw_counters');
    for (const { neuron_device_index: device, ...ecc } of asObjects(counters['neuron_devices'] ?? [], 'neuron_devices')) {
      for (const [name, count] of Object.entries(ecc)) {
        const [, memoryType, errorType] = /^(mem|sram)_ecc_(\w+)$/.exec(name) ?? [];
        const attributes = { 'hw.memory.type': memoryType === 'sram' ? 'SRAM' : 'HBM', 'error.type': errorType };
        this.#put('hw.errors', { ...attributes, 'neuron.device.index': Number(device) }, count);
      }
    }
  }

  #readMemory(memory: JsonObject): void {
    const { host, neuron_device, usage_breakdown } = asObject(memory['neuron_runtime_used_bytes'] ?? {}, 'neuron_runtime_used_bytes');
    this.#put('neuron.runtime.memory.usage', { 'neuron.memory.location': 'host' }, host);
    this.#put('neuron.runtime.memory.usage', { 'neuron.memory.location': 'device' }, neuron_device);
    const breakdown = asObject(usage_breakdown ?? {}, 'usage_breakdown');
    this.#each('neuron.runtime.host_memory.usage', 'neuron.memory.category', breakdown['host']);
    for (const [core, kinds] of Object.entries(asObject(breakdown['neuroncore_memory_usage'] ?? {}, 'cores')))
      this.#each('neuron.core.memory.usage', 'neuron.memory.category', kinds, this.#coreAttributes(core));
    const models = asArray(memory['loaded_models'], 'loaded_models');
    this.#put('neuron.model.count', { 'neuron.model.state': 'running' }, 0);
    this.#put('neuron.model.count', { 'neuron.model.state': 'loaded' }, models.length);
  }

  #readCores(counters: JsonObject): void {
    for (const [index, members] of Object.entries(asObject(counters['neuroncores_in_use'] ?? {}, 'neuroncores_in_use'))) {
      const { neuroncore_utilization, effective_flops, v3d } = asObject(members, index);
      const attributes = this.#coreAttributes(index);
      this.#put('neuron.core.utilization', attributes, neuroncore_utilization);
      this.#put('neuron.core.flops', attributes, effective_flops);
      for (const [name, physical] of Object.entries(asObject(v3d ?? {}, 'v3d'))) {
        const physicalCore = { 'neuron.physical_core.index': Number(name.replace('nc_v3.', '')) };
        const share = asObject(physical, name)['neuroncore_utilization'];
        this.#put('neuron.physical_core.utilization', { ...attributes, ...physicalCore }, share);
      }
    }
  }

  #coreAttributes(index: string): Readonly<Record<string, number>> {
    return { 'neuron.device.index': Math.floor(Number(index) / this.#coresPerDevice), 'neuron.core.index': Number(index) };
  }

  #each(metric: MetricName, by: string, members: unknown, attributes: Readonly<Record<string, number>> = {}): void {
    for (const [name, value] of Object.entries(asObject(members ?? {}, metric))) this.#put(metric, { ...attributes, [by]: name }, value);
  }

  #put(metric: MetricName, attributes: Readonly<Record<string, string | number | undefined>>, value: unknown): void {
    if (value !== undefined) this.series.set(seriesKey(metric, this.#owner, attributes), Number(value));
  }
}
