import { statSync } from 'node:fs';
import { join } from 'node:path';
import { parentPort, workerData } from 'node:worker_threads';
import type { MessagePort } from 'node:worker_threads';
import { AgentError } from '../../src/errors.ts';
import { parsePidStat } from '../procfs/pid-stat.ts';
import { readText } from '../processes/proc-files.ts';
import type { DatastoreAccess } from './access.ts';
import { DatastoreCollector } from './collector.ts';
import { failureOf } from './device-session.ts';
import { createDriverAccess } from './driver-access.ts';
import { createFileAccess } from './file-access.ts';
import { loadLibc } from './libc.ts';
import type { WorkerAnswer, WorkerCommand, WorkerStart } from './protocol.ts';

/** Latencies are looked at for this long after executions were asked for last. */
const POLL_AFTER_REQUEST_MS = 60_000;

/** Entry of the worker thread: everything that may block in the driver happens here. */
if (parentPort !== null) void serve(parentPort, workerData as WorkerStart);

async function serve(port: MessagePort, start: WorkerStart): Promise<void> {
  const answer = (message: WorkerAnswer): void => port.postMessage(message);
  let access: DatastoreAccess;
  try {
    access = await createAccess(start.devRoot);
  } catch (thrown) {
    answer({ kind: 'unusable', failure: failureOf(AgentError.from(thrown, 'internal', 'nds')) });
    port.close();
    return;
  }
  const collector = new DatastoreCollector({
    access,
    monotonicMs: () => performance.now(),
    startTicksOf: (pid) => startTicksOf(start.procRoot, pid),
  });
  const poll = new Poll(collector, access.pollIntervalMs);
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

/** A virtual host has a folder of files where a real one has a device. */
async function createAccess(devRoot: string): Promise<DatastoreAccess> {
  const first = statSync(join(devRoot, 'neuron0'), { throwIfNoEntry: false });
  return first?.isDirectory() === true ? createFileAccess(devRoot) : createDriverAccess(devRoot, await loadLibc());
}

function startTicksOf(procRoot: string, pid: number): number | undefined {
  const text = readText(join(procRoot, String(pid), 'stat'), 4096);
  return text.is === 'seen' ? parsePidStat(text.value)?.startTicks : undefined;
}

/** Looks at latencies while somebody wants them. */
class Poll {
  readonly #collector: DatastoreCollector;
  readonly #intervalMs: number;
  #timer: NodeJS.Timeout | undefined;
  #untilMs = 0;

  constructor(collector: DatastoreCollector, intervalMs: number) {
    this.#collector = collector;
    this.#intervalMs = intervalMs;
  }

  keepGoing(): void {
    this.#untilMs = performance.now() + POLL_AFTER_REQUEST_MS;
    this.#timer ??= setInterval(() => this.#tick(), this.#intervalMs);
  }

  [Symbol.dispose](): void {
    clearInterval(this.#timer);
    this.#timer = undefined;
  }

  #tick(): void {
    if (performance.now() > this.#untilMs) this[Symbol.dispose]();
    else this.#collector.poll();
  }
}
