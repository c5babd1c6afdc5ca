import type { RuntimeRef } from '../src/report.ts';

/**
 * Resource attributes of a Neuron process. `process.pid` and `process.creation.time` identify it as the semantic conventions
 * of `process` ask; the creation time (ISO 8601) is absent where the host's `/proc` cannot be seen. The tag is the workload's own
 * word and identifies nothing: several processes may carry one, and by default it is the process id inside the container.
 */
export function runtimeResource(runtime: RuntimeRef): Readonly<Record<string, string | number>> {
  return {
    'process.pid': runtime.pid,
    ...(runtime.startTimeMs === undefined ? {} : { 'process.creation.time': new Date(runtime.startTimeMs).toISOString() }),
    ...(runtime.tag === '' ? {} : { 'neuron.runtime.tag': runtime.tag }),
    ...runtime.attributes,
  };
}
