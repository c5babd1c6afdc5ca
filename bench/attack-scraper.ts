/**
 * The good scraper of `npm run bench -- attack`, in a process of its own: `attack-scraper.ts PORT AUTHORIZATION`. From the message
 * `start` on it scrapes at a fixed rate, whether the scrapes before have been answered or not, in turn over a connection it keeps and
 * over a new one; to `stop` it answers with how long each scrape took.
 */
import { Agent, get } from 'node:http';
import { SCRAPE_TIMEOUT_MS } from './attack-limits.ts';

/** `undefined` when it was refused, cut off or too late. */
type ScrapeTime = number | undefined;

const INTERVAL_MS = 75;

const [port = '', authorization = ''] = process.argv.slice(2);
const kept = new Agent({ keepAlive: true });
const scrapes: Promise<ScrapeTime>[] = [];
let timer: NodeJS.Timeout | undefined;

process.on('message', (message) => {
  if (message === 'start') start();
  else void stop();
});
process.on('disconnect', () => process.exit());
process.send?.('ready');

function start(): void {
  scrapes.length = 0;
  const startedMs = performance.now();
  timer = setInterval(() => {
    // By the clock: a timer that came late would otherwise hide what it came late for.
    while (scrapes.length * INTERVAL_MS < performance.now() - startedMs) scrapes.push(scrape(scrapes.length % 2 === 0));
  }, 5);
}

async function stop(): Promise<void> {
  clearInterval(timer);
  const times = await Promise.all(scrapes);
  process.send?.(times.map((time) => time ?? -1));
}

function scrape(overKeptConnection: boolean): Promise<ScrapeTime> {
  const startedMs = performance.now();
  const headers = { authorization, 'accept-encoding': 'gzip', accept: 'text/plain;version=0.0.4' };
  const agent = overKeptConnection ? kept : new Agent();
  return new Promise((resolve) => {
    const request = get({ host: '127.0.0.1', port, path: '/metrics', headers, agent, timeout: SCRAPE_TIMEOUT_MS }, (response) => {
      response.on('end', () => resolve(response.statusCode === 200 && response.complete ? performance.now() - startedMs : undefined));
      response.on('error', () => resolve(undefined));
      response.resume();
    });
    request.on('error', () => resolve(undefined));
    request.on('timeout', () => request.destroy());
  });
}
