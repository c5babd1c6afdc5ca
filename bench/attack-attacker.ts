/** The attacker of `npm run bench -- attack`, in a process of its own: `attack-attacker.ts PORT NAME MS AUTHORIZATION`. Ends by itself. */
import { atRate, exchange, headerFlood, idleSockets, pipelined, slowHeaders, traversals } from '../test/support/attacks.ts';

/** Runs for about so long. */
type Attack = (forMs: number) => Promise<unknown>;

const IDLE_SOCKETS = 10_000;
const PASSWORDS_PER_SECOND = 1_000;
const METHODS = ['POST', 'PUT', 'PATCH', 'DELETE', 'OPTIONS', 'TRACE', 'CONNECT', 'PROPFIND', 'M-SEARCH'] as const;
const BODIES = [
  'Content-Length: 1000000000\r\n\r\n',
  'Transfer-Encoding: chunked\r\n\r\nffffffff\r\n',
  'Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n',
] as const;

const [port = '', name = '', forMs = '', authorization = ''] = process.argv.slice(2);
const target = { port: Number(port) };

const ATTACKS: Readonly<Record<string, Attack>> = {
  none: pause,
  idle_sockets: async (ms) => {
    const end = await idleSockets(target, IDLE_SOCKETS);
    await pause(ms);
    end();
  },
  slow_headers: (ms) => slowHeaders(target, 200, ms),
  header_flood: (ms) => again(ms, () => headerFlood(target, 100)),
  pipelining: (ms) => again(ms, () => pipelined(target, 20_000)),
  traversal: (ms) => again(ms, () => all(traversals().map((path) => `GET ${path} HTTP/1.1\r\n${HEADERS}\r\n`))),
  methods_and_bodies: (ms) =>
    again(ms, () =>
      all([
        ...METHODS.map((method) => `${method} /metrics HTTP/1.1\r\n${HEADERS}\r\n`),
        ...BODIES.map((body) => `GET /metrics HTTP/1.1\r\n${HEADERS}${body}`),
      ]),
    ),
  wrong_passwords: (ms) => atRate(PASSWORDS_PER_SECOND, ms, (index) => guess('scraper', index)),
  unknown_users: (ms) => atRate(PASSWORDS_PER_SECOND, ms, (index) => guess(`user-${index}`, index)),
};

const HEADERS = `Host: x\r\nAuthorization: ${authorization}\r\n`;

await ATTACKS[name]?.(Number(forMs));
process.exit();

function guess(user: string, index: number): Promise<number> {
  const credentials = Buffer.from(`${user}:guess-${process.pid}-${index}`).toString('base64');
  return exchange(target, `GET /metrics HTTP/1.1\r\nHost: x\r\nAuthorization: Basic ${credentials}\r\n\r\n`);
}

/** A few at a time. */
async function all(requests: readonly string[]): Promise<void> {
  for (let index = 0; index < requests.length; index += 8) {
    await Promise.all(requests.slice(index, index + 8).map((request) => exchange(target, request)));
  }
}

async function again(ms: number, attack: () => Promise<unknown>): Promise<void> {
  const endMs = performance.now() + ms;
  while (performance.now() < endMs) await attack();
}

function pause(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}
