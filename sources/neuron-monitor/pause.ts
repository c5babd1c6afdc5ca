import type { Clock } from '../../src/host.ts';

/** Waits `delayMs`, or until the signal aborts: whoever waits looks at the signal next. */
export async function pause(clock: Clock, delayMs: number, signal: AbortSignal): Promise<void> {
  if (signal.aborted) return;
  const over = Promise.withResolvers<void>();
  const onAbort = (): void => over.resolve();
  signal.addEventListener('abort', onAbort, { once: true });
  using _timer = clock.setTimer(() => over.resolve(), delayMs);
  await over.promise;
  signal.removeEventListener('abort', onAbort);
}
