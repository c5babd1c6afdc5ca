import { isMainThread, parentPort, workerData } from 'node:worker_threads';
import { compareSync } from 'bcryptjs';

/** One password to check; the answer carries the same id. */
export interface BcryptTask {
  readonly id: number;
  readonly password: string;
  readonly hash: string;
}

export interface BcryptAnswer {
  readonly id: number;
  readonly isMatch: boolean;
}

/** `workerData` of the thread that computes bcrypt hashes. */
export const BCRYPT_WORKER = 'neuron-otel bcrypt';

// The bundle is one file: the same file is the program of the main thread and of this one.
if (!isMainThread && workerData === BCRYPT_WORKER) {
  const port = parentPort;
  port?.on('message', ({ id, password, hash }: BcryptTask) => {
    port.postMessage({ id, isMatch: matches(password, hash) } satisfies BcryptAnswer);
  });
}

function matches(password: string, hash: string): boolean {
  try {
    return compareSync(password, hash);
  } catch {
    // A hash whose salt is not bcrypt's base64 matches no password.
    return false;
  }
}
