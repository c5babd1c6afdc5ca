import type { AgentError } from '../../src/errors.ts';
import type { CollectRequest } from './collector.ts';
import type { WorkFailure, WorkSample } from './work.ts';

/** What the worker is started with. */
export interface WorkerStart {
  readonly devRoot: string;
  readonly procRoot: string;
}

/** Main thread → worker. */
export type WorkerCommand = { readonly kind: 'collect'; readonly request: CollectRequest } | { readonly kind: 'stop' };

/** Worker → main thread: one answer for each `collect`, one `stopped`. */
export type WorkerAnswer =
  | { readonly kind: 'sample'; readonly sample: WorkSample }
  /** The worker cannot do its work at all. */
  | { readonly kind: 'unusable'; readonly failure: WorkFailure }
  | { readonly kind: 'stopped' };

/** Whoever reads the datastores, as the source sees it. */
export interface ReaderLink {
  /** A command is under way: the driver has not answered yet. */
  readonly isBusy: boolean;
  /** Why there will be no more answers. */
  readonly end: AgentError | undefined;
  /** Rejects with `end` when there can be no answer. One at a time. */
  ask(command: WorkerCommand): Promise<WorkerAnswer>;
  terminate(): Promise<void>;
}
