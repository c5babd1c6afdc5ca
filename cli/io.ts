import type { Readable, Writable } from 'node:stream';
import type { Host } from '../src/host.ts';

/** The process as the commands see it: streams, the host, and how a stop is asked for. */
export interface CliIo {
  readonly stdin: Readable;
  readonly stdout: Writable;
  readonly stderr: Writable;
  readonly host: Host;
  /** Aborts at the first SIGINT or SIGTERM. */
  readonly stop: AbortSignal;
}
