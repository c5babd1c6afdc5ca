/** Who is attacked: the agent as it ships, and Debian's node_exporter, with one web configuration. Part of `attack`. */
import { execFileSync, spawn } from 'node:child_process';
import type { ChildProcess } from 'node:child_process';
import { existsSync, readdirSync, writeFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { hashSync } from 'bcryptjs';
import { peerPath } from '../scripts/peers.ts';
import { SCRAPE_TIMEOUT_MS } from './attack-limits.ts';
import { residentBytes } from './cpu-time.ts';
import { neuronMonitorLine } from './neuron-monitor-line.ts';
import { ended } from './whole-agent.ts';

const root = resolve(import.meta.dirname, '..');
const BUNDLE = join(root, 'dist/neuron-otel.cjs');

const PASSWORD = 'correct horse';
export const AUTHORIZATION = `Basic ${Buffer.from(`scraper:${PASSWORD}`).toString('base64')}`;
/** As htpasswd makes them by default: tens of milliseconds for each password. */
const BCRYPT_COST = 10;

const RUNTIMES = 32;
const RECORD_INTERVAL_MS = 5_000;

export class Target implements AsyncDisposable {
  readonly name: 'ours' | 'node_exporter';
  readonly port: number;
  readonly #child: ChildProcess;
  readonly #feeding: NodeJS.Timeout | undefined;

  constructor(name: Target['name'], port: number, child: ChildProcess, feeding?: NodeJS.Timeout) {
    this.name = name;
    this.port = port;
    this.#child = child;
    this.#feeding = feeding;
  }

  get residentBytes(): number {
    return residentBytes(this.#pid);
  }

  get descriptors(): number {
    return readdirSync(`/proc/${this.#pid}/fd`).length;
  }

  /** The page, or nothing while it cannot be had. */
  async scrape(): Promise<string> {
    const signal = AbortSignal.timeout(SCRAPE_TIMEOUT_MS);
    try {
      const response = await fetch(`http://127.0.0.1:${this.port}/metrics`, { headers: { authorization: AUTHORIZATION }, signal });
      return response.ok ? await response.text() : '';
    } catch {
      return '';
    }
  }

  get #pid(): number {
    const { pid, exitCode, signalCode } = this.#child;
    if (pid === undefined || exitCode !== null || signalCode !== null) throw new Error(`${this.name} has ended`);
    return pid;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    clearInterval(this.#feeding);
    // Under attack it does not hear SIGTERM in time.
    if (this.name === 'node_exporter') this.#child.kill('SIGKILL');
    await ended(this.#child);
  }
}

/** A web configuration with one user. */
export function writeWebConfig(folder: string): string {
  const path = join(folder, 'web.yml');
  writeFileSync(path, `basic_auth_users:\n  scraper: ${hashSync(PASSWORD, BCRYPT_COST)}\n`);
  return path;
}

/** A record of 32 Neuron processes comes each five seconds, as from neuron-monitor. */
export async function startAgent(folder: string, webConfigFile: string, port: number): Promise<Target> {
  if (!existsSync(BUNDLE)) execFileSync(process.execPath, [join(root, 'scripts/build.ts')], { stdio: 'ignore' });
  const config = join(folder, 'config.json');
  const source = { spec: '-', procfs: 'off', imds: { enabled: false } };
  writeFileSync(config, JSON.stringify({ source, exporters: { prometheus: { port, web_config_file: webConfigFile } } }));
  const child = spawn(process.execPath, [BUNDLE, '-c', config, '--verbose', '1'], { stdio: ['pipe', 'ignore', 'inherit'] });
  child.stdin.on('error', () => {});
  let sequence = 0;
  const feed = (): void => {
    sequence += 1;
    child.stdin.write(`${neuronMonitorLine({ runtimes: RUNTIMES, sequence, periodSeconds: RECORD_INTERVAL_MS / 1000 })}\n`);
  };
  feed();
  const target = new Target('ours', port, child, setInterval(feed, RECORD_INTERVAL_MS));
  await untilServing(target, 'neuron_core_utilization_ratio');
  return target;
}

export async function startNodeExporter(webConfigFile: string, port: number): Promise<Target> {
  const program = peerPath('node-exporter', (line) => console.log(`attack: ${line}`));
  const args = [`--web.listen-address=127.0.0.1:${port}`, `--web.config.file=${webConfigFile}`, '--log.level=error'];
  const target = new Target('node_exporter', port, spawn(program, args, { stdio: 'ignore' }));
  await untilServing(target, 'node_cpu_seconds_total');
  return target;
}

async function untilServing(target: Target, family: string): Promise<void> {
  for (let attempt = 0; attempt < 200; attempt += 1) {
    if ((await target.scrape()).includes(family)) return;
    await new Promise((done) => setTimeout(done, 50));
  }
  throw new Error(`${target.name} does not serve ${family}`);
}
