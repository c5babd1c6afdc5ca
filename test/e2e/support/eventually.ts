import { setTimeout as delay } from 'node:timers/promises';

export interface EventuallyOptions {
  readonly timeoutMs: number;
  /** What is waited for, for the error message. */
  readonly what: string;
  /** More for the error message, such as a process's output. */
  readonly context?: () => string;
  /** True for an error that no further attempt can mend. */
  readonly isFinal?: (error: unknown) => boolean;
}

const POLL_INTERVAL_MS = 25;

/** Polls a real process or server until `probe` returns something, and says what was missing when it never does. */
export async function eventually<T>(probe: () => Promise<T | undefined> | T | undefined, options: EventuallyOptions): Promise<T> {
  const deadline = performance.now() + options.timeoutMs;
  let lastError: unknown;
  for (;;) {
    try {
      const value = await probe();
      if (value !== undefined) return value;
      lastError = undefined;
    } catch (error) {
      lastError = error;
      if (options.isFinal?.(error) === true) throw failure(options, error);
    }
    if (performance.now() > deadline) throw failure(options, lastError);
    await delay(POLL_INTERVAL_MS);
  }
}

function failure(options: EventuallyOptions, cause: unknown): Error {
  const reason = cause instanceof Error ? `: ${cause.message}` : '';
  const context = options.context === undefined ? '' : `\n${options.context()}`;
  return new Error(`waited ${options.timeoutMs} ms for ${options.what}${reason}${context}`, { cause });
}
