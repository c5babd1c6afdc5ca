import * as fc from 'fast-check';

/** Streams of records as neuron-monitor may print them: processes and tags come and go, anything may be missing, null or failed. */
export function anyStream(): fc.Arbitrary<readonly string[]> {
  return fc.array(record(), { minLength: 1, maxLength: 6 }).map((records) => records.map((value) => JSON.stringify(value)));
}

const percent = fc.oneof(
  fc.constant(0),
  fc.constant(100),
  fc.integer({ min: 0, max: 10_000 }).map((hundredths) => hundredths / 100),
);
const preciseShare = fc.oneof(percent, fc.double({ min: 0, max: 100, noNaN: true }));
const bytes = fc.oneof(fc.constant(0), fc.nat(2_000_000), fc.integer({ min: 0, max: 2 ** 40 }));
const tally = fc.oneof(fc.constant(0), fc.nat(30_000), fc.nat(2_000_000_000));
const period = fc.constantFrom(5, 4.999812, 0.0017, 0);
/** What a workload or an administrator may have called something. */
const word = fc.oneof(fc.constantFrom('', '1', 'train', 'a"b\\c\nd', 'tag 🔥', '\u202e\u0000'), fc.string({ maxLength: 8 }));

function record(): fc.Arbitrary<unknown> {
  return fc.record({
    neuron_runtime_data: rarely(null, fc.uniqueArray(runtime(), { maxLength: 4, selector: ({ pid }) => pid })),
    system_data: rarely(null, fc.record({ memory_info: memoryInfo(), neuron_hw_counters: hardwareCounters(), vcpu_usage: vcpuUsage() })),
    instance_info: rarely(null, instanceInfo()),
    neuron_hardware_info: rarely(null, hardwareInfo()),
  });
}

/** Of few processes and few tags, so that they meet again and share. */
function runtime() {
  return fc.record({
    pid: fc.integer({ min: 1, max: 5 }),
    neuron_runtime_tag: fc.oneof({ weight: 3, arbitrary: fc.constantFrom('1', 'train') }, { weight: 1, arbitrary: word }),
    error: fc.constant(''),
    report: rarely(
      null,
      fc.record({
        execution_stats: group(executionStats()),
        memory_used: group(memoryUsed()),
        neuron_runtime_vcpu_usage: group(fc.record({ vcpu_usage: fc.record({ user: percent, system: percent }) })),
        neuroncore_counters: group(fc.record({ neuroncores_in_use: perIndex(coreCounters(), 12) })),
      }),
    ),
  });
}

function executionStats() {
  const errors = { numerical: tally, transient: tally, model: tally, runtime: tally, hardware: tally };
  const outcomes = { completed: tally, completed_with_err: tally, timed_out: tally, failed_to_queue: tally };
  const seconds = fc.double({ min: 0, max: 50, noNaN: true });
  const latency = fc.record({ p0: seconds, p1: seconds, p100: seconds, p25: seconds, p50: seconds, p75: seconds, p99: seconds });
  return fc.record({
    error_summary: fc.oneof(fc.record(errors), fc.record({ generic: tally, ...errors })),
    execution_summary: fc.record(outcomes),
    latency_stats: fc.record({ total_latency: fc.option(latency), device_latency: fc.option(latency) }),
  });
}

function memoryUsed() {
  const kinds = { constants: bytes, model_code: bytes, model_shared_scratchpad: bytes, runtime_memory: bytes, tensors: bytes };
  const breakdown = fc.record({
    host: fc.record({ application_memory: bytes, constants: bytes, dma_buffers: bytes, tensors: bytes }),
    neuroncore_memory_usage: perIndex(fc.record(kinds), 12),
  });
  return fc.record({
    neuron_runtime_used_bytes: fc.oneof(
      fc.record({ host: bytes, neuron_device: bytes, usage_breakdown: breakdown }),
      // Releases before 2.5.16.
      fc.record({ host: bytes, neuron_device: bytes }),
    ),
    loaded_models: fc.constant([]),
  });
}

function coreCounters() {
  const physical = fc.record({ neuroncore_utilization: percent });
  return fc.oneof(
    fc.record({ neuroncore_utilization: preciseShare }),
    fc.record({ neuroncore_utilization: preciseShare, effective_flops: tally }),
    fc.record({ neuroncore_utilization: preciseShare, v3d: fc.record({ 'nc_v3.0': physical, 'nc_v3.1': physical }) }),
    fc.record({ neuroncore_utilization: preciseShare, v3d: fc.record({ nc_v3: fc.record({ 0: physical, 1: physical }) }) }),
  );
}

/** No more is used than there is. */
function memoryInfo() {
  const facts = fc.tuple(bytes, bytes, bytes, bytes).map(([used, free, swapped, freeSwap]) => ({
    memory_total_bytes: used + free,
    memory_used_bytes: used,
    swap_total_bytes: swapped + freeSwap,
    swap_used_bytes: swapped,
  }));
  return group(facts);
}

function hardwareCounters() {
  const counts = { mem_ecc_corrected: tally, mem_ecc_uncorrected: tally, sram_ecc_uncorrected: tally };
  const device = fc.oneof(
    fc.record({ neuron_device_index: fc.nat(3), ...counts, sram_ecc_corrected: tally }),
    fc.record({ neuron_device_index: fc.nat(3), ...counts }),
  );
  const devices = fc
    .uniqueArray(device, { maxLength: 3, selector: ({ neuron_device_index: index }) => index })
    .map((listed) => listed.toSorted((a, b) => a.neuron_device_index - b.neuron_device_index));
  return group(fc.record({ neuron_devices: rarely(null, devices) }));
}

function vcpuUsage() {
  const modes = fc.record({
    user: percent,
    nice: percent,
    system: percent,
    idle: percent,
    io_wait: percent,
    irq: percent,
    soft_irq: percent,
  });
  return group(fc.record({ average_usage: modes, usage_data: perIndex(modes, 3), context_switch_count: tally }));
}

function instanceInfo() {
  const texts = {
    instance_name: word,
    instance_id: word,
    instance_type: word,
    instance_availability_zone: word,
    instance_region: word,
    subnet_id: word,
    error: fc.constant(''),
  };
  return fc.oneof(fc.record(texts), fc.record({ ...texts, ultraserver_id: word }));
}

function hardwareInfo() {
  const counts = { neuron_device_count: fc.nat(16), neuroncore_per_device_count: fc.nat(8) };
  return fc.oneof(
    fc.record({ ...counts, error: fc.constantFrom('', 'no neuron device found') }),
    fc.record({ neuron_device_type: word, ...counts, neuron_device_memory_size: bytes, error: fc.constant('') }),
  );
}

/** A group with its period; absent, null, or filled with zeros next to an error from time to time. */
function group(data: fc.Arbitrary<object>): fc.Arbitrary<unknown> {
  const measured = fc.tuple(period, data).map(([seconds, members]) => ({ period: seconds, ...members, error: '' }));
  const failed = data.map((members) => ({ period: 5, ...zeroed(members), error: 'open /proc/1/stat: no such file or directory' }));
  return fc.oneof({ weight: 8, arbitrary: measured }, { weight: 1, arbitrary: failed }, { weight: 1, arbitrary: fc.constant(null) });
}

function zeroed(members: object): object {
  const zeros: unknown = JSON.parse(JSON.stringify(members), (_, value: unknown) => (typeof value === 'number' ? 0 : value));
  return typeof zeros === 'object' && zeros !== null ? zeros : {};
}

function rarely<T>(instead: null, arbitrary: fc.Arbitrary<T>): fc.Arbitrary<T | null> {
  return fc.option(arbitrary, { nil: instead, freq: 12 });
}

function perIndex<T>(arbitrary: fc.Arbitrary<T>, max: number): fc.Arbitrary<Record<string, T>> {
  return fc.array(arbitrary, { maxLength: max }).map((values) => Object.fromEntries(values.entries()));
}
