import { parentPort, workerData } from 'node:worker_threads';
import type { MessagePort } from 'node:worker_threads';
import { AgentError } from '../../src/errors.ts';
import { readPidStat } from '../processes/identity.ts';
import type { DatastoreAccess } from './access.ts';
import { DatastoreCollector } from './collector.ts';
import { failureOf } from './device-session.ts';
import { createDriverAccess } from './driver-access.ts';
import { loadLibc } from './libc.ts';
import { PollPace } from './latency.ts';
import type { WorkerAnswer, WorkerCommand, WorkerStart } from './work.ts';

/** Latencies are looked at for this long after executions were asked for last. */
const POLL_AFTER_REQUEST_MS = 60_000;

/** Entry of the worker thread: everything that may block in the driver happens here. */
if (parentPort !== null) void serve(parentPort, workerData as WorkerStart);

async function serve(port: MessagePort, start: WorkerStart): Promise<void> {
  const answer = (message: WorkerAnswer): void => port.postMessage(message);
  let access: DatastoreAccess;
  try {
    access = createDriverAccess(start.devRoot, await loadLibc());
  } catch (thrown) {
    answer({ kind: 'unusable', failure: failureOf(AgentError.from(thrown, 'internal', 'nds')) });
    port.close();
    return;
  }
  const collector = new DatastoreCollector({
    access,
    monotonicMs: () => performance.now(),
    startTicksOf: (pid) => readPidStat(start, pid)?.startTicks,
  });
  const poll = new Poll(collector);
  port.on('message', (command: WorkerCommand) => {
    if (command.kind === 'collect') {
      if (command.request.groups.includes('execution_stats')) poll.keepGoing();
      answer({ kind: 'sample', sample: collector.collect(command.request) });
      return;
    }
    poll[Symbol.dispose]();
    collector[Symbol.dispose]();
    answer({ kind: 'stopped' });
    port.close();
  });
}

/** Looks at latencies while somebody wants them. */
class Poll {
  readonly #collector: DatastoreCollector;
  readonly #pace = new PollPace();
  #timer: NodeJS.Timeout | undefined;
  #untilMs = 0;

  constructor(collector: DatastoreCollector) {
    this.#collector = collector;
  }

  keepGoing(): void {
    this.#untilMs = performance.now() + POLL_AFTER_REQUEST_MS;
    this.#timer ??= setTimeout(() => this.#look(), this.#pace.intervalMs);
  }

  [Symbol.dispose](): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
  }

  #look(): void {
    this.#timer = undefined;
    this.#pace.looked(this.#collector.poll());
    if (performance.now() < this.#untilMs) this.#timer = setTimeout(() => this.#look(), this.#pace.intervalMs);
  }
}
