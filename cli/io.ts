import type { Readable, Writable } from 'node:stream';
import type { Host } from '../src/host.ts';

/** The process as the commands see it: streams, the host, and signals. */
export interface CliIo {
  readonly stdin: Readable;
  readonly stdout: Writable;
  readonly stderr: Writable;
  readonly host: Host;
  /** Aborts at the first signal that stops. */
  readonly stop: AbortSignal;
  /** From now on SIGHUP calls the listener instead of stopping. */
  readonly onHangUp?: (listener: () => void) => void;
}
