import type { Clock } from '../../../src/host.ts';
import { BasicAuth } from './basic-auth.ts';
import { BcryptThread } from './bcrypt-thread.ts';
import { RateLimiter } from './rate-limiter.ts';
import type { WebPolicy } from './web-policy.ts';

/** What stands between a request and its answer. */
export type Verdict =
  | { readonly verdict: 'pass'; readonly headers: ReadonlyMap<string, string> }
  | { readonly verdict: 'refuse'; readonly status: 401 | 429 | 500 | 503; readonly headers: ReadonlyMap<string, string> };

const NO_HEADERS: ReadonlyMap<string, string> = new Map();
const CHALLENGE: readonly [string, string] = ['WWW-Authenticate', 'Basic'];

/** Rate limit, headers and basic authentication of a web configuration, in the order of exporter-toolkit's handler. */
export class WebGuard {
  readonly #policy: WebPolicy;
  readonly #bcrypt: BcryptThread;
  #auth: BasicAuth | undefined;
  readonly #limiter: RateLimiter | undefined;

  /** The rate limit is that of the policy at this moment; it does not change later. */
  constructor(policy: WebPolicy, clock: Clock) {
    this.#policy = policy;
    this.#bcrypt = new BcryptThread(clock);
    const state = policy.current();
    const limit = 'config' in state ? state.config.rateLimit : undefined;
    this.#limiter = limit === undefined ? undefined : new RateLimiter({ ...limit, clock });
  }

  async check(authorization: string | undefined): Promise<Verdict> {
    const state = this.#policy.current();
    if ('error' in state) return { verdict: 'refuse', status: 500, headers: NO_HEADERS };
    if (this.#limiter?.allow() === false) return { verdict: 'refuse', status: 429, headers: NO_HEADERS };
    const { headers, users } = state.config;
    if (users.size === 0) return { verdict: 'pass', headers };
    this.#auth ??= new BasicAuth(this.#bcrypt);
    const outcome = await this.#auth.check(authorization, users);
    switch (outcome) {
      case 'granted':
        return { verdict: 'pass', headers };
      case 'denied':
        return { verdict: 'refuse', status: 401, headers: new Map([...headers, CHALLENGE]) };
      case 'overloaded':
        return { verdict: 'refuse', status: 503, headers };
    }
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.#bcrypt[Symbol.asyncDispose]();
  }
}
