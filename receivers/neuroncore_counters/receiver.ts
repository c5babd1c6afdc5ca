import type { Receiver, ReceiverContext, Recorder } from '../../src/receiver.ts';
import type { CoreCounters, GroupReading, NumberMap } from '../../src/readings.ts';
import { deviceOfCore, indexOf } from '../core-index.ts';
import { contributePod } from '../placement.ts';
import { isZeroFilled } from '../zero-filled.ts';
import { metrics } from './metrics.ts';

type Cores = Readonly<Record<string, CoreCounters>>;

export const receiver: Receiver<'neuroncore_counters'> = { group: 'neuroncore_counters', metrics, receive };

function receive(reading: GroupReading<'neuroncore_counters'>, recorder: Recorder, context: ReceiverContext): void {
  const cores = reading.data.neuroncores_in_use ?? {};
  if (isZeroFilled(reading, valuesOf(cores))) return;
  // Everything here is an average over the period.
  if (!context.ratesAreMeaningful) {
    recordShort(cores, recorder, context);
    return;
  }
  const busyCores: number[] = [];
  for (const key of Object.keys(cores)) {
    const core = indexOf(key, recorder);
    const counters = cores[key];
    if (core === undefined || counters === undefined) continue;
    recordCore(core, counters, recorder, context);
    if (isBusy(counters)) busyCores.push(core);
  }
  contributePod(recorder, busyCores, context.facts);
}

function recordCore(core: number, counters: CoreCounters, recorder: Recorder, context: ReceiverContext): void {
  const attributes = { 'neuron.device.index': deviceOfCore(core, context.facts), 'neuron.core.index': core };
  const flops = flopsOf(counters);
  if (counters.neuroncore_utilization !== undefined) recorder.set(metrics.utilization, counters.neuroncore_utilization, attributes);
  if (flops !== undefined) recorder.set(metrics.flops, flops, attributes);
  if (counters.physical_cores !== undefined) recordPhysical(counters.physical_cores, core, recorder, context);
}

function recordPhysical(shares: NumberMap, core: number, recorder: Recorder, context: ReceiverContext): void {
  const device = deviceOfCore(core, context.facts);
  for (const key of Object.keys(shares)) {
    const physicalCore = indexOf(key, recorder);
    const percent = shares[key];
    if (physicalCore === undefined || percent === undefined) continue;
    const attributes = { 'neuron.device.index': device, 'neuron.core.index': core, 'neuron.physical_core.index': physicalCore };
    recorder.set(metrics.physicalUtilization, percent, attributes);
  }
}

function recordShort(cores: Cores, recorder: Recorder, context: ReceiverContext): void {
  for (const [key, { neuroncore_utilization: percent }] of Object.entries(cores)) {
    const core = indexOf(key, recorder);
    if (core === undefined || percent === undefined) continue;
    const attributes = { 'neuron.device.index': deviceOfCore(core, context.facts), 'neuron.core.index': core };
    recorder.set(metrics.legacyShortUtilization, percent, attributes);
  }
}

/** `flops` is the older name; releases that state `effective_flops` have dropped it or repeat it. */
function flopsOf(counters: CoreCounters): number | undefined {
  return counters.effective_flops ?? counters.flops;
}

function isBusy(counters: CoreCounters): boolean {
  const { neuroncore_utilization: percent } = counters;
  const flops = flopsOf(counters);
  return (percent !== undefined && percent > 0) || (flops !== undefined && flops > 0);
}

function* valuesOf(cores: Cores): Iterable<number | undefined> {
  for (const counters of Object.values(cores)) yield* [counters.neuroncore_utilization, flopsOf(counters)];
}
