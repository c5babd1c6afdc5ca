import type { Receiver, ReceiverContext, Recorder } from '../../src/receiver.ts';
import type { CoreCounters, GroupReading } from '../../src/report.ts';
import { deviceOfCore, indexOf } from '../core-index.ts';
import { contributePod } from '../placement.ts';
import { isZeroFilled } from '../zero-filled.ts';
import { metrics } from './metrics.ts';

export const receiver: Receiver<'neuroncore_counters'> = { group: 'neuroncore_counters', metrics, receive };

function receive(reading: GroupReading<'neuroncore_counters'>, recorder: Recorder, context: ReceiverContext): void {
  const cores = Object.entries(reading.data.neuroncores_in_use ?? {});
  if (isZeroFilled(reading, valuesOf(cores))) return;
  // Everything here is an average over the period.
  if (!context.ratesAreMeaningful) {
    recordShort(cores, recorder, context);
    return;
  }
  const busyCores: number[] = [];
  for (const [key, counters] of cores) {
    const core = indexOf(key, recorder);
    if (core === undefined) continue;
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
  for (const [key, percent] of Object.entries(counters.physical_cores ?? {})) {
    const physicalCore = indexOf(key, recorder);
    if (physicalCore === undefined) continue;
    recorder.set(metrics.physicalUtilization, percent, { ...attributes, 'neuron.physical_core.index': physicalCore });
  }
}

function recordShort(cores: readonly (readonly [string, CoreCounters])[], recorder: Recorder, context: ReceiverContext): void {
  for (const [key, { neuroncore_utilization: percent }] of cores) {
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

function* valuesOf(cores: readonly (readonly [string, CoreCounters])[]): Iterable<number | undefined> {
  for (const [, counters] of cores) yield* [counters.neuroncore_utilization, flopsOf(counters)];
}
