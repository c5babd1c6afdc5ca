import type { Recorder } from '../src/receiver.ts';
import type { HostFacts } from '../src/readings.ts';

const MAX_DIGITS = 6;
/** Code of the digit. */
const ZERO = 48;

/** Reads `"12"`, the member name neuron-monitor gives a core, a device or a vCPU; anything else is a failure of this reading. */
export function indexOf(key: string, recorder: Recorder): number | undefined {
  const index = parseIndex(key);
  if (index !== undefined) return index;
  recorder.fail('source_malformed', 'a member name should be an index and is not a number');
  return undefined;
}

/** One to six digits, none in front of the number. By hand: every core has its name read in each cycle, and a match would be garbage. */
function parseIndex(key: string): number | undefined {
  if (key.length === 0 || key.length > MAX_DIGITS) return undefined;
  let index = 0;
  for (let at = 0; at < key.length; at += 1) {
    const digit = key.charCodeAt(at) - ZERO;
    if (digit < 0 || digit > 9) return undefined;
    index = 10 * index + digit;
  }
  return key.length > 1 && key.charCodeAt(0) === ZERO ? undefined : index;
}

/**
 * Device of a core by its host-wide logical index: neuron-monitor numbers cores device × cores per device + core in device,
 * with logical cores where the logical NeuronCore configuration joins physical ones. Undefined while the count is unknown.
 */
export function deviceOfCore(core: number, facts: HostFacts): number | undefined {
  const coresPerDevice = facts.neuron_hardware_info?.neuroncore_per_device_count;
  return coresPerDevice === undefined || coresPerDevice < 1 ? undefined : Math.floor(core / coresPerDevice);
}
