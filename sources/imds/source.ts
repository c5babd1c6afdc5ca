import { AgentError } from '../../src/errors.ts';
import type { Host } from '../../src/host.ts';
import type { InstanceInfo, MetricGroup } from '../../src/readings.ts';
import type { PullSource, ReadingBatch, SourceFailure } from '../../src/source.ts';
import { MetadataClient } from './client.ts';
import { askInstanceFacts, readMachine, readUltraserverId } from './facts.ts';
import type { Machine } from './facts.ts';

export interface ImdsOptions {
  readonly host: Host;
  /** False: only what the machine knows by itself. Default true. */
  readonly enabled?: boolean;
  /** Base address of the metadata service; any other than the default is asked on every machine. */
  readonly endpoint?: string;
  /** Time that one round of questions may take. Default 1 s. */
  readonly budgetMs?: number;
}

const DEFAULT_ENDPOINT = 'http://169.254.169.254';
const DEFAULT_BUDGET_MS = 1_000;
const HOURLY_MS = 3_600_000;
const FIRST_RETRY_MS = 5_000;
const LAST_RETRY_MS = 300_000;

/**
 * `instance_info`: who this host is, from the instance metadata service (IMDSv2), its firmware and the driver. A read returns what is
 * known and starts a round of questions when one is due: until everything is known with growing pauses, then hourly.
 * Throws `config_invalid` when the endpoint is not an http URL; reads never throw.
 */
export function createImdsSource(options: ImdsOptions): PullSource {
  return new ImdsSource(options);
}

class ImdsSource implements PullSource {
  readonly kind = 'pull';
  readonly id = 'imds';
  readonly #host: Host;
  readonly #endpoint: URL;
  readonly #budgetMs: number;
  readonly #machine: Machine;
  /** Only an EC2 instance is known to have a metadata service; elsewhere that address belongs to somebody else. */
  readonly #asks: boolean;
  readonly #life = new AbortController();
  #told: InstanceInfo = {};
  #failures: SourceFailure[] = [];
  #round: Promise<void> | undefined;
  #hasWaited = false;
  #nextRoundMs = 0;
  #retryMs = FIRST_RETRY_MS;

  constructor(options: ImdsOptions) {
    this.#host = options.host;
    this.#endpoint = endpointOf(options.endpoint ?? DEFAULT_ENDPOINT);
    this.#budgetMs = options.budgetMs ?? DEFAULT_BUDGET_MS;
    this.#machine = readMachine(options.host);
    const isGivenOnPurpose = this.#endpoint.origin !== DEFAULT_ENDPOINT;
    this.#asks = (options.enabled ?? true) && (isGivenOnPurpose || this.#machine.isEc2);
    this.#nextRoundMs = options.host.clock.monotonicMs();
  }

  /** Nothing on a machine that is no EC2 instance. */
  groups(): ReadonlySet<MetricGroup> {
    return new Set(this.#asks || this.#machine.isEc2 ? ['instance_info'] : []);
  }

  async read(groups: ReadonlySet<MetricGroup>, signal: AbortSignal): Promise<ReadingBatch> {
    const { clock } = this.#host;
    if (!groups.has('instance_info')) return { source: this.id, sampledAtMs: clock.nowMs(), readings: [], failures: [] };
    if (this.#asks && this.#round === undefined && clock.monotonicMs() >= this.#nextRoundMs && !this.#life.signal.aborted)
      this.#round = this.#ask();
    if (!this.#hasWaited && this.#round !== undefined) {
      this.#hasWaited = true;
      await waitFor(this.#round, signal);
    }
    const failures = this.#failures;
    this.#failures = [];
    const data = this.#known();
    const isKnown = Object.keys(data).length > 0;
    return { source: this.id, sampledAtMs: clock.nowMs(), readings: isKnown ? [{ group: 'instance_info', data }] : [], failures };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#life.abort();
    await this.#round;
  }

  #known(): InstanceInfo {
    const ultraserverId = readUltraserverId(this.#host);
    return { ...this.#machine.info, ...this.#told, ...(ultraserverId !== undefined && { ultraserver_id: ultraserverId }) };
  }

  /** One round, within its budget; never rejects. */
  async #ask(): Promise<void> {
    const { clock } = this.#host;
    const budget = new AbortController();
    using _timer = clock.setTimer(() => budget.abort(), this.#budgetMs);
    using client = new MetadataClient(this.#endpoint, AbortSignal.any([budget.signal, this.#life.signal]));
    let isComplete = false;
    const noToken = await client.authenticate();
    if (noToken === undefined) {
      const round = await askInstanceFacts(client);
      this.#told = { ...this.#told, ...round.info };
      isComplete = round.complete;
      if (round.error !== undefined) this.#fail(round.error);
    } else this.#fail(noToken);
    this.#scheduleNext(isComplete);
    this.#round = undefined;
  }

  #scheduleNext(isComplete: boolean): void {
    this.#nextRoundMs = this.#host.clock.monotonicMs() + (isComplete ? HOURLY_MS : this.#retryMs);
    this.#retryMs = isComplete ? FIRST_RETRY_MS : Math.min(this.#retryMs * 2, LAST_RETRY_MS);
  }

  #fail(error: AgentError): void {
    if (!this.#life.signal.aborted) this.#failures = [{ group: 'instance_info', error }];
  }
}

/** A round ends within its budget by itself. */
async function waitFor(round: Promise<void>, signal: AbortSignal): Promise<void> {
  const waited = Promise.withResolvers<void>();
  const stop = (): void => waited.resolve();
  signal.addEventListener('abort', stop, { once: true });
  await Promise.race([round, waited.promise]);
  signal.removeEventListener('abort', stop);
}

function endpointOf(text: string): URL {
  const endpoint = URL.canParse(text) ? new URL(text.endsWith('/') ? text : `${text}/`) : undefined;
  if (endpoint?.protocol !== 'http:')
    throw new AgentError('config_invalid', 'imds', 'the address of the metadata service is not an http URL');
  return endpoint;
}
