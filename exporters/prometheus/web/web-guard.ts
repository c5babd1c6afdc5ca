import type { Clock } from '../../../src/host.ts';
import { BcryptThread } from './bcrypt-thread.ts';
import type { WebPolicy } from './web-policy.ts';

/** The decision about a request before it is answered. */
export type Admission =
  | { readonly admission: 'pass'; readonly headers: ReadonlyMap<string, string> }
  | { readonly admission: 'refuse'; readonly status: 401 | 429 | 500 | 503; readonly headers: ReadonlyMap<string, string> };

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

  async check(authorization: string | undefined): Promise<Admission> {
    const state = this.#policy.current();
    if ('error' in state) return { admission: 'refuse', status: 500, headers: NO_HEADERS };
    if (this.#limiter?.allow() === false) return { admission: 'refuse', status: 429, headers: NO_HEADERS };
    const { headers, users } = state.config;
    if (users.size === 0) return { admission: 'pass', headers };
    this.#auth ??= new BasicAuth(this.#bcrypt);
    const outcome = await this.#auth.check(authorization, users);
    switch (outcome) {
      case 'granted':
        return { admission: 'pass', headers };
      case 'denied':
        return { admission: 'refuse', status: 401, headers: new Map([...headers, CHALLENGE]) };
      case 'overloaded':
        return { admission: 'refuse', status: 503, headers };
    }
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.#bcrypt[Symbol.asyncDispose]();
  }
}

/** A token bucket: `burst` requests at once, then one each `intervalMs`; the meaning of Go's `rate.Limiter`. */
export class RateLimiter {
  readonly #clock: Clock;
  readonly #intervalMs: number;
  readonly #burst: number;
  #tokens: number;
  #lastMs: number;

  constructor(options: { readonly intervalMs: number; readonly burst: number; readonly clock: Clock }) {
    this.#clock = options.clock;
    this.#intervalMs = options.intervalMs;
    this.#burst = options.burst;
    this.#tokens = options.burst;
    this.#lastMs = options.clock.monotonicMs();
  }

  /** Takes a token; false when there is none. */
  allow(): boolean {
    // Go's limiter lets everything pass when the time between two events is not positive.
    if (this.#intervalMs <= 0) return true;
    const nowMs = this.#clock.monotonicMs();
    this.#tokens = Math.min(this.#burst, this.#tokens + (nowMs - this.#lastMs) / this.#intervalMs);
    this.#lastMs = nowMs;
    if (this.#tokens < 1) return false;
    this.#tokens -= 1;
    return true;
  }
}

/** Results of one kind remembered at most; the oldest is forgotten first. */
const CACHE_SIZE = 128;
/** Salt and hash of a password nobody has; the cost is put in front of it. */
const NOBODY = 'QOauhQNbBCuQDKes6eFzPeMqBSjb7Mr5DUmpZ/VcEd00UAV/LDeSi';

export type AuthOutcome = 'granted' | 'denied' | 'overloaded';

/** Checks credentials against bcrypt hashes, each pair of user and password once. */
export class BasicAuth {
  readonly #bcrypt: BcryptThread;
  /** Passwords are kept as keyed digests only, under a key that dies with the process. */
  readonly #crypto = process.getBuiltinModule('node:crypto');
  readonly #secret = this.#crypto.randomBytes(32);
  /** Apart, so that a flood of wrong passwords does not push the right ones out. */
  readonly #granted = new Set<string>();
  readonly #denied = new Set<string>();

  constructor(bcrypt: BcryptThread) {
    this.#bcrypt = bcrypt;
  }

  /** `header` is the value of `Authorization`. An unknown user takes as long as a known one with a wrong password. */
  async check(header: string | undefined, users: ReadonlyMap<string, string>): Promise<AuthOutcome> {
    const credentials = header === undefined ? undefined : parseBasic(header);
    if (credentials === undefined) return 'denied';
    const { user, password } = credentials;
    const hash = users.get(user);
    const compared = hash ?? `$2y$${costOf(users)}$${NOBODY}`;
    const key = this.#crypto
      .createHmac('sha256', this.#secret)
      .update(JSON.stringify([user, compared, password]))
      .digest('base64');
    if (this.#granted.has(key)) return 'granted';
    if (this.#denied.has(key)) return 'denied';
    const isMatch = await this.#bcrypt.check(password, compared);
    if (isMatch === undefined) return 'overloaded';
    const isGranted = isMatch && hash !== undefined;
    remember(isGranted ? this.#granted : this.#denied, key);
    return isGranted ? 'granted' : 'denied';
  }
}

/** User and password of `Basic` credentials (RFC 7617); undefined when the header holds something else. */
export function parseBasic(header: string): { readonly user: string; readonly password: string } | undefined {
  const encoded = /^basic ([A-Za-z0-9+/]+={0,2})$/i.exec(header)?.[1];
  if (encoded === undefined || encoded.length % 4 !== 0) return undefined;
  const decoded = Buffer.from(encoded, 'base64').toString('utf8');
  const colon = decoded.indexOf(':');
  return colon === -1 ? undefined : { user: decoded.slice(0, colon), password: decoded.slice(colon + 1) };
}

function costOf(users: ReadonlyMap<string, string>): string {
  const costs = [...users.values()].map((hash) => hash.split('$')[2] ?? '10');
  return costs.toSorted().at(-1) ?? '10';
}

function remember(results: Set<string>, key: string): void {
  results.add(key);
  const [oldest] = results;
  if (results.size > CACHE_SIZE && oldest !== undefined) results.delete(oldest);
}
