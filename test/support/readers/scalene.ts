import { asObject, asObjects, parseObject } from '../../e2e/support/json.ts';

/**
 * Scalene's view of neuron-monitor, restated. Source: plasma-umass/scalene, scalene/scalene_neuron.py (2.4.0): utilization of all cores
 * divided by the most cores that were ever busy at once, and the memory of all cores; it asserts that no core is above 100 %.
 */
export class ScaleneNeuron {
  /** Share of one. */
  utilization = 0;
  memoryBytes = 0;
  /** Percent of all vCPUs of the host. */
  cpuUtilization = 0;
  #mostBusyCores = 1;

  read(line: string): void {
    const record = parseObject(line);
    const vcpus = asObject(asObject(record['system_data'] ?? {}, 'system_data')['vcpu_usage'] ?? {}, 'vcpu_usage');
    const idle = Object.values(asObject(vcpus['usage_data'] ?? {}, 'usage_data')).map((modes) => Number(asObject(modes, 'modes')['idle']));
    if (idle.length > 0) this.cpuUtilization = 100 - idle.reduce((sum, percent) => sum + percent, 0) / idle.length;
    const runtimes = asObjects(record['neuron_runtime_data'] ?? [], 'neuron_runtime_data');
    const reports = runtimes.map((runtime) => asObject(runtime['report'] ?? {}, 'report'));
    const percents = reports.flatMap((report) => percentsOf(report));
    if (percents.some((percent) => percent > 100)) throw new RangeError('AssertionError: a core is above 100 %');
    this.#mostBusyCores = Math.max(this.#mostBusyCores, percents.filter((percent) => percent > 0).length);
    this.utilization = percents.reduce((sum, percent) => sum + percent, 0) / this.#mostBusyCores / 100;
    this.memoryBytes = reports.flatMap((report) => coreBytesOf(report)).reduce((sum, bytes) => sum + bytes, 0);
  }
}

function percentsOf(report: Readonly<Record<string, unknown>>): readonly number[] {
  const cores = asObject(report['neuroncore_counters'] ?? {}, 'neuroncore_counters')['neuroncores_in_use'];
  return Object.values(asObject(cores ?? {}, 'cores')).map((core) => Number(asObject(core, 'core')['neuroncore_utilization'] ?? 0));
}

function coreBytesOf(report: Readonly<Record<string, unknown>>): readonly number[] {
  const used = asObject(asObject(report['memory_used'] ?? {}, 'memory_used')['neuron_runtime_used_bytes'] ?? {}, 'used');
  const cores = asObject(asObject(used['usage_breakdown'] ?? {}, 'breakdown')['neuroncore_memory_usage'] ?? {}, 'cores');
  return Object.values(cores).flatMap((kinds) => Object.values(asObject(kinds, 'kinds')).map(Number));
}
