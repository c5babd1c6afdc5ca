import type { CoreCounters, ExecutionStats, NeuronCoreCounters, NumberMap, RuntimeVcpuUsage } from '../../src/readings.ts';
import { INDEX_KEY, present } from './fields.ts';
import type { FieldReader } from './fields.ts';

const PERCENTILE_KEY = /^p(?:100|\d{1,2}(?:\.\d{1,6})?)$/;

export function decodeExecutionStats(fields: FieldReader): ExecutionStats {
  const latency = fields.object('latency_stats');
  return present<ExecutionStats>({
    error_summary: withNumericalErrors(fields.numbers('error_summary')),
    execution_summary: fields.numbers('execution_summary'),
    latency_stats:
      latency &&
      present<NonNullable<ExecutionStats['latency_stats']>>({
        total_latency: latency.numbers('total_latency', PERCENTILE_KEY),
        device_latency: latency.numbers('device_latency', PERCENTILE_KEY),
      }),
  });
}

/** The user guide's text says `numeric`; its example and every capture say `numerical`. */
function withNumericalErrors(errors: NumberMap | undefined): NumberMap | undefined {
  if (errors?.['numeric'] === undefined) return errors;
  const { numeric, ...others } = errors;
  return { numerical: numeric, ...others };
}

/** Shares and counts of a process in a container come as zeros with an error: its `/proc` entry cannot be opened from there. */
export function decodeRuntimeVcpuUsage(fields: FieldReader): RuntimeVcpuUsage {
  const usage = fields.object('vcpu_usage');
  return usage === undefined ? {} : present<RuntimeVcpuUsage>({ user: usage.number('user'), system: usage.number('system') });
}

export function decodeCoreCounters(fields: FieldReader): NeuronCoreCounters {
  return present<NeuronCoreCounters>({
    neuroncores_in_use: fields.map('neuroncores_in_use', INDEX_KEY, (cores, key) => {
      const core = cores.object(key);
      return core === undefined ? undefined : decodeCore(core, Number(key));
    }),
  });
}

function decodeCore(core: FieldReader, logicalCore: number): CoreCounters {
  return present<CoreCounters>({
    neuroncore_utilization: core.number('neuroncore_utilization'),
    flops: core.number('flops'),
    effective_flops: core.number('effective_flops'),
    physical_cores: decodePhysicalCores(core, logicalCore),
  });
}

/** Member of a logical core, named after `neuroncore_version`: `v3d` on Trn2 with two physical cores in each logical one. */
const PHYSICAL_MEMBER = /^v\d+d$/;
/** `nc_v3.5`: the host-wide physical index, as in the user guide. */
const PHYSICAL_CORE = /^nc_v\d+\.(\d{1,6})$/;
/** `nc_v3`: an object with the members 0 and 1, as the neuron-anatomy sample of aws-neuron-samples reads it. */
const PHYSICAL_CORE_GROUP = /^nc_v\d+$/;
const PHYSICAL_PER_LOGICAL = 2;

/** No capture of a Trn2 host is public, so both published shapes are taken. Physical index → percent. */
function decodePhysicalCores(core: FieldReader, logicalCore: number): NumberMap | undefined {
  const found: Record<string, number> = {};
  for (const member of core.names(PHYSICAL_MEMBER)) {
    const cores = core.object(member);
    for (const name of cores?.names(PHYSICAL_CORE) ?? []) {
      keepUtilization(found, name.slice(name.indexOf('.') + 1), cores?.object(name));
    }
    for (const group of cores?.names(PHYSICAL_CORE_GROUP) ?? []) {
      const within = cores?.object(group);
      for (const key of within?.names(INDEX_KEY) ?? []) keepUtilization(found, hostWide(key, logicalCore), within?.object(key));
    }
  }
  return Object.keys(found).length === 0 ? undefined : found;
}

/** 0 and 1 count within the logical core: host-wide they could only be the cores of logical core 0, where both readings agree. */
function hostWide(key: string, logicalCore: number): string {
  const index = Number(key);
  return index < PHYSICAL_PER_LOGICAL ? String(logicalCore * PHYSICAL_PER_LOGICAL + index) : key;
}

function keepUtilization(found: Record<string, number>, index: string, core: FieldReader | undefined): void {
  const percent = core?.number('neuroncore_utilization');
  if (percent !== undefined) found[String(Number(index))] = percent;
}
