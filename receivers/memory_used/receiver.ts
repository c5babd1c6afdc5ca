import type { Receiver, ReceiverContext, Recorder } from '../../src/receiver.ts';
import type { GroupReading, LoadedModel, MemoryUsed, NumberMap, SubgraphMemory } from '../../src/readings.ts';
import { deviceOfCore, indexOf } from '../core-index.ts';
import { contributePod } from '../placement.ts';
import { isZeroFilled } from '../zero-filled.ts';
import { metrics } from './metrics.ts';

export const receiver: Receiver<'memory_used'> = { group: 'memory_used', metrics, receive };

function receive(reading: GroupReading<'memory_used'>, recorder: Recorder, context: ReceiverContext): void {
  const { data } = reading;
  if (isZeroFilled(reading, valuesOf(data))) return;
  if (data.host !== undefined) recorder.set(metrics.runtimeMemory, data.host, { 'neuron.memory.location': 'host' });
  if (data.neuron_device !== undefined) recorder.set(metrics.runtimeMemory, data.neuron_device, { 'neuron.memory.location': 'device' });
  for (const [category, usedBytes] of Object.entries(data.host_breakdown ?? {})) {
    recorder.set(metrics.hostMemory, usedBytes, { 'neuron.memory.category': category });
  }
  recordCores(data, recorder, context);
  if (data.loaded_models === undefined) return;
  recordModelCount(data.loaded_models, recorder);
  if (recorder.wants(metrics.modelMemory)) recordModels(data.loaded_models, recorder, context);
}

function recordCores(data: MemoryUsed, recorder: Recorder, context: ReceiverContext): void {
  const usedCores: number[] = [];
  const usage = data.neuroncore_memory_usage ?? {};
  for (const key of Object.keys(usage)) {
    const core = indexOf(key, recorder);
    const kinds = usage[key];
    if (core !== undefined && kinds !== undefined && recordCore(core, kinds, recorder, context) > 0) usedCores.push(core);
  }
  contributePod(recorder, usedCores, context.facts);
}

/** Returns the bytes of all kinds. */
function recordCore(core: number, kinds: NumberMap, recorder: Recorder, context: ReceiverContext): number {
  const device = deviceOfCore(core, context.facts);
  let coreBytes = 0;
  // Keys instead of entries, a literal instead of a spread: thousands of these points are made at once on the largest hosts.
  for (const category of Object.keys(kinds)) {
    const usedBytes = kinds[category];
    if (usedBytes === undefined) continue;
    const attributes = { 'neuron.device.index': device, 'neuron.core.index': core, 'neuron.memory.category': category };
    recorder.set(metrics.coreMemory, usedBytes, attributes);
    coreBytes += usedBytes;
  }
  return coreBytes;
}

function recordModelCount(models: readonly LoadedModel[], recorder: Recorder): void {
  const running = models.filter((model) => model.is_running === true).length;
  recorder.set(metrics.modelCount, running, { 'neuron.model.state': 'running' });
  recorder.set(metrics.modelCount, models.length - running, { 'neuron.model.state': 'loaded' });
}

function recordModels(models: readonly LoadedModel[], recorder: Recorder, context: ReceiverContext): void {
  const seen = new Set<string>();
  for (const model of models) {
    for (const subgraph of model.subgraphs) {
      const attributes = subgraphAttributes(model, subgraph, context);
      const identity = JSON.stringify(attributes);
      if (seen.has(identity)) recorder.fail('source_malformed', 'a subgraph of a model is listed twice');
      else recordSubgraph(subgraph, attributes, recorder);
      seen.add(identity);
    }
  }
}

type SubgraphAttributes = ReturnType<typeof subgraphAttributes>;

function subgraphAttributes(model: LoadedModel, subgraph: SubgraphMemory, context: ReceiverContext) {
  return {
    'neuron.device.index': subgraph.neuron_device_index,
    'neuron.core.index': coreOf(subgraph, context),
    'neuron.model.name': model.name,
    'neuron.model.uuid': model.uuid,
    'neuron.model.id': model.model_id,
    'neuron.model.subgraph.name': subgraph.name,
  };
}

function recordSubgraph(subgraph: SubgraphMemory, attributes: SubgraphAttributes, recorder: Recorder): void {
  for (const [location, category, usedBytes] of memoryOf(subgraph)) {
    recorder.set(metrics.modelMemory, usedBytes, {
      ...attributes,
      'neuron.memory.location': location,
      'neuron.memory.category': category,
    });
  }
}

type LocatedMemory = readonly [location: 'host' | 'device', category: string | undefined, usedBytes: number];

/** Yields the kinds of a location where they are known, its total where they are not: never both, so that sums hold. */
function* memoryOf(subgraph: SubgraphMemory): Iterable<LocatedMemory> {
  yield* memoryAt('host', subgraph.host, subgraph.host_breakdown);
  yield* memoryAt('device', subgraph.neuron_device, subgraph.device_breakdown);
}

function* memoryAt(location: 'host' | 'device', total: number | undefined, kinds: NumberMap | undefined): Iterable<LocatedMemory> {
  if (kinds !== undefined) for (const [category, usedBytes] of Object.entries(kinds)) yield [location, category, usedBytes];
  else if (total !== undefined) yield [location, undefined, total];
}

/** neuron-monitor numbers a subgraph's core within its device; every other core index is host-wide. */
function coreOf(subgraph: SubgraphMemory, context: ReceiverContext): number | undefined {
  const coresPerDevice = context.facts.neuron_hardware_info?.neuroncore_per_device_count;
  const { neuron_device_index: device, neuroncore_index: core } = subgraph;
  if (coresPerDevice === undefined || coresPerDevice < 1 || device === undefined || core === undefined) return undefined;
  return device * coresPerDevice + core;
}

function* valuesOf(data: MemoryUsed): Iterable<number | undefined> {
  yield* [data.host, data.neuron_device, data.loaded_models?.length];
  yield* Object.values(data.host_breakdown ?? {});
  for (const kinds of Object.values(data.neuroncore_memory_usage ?? {})) yield* Object.values(kinds);
}
