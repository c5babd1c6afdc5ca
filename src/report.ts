import type { StreamLine } from './source.ts';

/**
 * One report as neuron-monitor prints it. `document` has neuron-monitor's member names; members that the agent has no use for are kept.
 * `line` is present when the report came from a stream and nothing was filtered out of it: then its bytes are the output.
 */
export interface Report {
  readonly document: Readonly<Record<string, unknown>>;
  readonly line?: StreamLine;
}
