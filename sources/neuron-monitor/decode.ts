import { runtimeKey } from '../../src/readings.ts';
import type { AnyGroupReading, GroupData, GroupReading, MetricGroup, RuntimeRef } from '../../src/readings.ts';
import type { SourceFailure } from '../../src/source.ts';
import { decodeHardwareInfo, decodeInstanceInfo, decodeK8sInfo } from './decode-facts.ts';
import { decodeMemoryUsed } from './decode-memory.ts';
import { decodeCoreCounters, decodeExecutionStats, decodeRuntimeVcpuUsage } from './decode-runtime.ts';
import { decodeHwCounters, decodeMemoryInfo, decodeVcpuUsage } from './decode-system.ts';
import { FieldReader, Refusals } from './fields.ts';
import type { JsonObject } from './fields.ts';

/** The largest trn2 host has 128 physical cores, and a process holds at least one. */
const MAX_RUNTIMES = 1024;

export interface DecodedRecord {
  readonly readings: readonly AnyGroupReading[];
  /** Processes of `neuron_runtime_data`, each once; absent when the record says nothing about processes. */
  readonly runtimes?: readonly RuntimeRef[];
  readonly failures: readonly SourceFailure[];
}

/**
 * A document of neuron-monitor as typed readings. Takes every shape seen or documented: null or absent anywhere, unknown members,
 * any member order, whole or fractional numbers. What is wrong is refused field by field and listed next to what is right.
 * Source of the shapes: neuron-monitor user guide and published captures.
 */
export function decodeRecord(document: JsonObject): DecodedRecord {
  const refusals = new Refusals();
  const root = new FieldReader(document, refusals);
  const readings: AnyGroupReading[] = [];
  const runtimes = decodeRuntimes(root, readings);
  const system = root.object('system_data');
  if (system !== undefined) {
    collect(readings, readGroup(system, 'memory_info', decodeMemoryInfo));
    collect(readings, readGroup(system, 'neuron_hw_counters', decodeHwCounters));
    collect(readings, readGroup(system, 'vcpu_usage', decodeVcpuUsage));
  }
  collect(readings, readGroup(root, 'instance_info', decodeInstanceInfo));
  collect(readings, readGroup(root, 'neuron_hardware_info', decodeHardwareInfo));
  collect(readings, readGroup(root, 'neuron_k8s_info', decodeK8sInfo));
  return { readings, failures: refusals.list(), ...(runtimes === undefined ? {} : { runtimes }) };
}

function decodeRuntimes(root: FieldReader, readings: AnyGroupReading[]): readonly RuntimeRef[] | undefined {
  const entries = root.objects('neuron_runtime_data');
  if (entries === undefined) return undefined;
  const runtimes = new Map<string, RuntimeRef>();
  for (const entry of entries) {
    const runtime = decodeRuntimeRef(entry);
    if (runtime === undefined) continue;
    const key = runtimeKey(runtime);
    if (runtimes.has(key)) {
      entry.refuse('pid', 'another process than in an earlier entry');
    } else if (runtimes.size === MAX_RUNTIMES) {
      entry.refuse('pid', `at most ${MAX_RUNTIMES} processes`);
    } else {
      runtimes.set(key, runtime);
      decodeReport(entry, runtime, readings);
    }
  }
  return [...runtimes.values()];
}

/** `pid` is the host's. A record trimmed by other tools may lack the tag: it stays empty, it is not guessed from the pid. */
function decodeRuntimeRef(entry: FieldReader): RuntimeRef | undefined {
  const pid = entry.requiredIndex('pid');
  if (pid === undefined) return undefined;
  const error = entry.filledText('error');
  return { pid, tag: entry.text('neuron_runtime_tag') ?? '', ...(error === undefined ? {} : { error }) };
}

function decodeReport(entry: FieldReader, runtime: RuntimeRef, readings: AnyGroupReading[]): void {
  const report = entry.object('report');
  if (report === undefined) return;
  collect(readings, readGroup(report, 'execution_stats', decodeExecutionStats, runtime));
  collect(readings, readGroup(report, 'memory_used', decodeMemoryUsed, runtime));
  collect(readings, readGroup(report, 'neuron_runtime_vcpu_usage', decodeRuntimeVcpuUsage, runtime));
  collect(readings, readGroup(report, 'neuroncore_counters', decodeCoreCounters, runtime));
}

/** A group the record does not carry gives nothing: it was not due, or it is not configured. */
function readGroup<G extends MetricGroup>(
  holder: FieldReader,
  group: G,
  decode: (fields: FieldReader) => GroupData[G],
  runtime?: RuntimeRef,
): GroupReading<G> | undefined {
  const fields = holder.object(group, group);
  if (fields === undefined) return undefined;
  const periodSeconds = fields.number('period');
  if (periodSeconds !== undefined && periodSeconds < 0) fields.refuse('period', 'zero or more seconds');
  const error = fields.filledText('error');
  return {
    group,
    data: decode(fields),
    ...(runtime === undefined ? {} : { runtime }),
    ...(periodSeconds === undefined || periodSeconds < 0 ? {} : { periodSeconds }),
    ...(error === undefined ? {} : { error }),
  };
}

function collect(readings: AnyGroupReading[], reading: AnyGroupReading | undefined): void {
  if (reading !== undefined) readings.push(reading);
}
