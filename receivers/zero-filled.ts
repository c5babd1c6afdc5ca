import type { GroupReading } from '../src/readings.ts';

/**
 * Returns true when an error comes with nothing but zeros: neuron-monitor fills a group it could not read with zeros
 * (seen for `/proc/<pid>/stat` inside containers). Such zeros are not measurements.
 */
export function isZeroFilled(reading: Pick<GroupReading, 'error' | 'runtime'>, values: Iterable<number | undefined>): boolean {
  const failed = isText(reading.error) || isText(reading.runtime?.error);
  if (!failed) return false;
  for (const value of values) if (value !== undefined && value !== 0) return false;
  return true;
}

function isText(error: string | undefined): boolean {
  return error !== undefined && error !== '';
}
