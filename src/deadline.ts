import { AgentError } from './errors.ts';
import type { Clock } from './host.ts';

/** Rejects with `source_timeout` when the signal aborts; never resolves. For races against work that may hang. */
export function rejectOnAbort(signal: AbortSignal, component: string): Promise<never> {
  return new Promise((_resolve, reject) => {
    const onAbort = (): void => reject(new AgentError('source_timeout', component, 'did not answer in time'));
    if (signal.aborted) onAbort();
    else signal.addEventListener('abort', onAbort, { once: true });
  });
}

/** Waits for `work`, but no longer than `deadlineMs`; returns true when it ended. A rejection of `work` passes through. */
export async function withDeadline(clock: Clock, work: Promise<void>, deadlineMs: number): Promise<boolean> {
  const late = Promise.withResolvers<boolean>();
  using _timer = clock.setTimer(() => late.resolve(false), deadlineMs);
  return await Promise.race([work.then(() => true), late.promise]);
}

/**
 * Takes one step after the other. A step that takes longer than the deadline, or that fails, is reported (with what it threw, if it threw)
 * and does not keep the next one.
 */
export async function inOrder(
  clock: Clock,
  steps: readonly (() => Promise<void>)[],
  deadlineMs: number,
  report: (thrown: unknown) => void,
): Promise<void> {
  for (const step of steps) {
    try {
      if (!(await withDeadline(clock, step(), deadlineMs))) report(undefined);
    } catch (thrown) {
      report(thrown);
    }
  }
}

/** The end of one component, as a step. */
export function disposal(component: AsyncDisposable | undefined): () => Promise<void> {
  return async () => component?.[Symbol.asyncDispose]();
}
