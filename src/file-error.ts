import { AgentError } from './errors.ts';
import type { ErrorCode } from './errors.ts';

const CODES: Readonly<Record<string, ErrorCode>> = {
  ENOENT: 'source_absent',
  ENOTDIR: 'source_absent',
  ENODEV: 'source_absent',
  ENXIO: 'source_absent',
  ESRCH: 'source_absent',
  EACCES: 'source_denied',
  EPERM: 'source_denied',
  // Nothing is wrong with the file: there are no descriptors left to open it with.
  EMFILE: 'source_denied',
  ENFILE: 'source_denied',
  ETIMEDOUT: 'source_timeout',
};

/** Returns the code of a failed file operation. An error of the kernel that is neither absence nor denial makes the file malformed. */
export function fileErrorCode(thrown: unknown): ErrorCode {
  const errno = errnoName(thrown);
  return errno === undefined ? 'internal' : (CODES[errno] ?? 'source_malformed');
}

/** A failed file operation as the agent's own error. */
export function fileError(thrown: unknown, component: string): AgentError {
  return AgentError.from(thrown, fileErrorCode(thrown), component);
}

/** `ENOENT` and the like; undefined when the error is not one of the operating system's. */
export function errnoName(thrown: unknown): string | undefined {
  if (!(thrown instanceof Error) || thrown instanceof AgentError || !('code' in thrown)) return undefined;
  return typeof thrown.code === 'string' ? thrown.code : undefined;
}
