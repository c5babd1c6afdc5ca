import type { Clock } from '../../src/host.ts';

/** What came first: the promise's value, or `late` after `timeoutMs`. The promise itself goes on. */
export async function within<T, L>(promise: Promise<T>, timeoutMs: number, clock: Clock, late: L): Promise<T | L> {
  const { promise: timeout, resolve } = Promise.withResolvers<L>();
  using _timer = clock.setTimer(() => resolve(late), timeoutMs, { background: true });
  return await Promise.race([promise, timeout]);
}
