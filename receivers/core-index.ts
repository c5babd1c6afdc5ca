import type { Recorder } from '../src/receiver.ts';
import type { HostFacts } from '../src/report.ts';

/** Reads `"12"`, the member name neuron-monitor gives a core, a device or a vCPU; anything else is a failure of this reading. */
export function indexOf(key: string, recorder: Recorder): number | undefined {
  if (/^(?:0|[1-9]\d{0,5})$/.test(key)) return Number(key);
  recorder.fail('source_malformed', 'a member name should be an index and is not a number');
  return undefined;
}

/**
 * Device of a core by its host-wide logical index: neuron-monitor numbers cores device × cores per device + core in device,
 * with logical cores where the logical NeuronCore configuration joins physical ones. Undefined while the count is unknown.
 */
export function deviceOfCore(core: number, facts: HostFacts): number | undefined {
  const coresPerDevice = facts.neuron_hardware_info?.neuroncore_per_device_count;
  return coresPerDevice === undefined || coresPerDevice < 1 ? undefined : Math.floor(core / coresPerDevice);
}
