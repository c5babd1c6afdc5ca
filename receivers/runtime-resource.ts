import type { RuntimeRef } from '../src/readings.ts';

/**
 * Resource attributes of a Neuron process. `process.pid` and `process.creation.time` identify it as the semantic conventions
 * of `process` ask; the creation time (ISO 8601) is absent where the host's `/proc` cannot be seen. The tag is the workload's own
 * word and identifies nothing: several processes may carry one, and by default it is the process id inside the container.
 */
export function runtimeResource({ pid, startTimeMs, tag, attributes }: RuntimeRef): Readonly<Record<string, string | number>> {
  const resource: Record<string, string | number> = { 'process.pid': pid };
  if (startTimeMs !== undefined) resource['process.creation.time'] = new Date(startTimeMs).toISOString();
  if (tag !== '') resource['neuron.runtime.tag'] = tag;
  return Object.assign(resource, attributes);
}
