import { hashSync } from 'bcryptjs';
import { describe, expect, it } from 'vitest';
import { BasicAuth, RateLimiter, parseBasic } from '../../../../exporters/prometheus/web/web-guard.ts';
import { BcryptThread, MAX_WAITING } from '../../../../exporters/prometheus/web/bcrypt-thread.ts';
import { subjectAltNames } from '../../../../exporters/prometheus/web/tls.ts';
import { isLoopback, parseListenAddress, systemdSockets } from '../../../../exporters/prometheus/web/listen-address.ts';
import { systemClock } from '../../../../src/host.ts';
import { ManualClock } from '../../../support/manual-clock.ts';

function header(user: string, password: string): string {
  return `Basic ${Buffer.from(`${user}:${password}`).toString('base64')}`;
}

/** Counts what is asked of bcrypt, and answers by a table. */
class CountingBcrypt extends BcryptThread {
  readonly asked: string[] = [];

  constructor() {
    super(systemClock);
  }

  override check(password: string, hash: string): Promise<boolean | undefined> {
    this.asked.push(`${password} ${hash.slice(0, 7)}`);
    return Promise.resolve(password === 'right');
  }
}

describe('basic authentication', () => {
  const users = new Map([
    ['alice', `$2b$12$${'x'.repeat(53)}`],
    ['bob', `$2b$04$${'x'.repeat(53)}`],
  ]);

  it('computes each pair of user and password once', async () => {
    const bcrypt = new CountingBcrypt();
    const auth = new BasicAuth(bcrypt);
    for (let round = 0; round < 3; round += 1) {
      expect(await auth.check(header('alice', 'right'), users)).toBe('granted');
      expect(await auth.check(header('alice', 'wrong'), users)).toBe('denied');
    }
    expect(bcrypt.asked).toHaveLength(2);
  });

  it('lets an unknown user cost what the most expensive known one costs, and in vain', async () => {
    const bcrypt = new CountingBcrypt();
    expect(await new BasicAuth(bcrypt).check(header('mallory', 'right'), users)).toBe('denied');
    expect(bcrypt.asked).toEqual(['right $2y$12$']);
  });

  it('remembers the right password through a flood of wrong ones', async () => {
    const bcrypt = new CountingBcrypt();
    const auth = new BasicAuth(bcrypt);
    await auth.check(header('alice', 'right'), users);
    for (let index = 0; index < 1_000; index += 1) await auth.check(header('alice', `wrong ${index}`), users);
    const before = bcrypt.asked.length;
    expect(await auth.check(header('alice', 'right'), users)).toBe('granted');
    expect(bcrypt.asked).toHaveLength(before);
  });

  it('asks again when the hash of a user has changed', async () => {
    const auth = new BasicAuth(new CountingBcrypt());
    expect(await auth.check(header('alice', 'right'), users)).toBe('granted');
    expect(await auth.check(header('alice', 'right'), new Map([['carol', `$2b$04$${'x'.repeat(53)}`]]))).toBe('denied');
  });

  it.each([
    [undefined, undefined],
    ['', undefined],
    ['Basic', undefined],
    ['Basic YTpi', { user: 'a', password: 'b' }],
    ['bAsIc YTpi', { user: 'a', password: 'b' }],
    ['Basic YTpiOmM=', { user: 'a', password: 'b:c' }],
    ['Basic YTpi=', undefined],
    ['Basic YWI=', undefined],
    ['Basic Y!pi', undefined],
    ['Digest YTpi', undefined],
  ])('reads %s as %j', (text, expected) => {
    expect(text === undefined ? undefined : parseBasic(text)).toEqual(expected);
  });
});

describe('the bcrypt thread', () => {
  it('compares with real hashes, and survives what is no hash', async () => {
    await using thread = new BcryptThread(systemClock);
    const hash = hashSync('päss\u0000word', 4);
    expect(await thread.check('päss\u0000word', hash)).toBe(true);
    expect(await thread.check('päss', hash)).toBe(false);
    expect(await thread.check('x', hash.replace('$2b', '$2y'))).toBe(false);
    expect(await thread.check('x', `$2b$04$${'!'.repeat(53)}`)).toBe(false);
    expect(await thread.check('päss\u0000word', hash)).toBe(true);
  });

  it('turns away what would wait too long, and all when it ends', async () => {
    const thread = new BcryptThread(systemClock);
    const hash = hashSync('x', 4);
    const answers = Array.from({ length: MAX_WAITING + 2 }, (_, index) => thread.check(`${index}`, hash));
    expect(await answers.at(-1)).toBeUndefined();
    await thread[Symbol.asyncDispose]();
    expect(await Promise.all(answers)).not.toContain(true);
  });

  it('retires when nobody needs it, and comes back', async () => {
    const clock = new ManualClock();
    await using thread = new BcryptThread(clock);
    const hash = hashSync('x', 4);
    expect(await thread.check('x', hash)).toBe(true);
    await clock.advance(60_000);
    expect(await thread.check('x', hash)).toBe(true);
  });
});

it('spells subject alternative names as Go does', () => {
  const subjectAltName =
    'DNS:a.example, IP Address:2001:DB8:0:0:0:0:0:7, email:a@b.example, URI:"spiffe://x/a, DNS:evil.example", DirName:"CN=x"';
  expect(subjectAltNames({ subjectAltName })).toEqual(['a.example', '2001:db8::7', 'a@b.example', 'spiffe://x/a, DNS:evil.example']);
  expect(subjectAltNames({ subjectAltName: undefined })).toEqual([]);
});

describe('the rate limiter', () => {
  it('fills up to its burst and no further', async () => {
    const clock = new ManualClock();
    const limiter = new RateLimiter({ intervalMs: 100, burst: 3, clock });
    const allowed = (): number => Array.from({ length: 5 }, () => limiter.allow()).filter(Boolean).length;
    expect(allowed()).toBe(3);
    await clock.advance(200);
    expect(allowed()).toBe(2);
    await clock.advance(60_000);
    expect(allowed()).toBe(3);
  });

  it('without a burst lets nothing pass, with a negative interval everything', () => {
    const clock = new ManualClock();
    expect(new RateLimiter({ intervalMs: 1, burst: 0, clock }).allow()).toBe(false);
    expect(new RateLimiter({ intervalMs: -1, burst: 0, clock }).allow()).toBe(true);
  });
});

describe('sockets of systemd', () => {
  it.each([
    [{ LISTEN_FDS: '2', LISTEN_PID: '42' }, [3, 4]],
    [{ LISTEN_FDS: '0', LISTEN_PID: '42' }, []],
    [{ LISTEN_FDS: '1', LISTEN_PID: '41' }, []],
    [{ LISTEN_FDS: '1' }, []],
    [{ LISTEN_PID: '42' }, []],
    [{ LISTEN_FDS: '-1', LISTEN_PID: '42' }, []],
    [{ LISTEN_FDS: '1e3', LISTEN_PID: '42' }, []],
    [{}, []],
  ])('%j are %j', (env, sockets) => {
    expect(systemdSockets(env, 42)).toEqual(sockets);
  });
});

describe('listen addresses', () => {
  it.each([
    ['127.0.0.1:9464', { host: '127.0.0.1', port: 9464 }, true],
    ['localhost:1', { host: 'localhost', port: 1 }, true],
    ['[::1]:80', { host: '::1', port: 80 }, true],
    [':9464', { host: undefined, port: 9464 }, false],
    ['0.0.0.0:0', { host: '0.0.0.0', port: 0 }, false],
    ['[fe80::1%eth0]:80', { host: 'fe80::1%eth0', port: 80 }, false],
    ['host.example:65535', { host: 'host.example', port: 65_535 }, false],
  ])('%s', (text, expected, loopback) => {
    expect(parseListenAddress(text)).toEqual(expected);
    expect(isLoopback(parseListenAddress(text))).toBe(loopback);
  });

  it.each(['', '9464', 'localhost', '::1:80', 'a b:80', 'host:65536', 'host:http', 'vsock://:9100'])('not %j', (text) => {
    expect(() => parseListenAddress(text)).toThrow('is no listen address');
  });
});
