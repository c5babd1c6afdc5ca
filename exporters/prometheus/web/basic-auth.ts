import type { BcryptThread } from './bcrypt-thread.ts';

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
