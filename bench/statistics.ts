/** Median with the extremes of a series of measurements. */
export interface Summary {
  readonly median: number;
  readonly min: number;
  readonly max: number;
}

export function summarize(samples: readonly number[]): Summary {
  const sorted = samples.toSorted((a, b) => a - b);
  const middle = sorted.length / 2;
  const upper = sorted[Math.floor(middle)];
  const lower = sorted[Math.ceil(middle) - 1];
  const min = sorted[0];
  const max = sorted.at(-1);
  if (upper === undefined || lower === undefined || min === undefined || max === undefined) throw new RangeError('no samples');
  return { median: (lower + upper) / 2, min, max };
}

export function mean(samples: readonly number[]): number {
  return samples.reduce((sum, value) => sum + value, 0) / samples.length;
}

/** `name: median unit (min … max)`. */
export function describeSummary(name: string, { median, min, max }: Summary, unit: string): string {
  return `${name}: ${threeDigits(median)} ${unit} (${threeDigits(min)} … ${threeDigits(max)})`;
}

export interface Comparison {
  /** `NAME/measure`. */
  readonly measure: string;
  readonly ours: number;
  readonly peer: number;
  /** Which of two values is the better one. */
  readonly better: 'less' | 'more';
  readonly goal: string;
}

/**
 * Closing line of a measure. The ratio is above 1 where the agent is better: peer ÷ ours where less is better,
 * ours ÷ peer where more is better, and then the line says so.
 */
export function closingLine({ measure, ours, peer, better, goal }: Comparison): string {
  const ratio = better === 'less' ? peer / ours : ours / peer;
  const note = better === 'less' ? '' : ' (ratio is ours/peer)';
  return `${measure} ours=${threeDigits(ours)} peer=${threeDigits(peer)} ratio=${threeDigits(ratio)} goal=${goal}${note}`;
}

function threeDigits(value: number): string {
  return value >= 1000 ? String(Math.round(value)) : String(Number(value.toPrecision(3)));
}
