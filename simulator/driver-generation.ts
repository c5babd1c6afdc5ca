/** What a driver release shows in sysfs, as its source and release notes tell. */
export interface DriverGeneration {
  readonly version: string;
  /** Whether this release has everything that came with `since`. */
  has(since: string): boolean;
  /** The datastore's counters are computed whenever they are read; before, they moved only when a process ended. */
  readonly countersAreLive: boolean;
  /** Nodes stand elsewhere. */
  readonly isRearranged: boolean;
}

/** `version` as `/sys/module/neuron/version` says it, such as `2.24.7.0`. Throws a RangeError for anything before 2.8. */
export function driverGeneration(version: string): DriverGeneration {
  const has = (since: string): boolean => compareVersions(version, since) >= 0;
  if (!/^\d+(\.\d+){1,3}$/.test(version) || !has('2.8')) throw new RangeError('the virtual driver knows releases from 2.8 on');
  return { version, has, countersAreLive: has('2.30.2'), isRearranged: has('2.31') };
}

function compareVersions(a: string, b: string): number {
  const left = a.split('.').map(Number);
  const right = b.split('.').map(Number);
  for (let i = 0; i < Math.max(left.length, right.length); i += 1) {
    const difference = (left[i] ?? 0) - (right[i] ?? 0);
    if (difference !== 0) return difference;
  }
  return 0;
}
