import { readdirSync, writeFileSync } from 'node:fs';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { residentBytes } from '../../bench/cpu-time.ts';
import { get } from '../exporters/prometheus/support/endpoint.ts';
import { atRate, exchange, headerFlood, idleSockets, p99, pipelined, slowHeaders, traversals } from '../support/attacks.ts';
import { SECRET_HASH } from '../support/web-configs.ts';
import { agentConfig } from './support/agent-config.ts';
import { AgentProcess } from './support/agent.ts';
import { eventually } from './support/eventually.ts';
import { TemporaryFolder } from './support/folder.ts';
import { freePort } from './support/ports.ts';
import { fixture } from './support/recordings.ts';

const MEBIBYTE = 2 ** 20;
const RIGHT = { authorization: `Basic ${Buffer.from('alice:correct horse').toString('base64')}` };

/** The cost of an attack at most: memory that stays, and the wait of a good scraper. */
const MAX_GROWTH_BYTES = 20 * MEBIBYTE;
const MAX_SCRAPE_MS = 10_000;

describe('an agent under attack', () => {
  let agent: AgentProcess;
  let port: number;
  let restingBytes: number;
  let restingDescriptors: number;
  const folder = new TemporaryFolder();

  beforeAll(async () => {
    port = await freePort();
    const webConfigFile = folder.file('web.yml');
    // Cost 10, as htpasswd makes them by default: tens of milliseconds for each password.
    writeFileSync(
      webConfigFile,
      `basic_auth_users:\n  alice: ${SECRET_HASH}\n  slow: $2b$10$zHs3JjTEEDYXrEjidvxbMOEiQQPuaizuP6bqlKinwnF5qM2nREYXK\n`,
    );
    agent = new AgentProcess([], { config: agentConfig({ exporters: { prometheus: { port, web_config_file: webConfigFile } } }) });
    agent.feed(fixture('trn1-32-runtimes').lines.slice(0, 1));
    await eventually(() => scrape().then(({ text }) => (text.includes('neuron_core_utilization_ratio') ? true : undefined)), {
      timeoutMs: 20_000,
      what: 'the first page',
      context: () => agent.process.describe(),
    });
    // Memory settles: code is compiled, the thread for passwords is there.
    for (let round = 0; round < 60; round += 1) await scrape();
    await get(port, '/metrics', { headers: { authorization: 'Basic c2xvdzp3cm9uZw==' } });
  });

  beforeEach(() => {
    restingBytes = residentBytes(pid());
    restingDescriptors = descriptors();
  });

  afterAll(async () => {
    await agent[Symbol.asyncDispose]();
    folder[Symbol.dispose]();
  });

  it('by ten thousand idle connections keeps serving scrapers', async () => {
    const end = await idleSockets({ port }, 10_000);
    await expectGoodScrapes();
    end();
    await expectNothingLeftBehind();
  });

  it('by slow headers ends them in time and keeps serving', async () => {
    const slow = slowHeaders({ port }, 200, 8_000);
    await expectGoodScrapes();
    expect(await slow).toBe(200);
    await expectNothingLeftBehind();
  });

  it('by floods of headers refuses them and keeps serving', async () => {
    const flood = headerFlood({ port }, 100);
    await expectGoodScrapes();
    for (const status of await flood) expect([0, 431]).toContain(status);
    await expectNothingLeftBehind();
  });

  it('by pipelined requests answers a bounded number and keeps serving', async () => {
    const answers = pipelined({ port }, 20_000);
    await expectGoodScrapes();
    expect(await answers).toBeLessThanOrEqual(16);
    await expectNothingLeftBehind();
  });

  it('by a thousand wrong passwords a second keeps serving those with the right one', async () => {
    const attack = atRate(1_000, 4_000, (index) =>
      exchange(
        { port },
        `GET /metrics HTTP/1.1\r\nHost: x\r\nAuthorization: Basic ${Buffer.from(`slow:${index}`).toString('base64')}\r\n\r\n`,
      ),
    );
    await expectGoodScrapes();
    const statuses = new Set(await attack);
    expect(statuses).not.toContain(200);
    expect(statuses).toContain(503);
    await expectNothingLeftBehind();
  });

  it('by every spelling of a path to a file serves none', async () => {
    const paths = traversals();
    expect(paths.length).toBeGreaterThanOrEqual(200);
    for (const path of paths) {
      const status = await exchange({ port }, `GET ${path} HTTP/1.1\r\nHost: x\r\nAuthorization: ${RIGHT.authorization}\r\n\r\n`);
      expect([400, 404]).toContain(status);
    }
    await expectNothingLeftBehind();
  });

  it('by methods and bodies refuses them', async () => {
    for (const method of ['POST', 'PUT', 'PATCH', 'DELETE', 'OPTIONS', 'TRACE', 'CONNECT', 'PROPFIND', 'M-SEARCH']) {
      const status = await exchange({ port }, `${method} /metrics HTTP/1.1\r\nHost: x\r\nAuthorization: ${RIGHT.authorization}\r\n\r\n`);
      expect([0, 400, 405]).toContain(status);
    }
    const bodies = [
      'Content-Length: 1000000000\r\n\r\n',
      'Transfer-Encoding: chunked\r\n\r\nffffffff\r\n',
      'Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n',
    ];
    for (const body of bodies) {
      const status = await exchange({ port }, `GET /metrics HTTP/1.1\r\nHost: x\r\nAuthorization: ${RIGHT.authorization}\r\n${body}`);
      expect([400, 413]).toContain(status);
    }
    await expectGoodScrapes();
    await expectNothingLeftBehind();
  });

  /** Fifty scrapes over connections of their own, in turn, while an attack is under way. */
  async function expectGoodScrapes(): Promise<void> {
    const waitedMs: number[] = [];
    for (let round = 0; round < 50; round += 1) {
      const startedMs = performance.now();
      const { status, text } = await scrape();
      waitedMs.push(performance.now() - startedMs);
      expect(status).toBe(200);
      expect(text).toContain('neuron_core_utilization_ratio{');
    }
    expect(p99(waitedMs)).toBeLessThan(MAX_SCRAPE_MS);
  }

  async function expectNothingLeftBehind(): Promise<void> {
    await eventually(() => (descriptors() <= restingDescriptors + 2 ? true : undefined), {
      timeoutMs: 20_000,
      what: 'descriptors to be given back',
      context: () => `${descriptors()} descriptors, ${restingDescriptors} before`,
    });
    // Garbage is collected as the agent goes on with its work.
    await eventually(() => scrape().then(() => (residentBytes(pid()) - restingBytes < MAX_GROWTH_BYTES ? true : undefined)), {
      timeoutMs: 20_000,
      what: 'memory to be given back',
      context: () => `${((residentBytes(pid()) - restingBytes) / MEBIBYTE).toFixed(1)} MiB more than before`,
    });
  }

  function scrape() {
    return get(port, '/metrics', { headers: RIGHT });
  }

  function pid(): number {
    return agent.process.pid ?? 0;
  }

  function descriptors(): number {
    return readdirSync(`/proc/${pid()}/fd`).length;
  }
});
