import { asArray, asObject, asObjects } from '../../e2e/support/json.ts';
import type { JsonObject } from '../../e2e/support/json.ts';

/**
 * The arithmetic of AWS's neuron-monitor-prometheus.py, restated. Source: aws/amazon-cloudwatch-agent-test,
 * docs/resources/dummy-neuron-monitor/dummy_neuron_monitor.py, whose handlers are the script's. Members are read unguarded there, so a
 * missing one throws here: the script ends with it. Labels of the instance come from the first record only.
 */
export class AwsScript {
  /** Series of gauges and counters, by family and labels; counters have what was added. */
  readonly series = new Map<string, number>();
  /** Labels of every family; undefined before the first record. */
  instance: JsonObject | undefined;
  /** Labels of `neuron_hardware_info`, once it was there. */
  hardware: JsonObject | undefined;

  read(record: JsonObject): void {
    this.instance ??= instanceLabels(asObject(record['instance_info'], 'instance_info'));
    const runtimes = asArray(record['neuron_runtime_data'] ?? [], 'neuron_runtime_data').map((runtime) => asObject(runtime, 'runtime'));
    // Without any process the script forgets all of its gauges and counters.
    if (runtimes.length === 0) this.series.clear();
    for (const runtime of runtimes) {
      if (needed(runtime, 'error') !== '') continue;
      this.#readGroups(object(runtime, 'report'), `runtime_tag=${String(needed(runtime, 'neuron_runtime_tag'))}`);
    }
    if (needed(record, 'system_data') !== null) this.#readGroups(object(record, 'system_data'), '');
    const hardware = needed(record, 'neuron_hardware_info');
    if (hardware !== null) this.hardware ??= hardwareLabels(asObject(hardware, 'neuron_hardware_info'));
  }

  get(family: string, labels: string): number | undefined {
    return this.series.get(`${family}{${labels}}`);
  }

  #readGroups(groups: JsonObject, labels: string): void {
    for (const [name, group] of Object.entries(groups)) {
      const data = asObject(group, name);
      if (needed(data, 'error') === '') this.#readGroup(name, data, labels);
    }
  }

  #readGroup(name: string, data: JsonObject, labels: string): void {
    switch (name) {
      case 'execution_stats':
        return this.#readExecutions(data, labels);
      case 'memory_used':
        return this.#readMemoryUsed(object(data, 'neuron_runtime_used_bytes'), labels);
      case 'neuron_runtime_vcpu_usage':
        for (const mode of ['user', 'system'])
          this.#set('neuron_runtime_vcpu_usage_ratio', `${labels},usage_type=${mode}`, number(object(data, 'vcpu_usage'), mode) / 100);
        return;
      case 'neuroncore_counters':
        for (const [core, counters] of Object.entries(object(data, 'neuroncores_in_use'))) {
          const percent = number(asObject(counters, core), 'neuroncore_utilization');
          this.#set('neuroncore_utilization_ratio', `${labels},neuroncore=${core}`, percent / 100);
        }
        return;
      case 'memory_info':
        for (const stat of ['memory_total_bytes', 'memory_used_bytes', 'swap_total_bytes', 'swap_used_bytes'])
          this.#set(`system_${stat}`, '', number(data, stat));
        return;
      case 'neuron_hw_counters':
        return this.#readHardwareCounters(data);
      case 'vcpu_usage':
        return this.#readVcpus(data);
      default:
    }
  }

  #readExecutions(data: JsonObject, labels: string): void {
    for (const [type, tally] of Object.entries(object(data, 'error_summary')))
      this.#add('execution_errors_total', `${labels},error_type=${type}`, Number(tally));
    for (const [status, tally] of Object.entries(object(data, 'execution_summary')))
      this.#add('execution_status_total', `${labels},status_type=${status}`, Number(tally));
    const latency = needed(object(data, 'latency_stats'), 'total_latency');
    if (latency === null) return;
    for (const [percentile, seconds] of Object.entries(asObject(latency, 'total_latency')))
      this.#set('execution_latency_seconds', `${labels},percentile=${percentile}`, Number(seconds));
  }

  #readMemoryUsed(used: JsonObject, labels: string): void {
    for (const location of ['host', 'neuron_device'])
      this.#set('neuron_runtime_memory_used_bytes', `${labels},memory_location=${location}`, number(used, location));
    const cores = object(object(used, 'usage_breakdown'), 'neuroncore_memory_usage');
    for (const kind of ['constants', 'model_code', 'model_shared_scratchpad', 'runtime_memory', 'tensors'])
      for (const [core, kinds] of Object.entries(cores))
        this.#set(`neuroncore_memory_usage_${kind}`, `${labels},neuroncore=${core}`, number(asObject(kinds, core), kind));
  }

  #readHardwareCounters(data: JsonObject): void {
    for (const device of asObjects(needed(data, 'neuron_devices'), 'neuron_devices'))
      for (const event of ['mem_ecc_corrected', 'mem_ecc_uncorrected', 'sram_ecc_corrected', 'sram_ecc_uncorrected']) {
        const labels = `event_type=${event},neuron_device_index=${number(device, 'neuron_device_index')}`;
        this.#add('hardware_ecc_events_total', labels, number(device, event));
      }
  }

  #readVcpus(data: JsonObject): void {
    this.#set('system_vcpu_count', '', Object.keys(object(data, 'usage_data')).length);
    const average = object(data, 'average_usage');
    const modes = { user: ['user', 'nice'], system: ['system', 'io_wait', 'irq', 'soft_irq'] };
    for (const [usage, added] of Object.entries(modes)) {
      const percent = added.reduce((sum, mode) => sum + number(average, mode), 0);
      this.#set('system_vcpu_usage_ratio', `usage_type=${usage}`, Math.min(percent, 100) / 100);
    }
  }

  #set(family: string, labels: string, value: number): void {
    this.series.set(`${family}{${labels}}`, value);
  }

  #add(family: string, labels: string, tally: number): void {
    if (tally < 0 || Number.isNaN(tally)) throw new RangeError(`${family}: counters can only be incremented by non-negative amounts`);
    const key = `${family}{${labels}}`;
    this.series.set(key, (this.series.get(key) ?? 0) + tally);
  }
}

function instanceLabels(info: JsonObject): JsonObject {
  const members = ['instance_name', 'instance_id', 'instance_type', 'instance_availability_zone', 'instance_region', 'subnet_id'];
  return Object.fromEntries(members.map((member) => [member, needed(info, member)]));
}

function hardwareLabels(info: JsonObject): JsonObject {
  return Object.fromEntries(['neuron_device_count', 'neuroncore_per_device_count'].map((member) => [member, needed(info, member)]));
}

/** Python's `data[member]`. */
function needed(data: JsonObject, member: string): unknown {
  if (!Object.hasOwn(data, member)) throw new Error(`KeyError: ${member}`);
  return data[member];
}

function object(data: JsonObject, member: string): JsonObject {
  return asObject(needed(data, member), member);
}

function number(data: JsonObject, member: string): number {
  const value = needed(data, member);
  if (typeof value !== 'number') throw new TypeError(`${member} is not a number`);
  return value;
}
