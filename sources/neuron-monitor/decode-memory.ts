import type { LoadedModel, MemoryUsed, SubgraphMemory } from '../../src/readings.ts';
import { INDEX_KEY, present } from './fields.ts';
import type { FieldReader } from './fields.ts';

const SUBGRAPH_NAME = /^.{1,255}$/s;

/** Bytes. The breakdown is absent before tools 2.5.16. */
export function decodeMemoryUsed(fields: FieldReader): MemoryUsed {
  const used = fields.object('neuron_runtime_used_bytes');
  const breakdown = used?.object('usage_breakdown');
  return present<MemoryUsed>({
    host: used?.number('host'),
    neuron_device: used && deviceBytes(used),
    host_breakdown: breakdown?.numbers('host'),
    neuroncore_memory_usage: breakdown?.map('neuroncore_memory_usage', INDEX_KEY, (cores, key) => cores.numbers(key)),
    loaded_models: fields.objects('loaded_models')?.flatMap((model) => decodeModel(model)),
  });
}

/** `device` is an old spelling that at least one reader of this format keeps. */
function deviceBytes(used: FieldReader): number | undefined {
  return used.number('neuron_device') ?? used.number('device');
}

/** One model without a name costs one model. `is_running` was false under full load in every capture. */
function decodeModel(model: FieldReader): readonly LoadedModel[] {
  const name = model.requiredText('name');
  if (name === undefined) return [];
  const subgraphs = model.map('subgraphs', SUBGRAPH_NAME, (graphs, key) => {
    const graph = graphs.object(key);
    return graph === undefined ? undefined : decodeSubgraph(graph, key);
  });
  return [
    present<LoadedModel>({
      name,
      uuid: model.filledText('uuid'),
      model_id: model.number('model_id'),
      is_running: model.flag('is_running'),
      subgraphs: Object.values(subgraphs ?? {}),
    }),
  ];
}

/** Recent tools add a member named after `neuroncore_version` (`"v2": "nc_v2.0"`); it repeats the core and is not read. */
function decodeSubgraph(graph: FieldReader, name: string): SubgraphMemory {
  const used = graph.object('memory_used_bytes');
  const breakdown = used?.object('usage_breakdown');
  return present<SubgraphMemory>({
    name,
    host: used?.number('host'),
    neuron_device: used && deviceBytes(used),
    host_breakdown: breakdown?.numbers('host'),
    device_breakdown: breakdown?.numbers('neuron_device') ?? breakdown?.numbers('device'),
    neuroncore_index: graph.index('neuroncore_index'),
    neuron_device_index: graph.index('neuron_device_index'),
  });
}
