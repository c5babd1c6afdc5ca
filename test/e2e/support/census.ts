import { COUNTER } from '../../../simulator/truth.ts';
import type { ProcessTruth } from '../../../simulator/truth.ts';
import type { VirtualHost } from '../../../simulator/virtual-host.ts';
import { parsePage } from '../../exporters/prometheus/support/parse.ts';
import { ownerOf } from '../../simulator/support/expected-process.ts';
import { ownerKey } from '../../simulator/support/series.ts';
import type { Owner } from '../../simulator/support/series.ts';

/** Knows every process there ever was on a host. */
export class Census {
  readonly problems = new Set<string>();
  readonly seen = new Set<ProcessTruth>();
  /** How long after its end a process was still exported, at most. */
  longestAfterlifeMs = 0;
  readonly #host: VirtualHost;
  readonly #known = new Map<string, ProcessTruth>();
  readonly #endedAtMs = new Map<ProcessTruth, number>();
  #alive: ReadonlySet<ProcessTruth> = new Set();

  constructor(host: VirtualHost) {
    this.#host = host;
  }

  get alive(): readonly ProcessTruth[] {
    return [...this.#alive];
  }

  /** To be called after each step of the host. */
  count(): void {
    const truth = this.#host.truth();
    const nowMs = performance.now();
    const alive = new Set(truth.processes);
    for (const process of this.#alive) if (!alive.has(process)) this.#endedAtMs.set(process, nowMs);
    for (const process of alive) if (!this.#alive.has(process)) this.#known.set(ownerKey(ownerOf(process, truth)), process);
    this.#alive = alive;
  }

  /** Who that is; a problem when there never was such a process, or when it was in another container. */
  identify(owner: Owner, container: string | number | undefined): ProcessTruth | undefined {
    const key = ownerKey(owner);
    const process = this.#known.get(key);
    if (process === undefined) this.problems.add(`there was no process ${key}`);
    else if (container !== undefined && container !== process.containerId) this.problems.add(`${key} was not in container ${container}`);
    return process;
  }

  exported(resource: Readonly<Record<string, string | number>>): void {
    const { 'process.pid': pid, 'process.creation.time': startedAt, 'neuron.runtime.tag': tag } = resource;
    if (pid === undefined) return;
    const process = this.identify({ pid: Number(pid), startedAt: String(startedAt), tag: String(tag) }, resource['container.id']);
    if (process === undefined) return;
    this.seen.add(process);
    const endedAtMs = this.#endedAtMs.get(process);
    if (endedAtMs !== undefined) this.longestAfterlifeMs = Math.max(this.longestAfterlifeMs, performance.now() - endedAtMs);
  }

  /** A process never has more executions on a page than it completed itself. */
  scraped(page: string): void {
    for (const { name, labels, value } of parsePage(page)) {
      const { process_pid: pid, process_creation_time: startedAt = '', neuron_runtime_tag: tag = '' } = labels;
      if (pid === undefined) continue;
      const process = this.identify({ pid: Number(pid), startedAt, tag }, labels['container_id']);
      if (process === undefined || name !== 'neuron_executions_total' || labels['neuron_execution_outcome'] !== 'completed') continue;
      const completed = process.cores.reduce((sum, { counters }) => sum + Number(counters[COUNTER.completed]), 0);
      if (Number(value) > completed) this.problems.add(`process ${pid} has ${value} executions of ${completed}`);
    }
  }
}
