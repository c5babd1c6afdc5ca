/** Every kind of failure, as one closed set: logs, self-metrics and exit codes use these words and no others. */
export const ERROR_CODES = [
  'config_invalid',
  'source_absent',
  'source_denied',
  'source_malformed',
  'source_timeout',
  'source_stale',
  'child_exited',
  'export_retryable',
  'export_permanent',
  'internal',
] as const;

export type ErrorCode = (typeof ERROR_CODES)[number];

/** Numbers and texts of one failure, so that its message can be constant. */
export type ErrorDetails = Readonly<Record<string, string | number | readonly number[]>>;

/** A failure: `code` can be counted, `component` is the name of a folder, the message is for people. */
export class AgentError extends Error {
  override readonly name = 'AgentError';
  readonly code: ErrorCode;
  readonly component: string;
  // Private: the log shows details as fields of the line, and not once more below `err`.
  readonly #details: ErrorDetails | undefined;

  constructor(
    code: ErrorCode,
    component: string,
    message: string,
    options?: { readonly cause?: unknown; readonly details?: ErrorDetails },
  ) {
    super(message, options);
    this.code = code;
    this.component = component;
    this.#details = options?.details;
  }

  get details(): ErrorDetails | undefined {
    return this.#details;
  }

  /** Wraps anything thrown; an `AgentError` passes through unchanged. */
  static from(thrown: unknown, code: ErrorCode, component: string): AgentError {
    if (thrown instanceof AgentError) return thrown;
    const message = thrown instanceof Error ? thrown.message : String(thrown);
    return new AgentError(code, component, message, { cause: thrown });
  }
}

/**
 * Exit codes of the command line: 0 done, 1 failed, 2 wrong usage, 70 the stop was held up and cut off (EX_SOFTWARE of sysexits.h),
 * 78 invalid configuration (EX_CONFIG).
 */
export const EXIT = { ok: 0, failure: 1, usage: 2, forced: 70, config: 78 } as const;
