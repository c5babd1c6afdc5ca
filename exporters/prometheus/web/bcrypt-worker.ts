import { parentPort } from 'node:worker_threads';
import type { MessagePort } from 'node:worker_threads';
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

/** Entry of the thread that computes bcrypt hashes. */
if (parentPort !== null) serve(parentPort);

function serve(port: MessagePort): void {
  port.on('message', ({ id, password, hash }: BcryptTask) => {
    const answer: BcryptAnswer = { id, isMatch: matches(password, hash) };
    // oxlint-disable-next-line unicorn/require-post-message-target-origin -- a worker thread, not a window
    port.postMessage(answer);
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
