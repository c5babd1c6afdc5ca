import type { Receiver, Recorder } from '../../src/receiver.ts';
import type { ExecutionStats, GroupReading, NumberMap } from '../../src/readings.ts';
import { isZeroFilled } from '../zero-filled.ts';
import { metrics } from './metrics.ts';

export const receiver: Receiver<'execution_stats'> = { group: 'execution_stats', metrics, receive };

/** The percentiles of every period, known once and for all. */
const USUAL_QUANTILES = new Map(['p0', 'p1', 'p25', 'p50', 'p75', 'p99', 'p100'].map((name) => [name, quantileOf(name)]));

type LatencyKind = 'total' | 'device';

function receive(reading: GroupReading<'execution_stats'>, recorder: Recorder): void {
  const { error_summary: errors, execution_summary: outcomes, latency_stats: latency } = reading.data;
  if (isZeroFilled(reading, valuesOf(reading.data))) return;
  // The keys are the vendor's and change between releases; each one present is a series, from its first zero on.
  for (const [type, tally] of Object.entries(errors ?? {})) recorder.add(metrics.errors, tally, { 'error.type': type });
  for (const [outcome, tally] of Object.entries(outcomes ?? {})) {
    recorder.add(metrics.executions, tally, { 'neuron.execution.outcome': outcome });
  }
  if (reading.data.latency_coverage !== undefined) recorder.set(metrics.latencyCoverage, reading.data.latency_coverage, {});
  if (latency === undefined) return;
  recordLatency('total', latency.total_latency, outcomes?.['completed'], recorder);
  recordLatency('device', latency.device_latency, outcomes?.['completed'], recorder);
}

function recordLatency(kind: LatencyKind, percentiles: NumberMap | undefined, completed: number | undefined, recorder: Recorder): void {
  const attributes = { 'neuron.latency.type': kind };
  const quantiles = quantilesOf(percentiles ?? {}, recorder);
  for (const [quantile, seconds] of quantiles) {
    recorder.set(metrics.latency, seconds, { 'neuron.latency.type': kind, 'neuron.latency.quantile': String(quantile) });
  }
  // A period without a distribution still keeps the histogram in view: nothing was added, nothing ended.
  if (quantiles.size === 0) recorder.distribution(metrics.duration, { count: 0, quantiles }, attributes);
  else if (completed !== undefined) recorder.distribution(metrics.duration, { count: completed, quantiles }, attributes);
}

function* valuesOf(data: ExecutionStats): Iterable<number> {
  yield* Object.values(data.error_summary ?? {});
  yield* Object.values(data.execution_summary ?? {});
}

function quantilesOf(percentiles: NumberMap, recorder: Recorder): ReadonlyMap<number, number> {
  const quantiles = new Map<number, number>();
  for (const [name, seconds] of Object.entries(percentiles)) {
    const quantile = USUAL_QUANTILES.get(name) ?? quantileOf(name);
    if (quantile === undefined) recorder.fail('source_malformed', 'a latency percentile has an unknown name');
    else quantiles.set(quantile, seconds);
  }
  return quantiles;
}

/** `p25` → 0.25; rounded, because 99.9 / 100 is not 0.999. */
function quantileOf(name: string): number | undefined {
  const percent = /^p(\d{1,3}(?:\.\d{1,6})?)$/.exec(name)?.[1];
  return percent === undefined || Number(percent) > 100 ? undefined : Number((Number(percent) / 100).toFixed(8));
}
