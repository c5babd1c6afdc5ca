import { spawn } from 'node:child_process';
import type { ChildProcessByStdio } from 'node:child_process';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { Readable } from 'node:stream';
import { withDeadline } from '../../src/deadline.ts';
import { AgentError } from '../../src/errors.ts';
import { errnoName, fileError } from '../../src/file-error.ts';
import type { Clock, Host } from '../../src/host.ts';

/** Between SIGTERM and SIGKILL, and after SIGKILL before the process is given up. */
const GRACE_MS = 2_000;

export interface ChildOptions {
  readonly clock: Clock;
  /** Absolute path. */
  readonly binary: string;
  readonly args: readonly string[];
  readonly env: Readonly<Record<string, string>>;
  readonly onStderr: (chunk: Uint8Array) => void;
}

/** A running neuron-monitor: leader of its own process group, without a shell, with nothing on stdin. */
export class MonitorChild {
  readonly #clock: Clock;
  readonly #process: ChildProcessByStdio<null, Readable, Readable>;
  readonly #exited = Promise.withResolvers<AgentError>();
  readonly #gone: Promise<void>;
  /** From here on the number may belong to another process. */
  #reaped = false;

  constructor(options: ChildOptions) {
    this.#clock = options.clock;
    this.#process = spawn(options.binary, options.args, {
      cwd: '/',
      env: { ...options.env },
      detached: true,
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    this.#process.once('error', (error) => this.#exited.resolve(startError(error)));
    this.#process.once('exit', (code, signal) => this.#onExit(code, signal));
    this.#process.stderr.on('data', options.onStderr);
    this.#process.stderr.on('error', () => this.#process.stderr.destroy());
    this.#gone = this.#exited.promise.then(() => undefined);
  }

  /** Undefined when the process could not be started. */
  get pid(): number | undefined {
    return this.#process.pid;
  }

  get stdout(): Readable {
    return this.#process.stdout;
  }

  /** Resolves, once, with the reason: it could not be started, it exited, it was killed. */
  get exited(): Promise<AgentError> {
    return this.#exited.promise;
  }

  /** SIGTERM to the whole group, SIGKILL after a grace period. Resolves when the child is gone, or was given up. Safe to repeat. */
  async stop(): Promise<void> {
    this.#killGroup('SIGTERM');
    if (await withDeadline(this.#clock, this.#gone, GRACE_MS)) return;
    this.#killGroup('SIGKILL');
    await withDeadline(this.#clock, this.#gone, GRACE_MS);
  }

  #onExit(code: number | null, signal: NodeJS.Signals | null): void {
    // Processes that the child started end with it: they would keep the pipe open and the devices in use.
    this.#killGroup('SIGKILL');
    this.#reaped = true;
    const how = signal === null ? `exited with code ${code}` : `was ended by ${signal}`;
    this.#exited.resolve(new AgentError('child_exited', 'neuron-monitor', `neuron-monitor ${how}`));
  }

  #killGroup(signal: NodeJS.Signals): void {
    if (this.#process.pid === undefined || this.#reaped) return;
    try {
      process.kill(-this.#process.pid, signal);
    } catch {
      // ESRCH: the group is empty. EPERM: all that is left of it belongs to somebody else. There is nothing left to do.
    }
  }
}

function startError(error: Error): AgentError {
  const errno = errnoName(error);
  const code = errno === 'ENOENT' ? 'source_absent' : errno === 'EACCES' || errno === 'EPERM' ? 'source_denied' : 'child_exited';
  return new AgentError(code, 'neuron-monitor', `neuron-monitor cannot be started: ${error.message}`, { cause: error });
}

/**
 * The part of the agent's environment that the child gets: PATH and HOME, so that neuron-monitor finds the aws command line tools, which it uses
 * for the instance's name; Go's own switches; which region and metadata service to ask; Neuron's own settings (logical core config).
 * Credentials and proxies stay here: the child needs the instance's role at most, and the metadata service answers no proxy.
 */
const NAMES: ReadonlySet<string> = new Set([
  'PATH',
  'HOME',
  'LANG',
  'LC_ALL',
  'TZ',
  'TMPDIR',
  'GOMEMLIMIT',
  'GOGC',
  'GOMAXPROCS',
  'GODEBUG',
  'AWS_REGION',
  'AWS_DEFAULT_REGION',
  'AWS_EC2_METADATA_DISABLED',
  'AWS_EC2_METADATA_SERVICE_ENDPOINT',
  'AWS_EC2_METADATA_SERVICE_ENDPOINT_MODE',
]);
const NEURON_PREFIX = 'NEURON_';
const OWN_PREFIX = 'NEURON_OTEL_';

export function childEnv(env: Readonly<Record<string, string | undefined>>): Record<string, string> {
  const kept: Record<string, string> = {};
  for (const [name, value] of Object.entries(env)) {
    const passes = NAMES.has(name) || (name.startsWith(NEURON_PREFIX) && !name.startsWith(OWN_PREFIX));
    if (passes && value !== undefined) kept[name] = value;
  }
  return kept;
}

export interface ConfigFile {
  readonly path: string;
  /** Removes the file and its folder; safe to repeat. */
  [Symbol.asyncDispose](): Promise<void>;
}

/**
 * Writes the configuration for one run of the child, readable by this user alone: mode 0600 in a new folder of mode 0700.
 * Tries TMPDIR, systemd's runtime folder, /tmp and /dev/shm: containers often have a read-only root.
 */
export async function writeConfigFile(host: Host, config: Readonly<Record<string, unknown>>): Promise<ConfigFile> {
  const parents = [host.env['TMPDIR'], host.env['RUNTIME_DIRECTORY'], '/tmp', '/dev/shm'];
  let refused: AgentError | undefined;
  for (const parent of parents) {
    if (parent === undefined || parent === '') continue;
    try {
      return await writeInto(parent, JSON.stringify(config));
    } catch (thrown) {
      refused ??= fileError(thrown, 'neuron-monitor');
    }
  }
  throw new AgentError('source_denied', 'neuron-monitor', 'no folder takes the configuration file', { cause: refused });
}

async function writeInto(parent: string, text: string): Promise<ConfigFile> {
  const folder = await mkdtemp(join(parent, 'neuron-otel-'));
  const path = join(folder, 'neuron-monitor.json');
  const remove = (): Promise<void> => rm(folder, { recursive: true, force: true });
  try {
    await writeFile(path, text, { mode: 0o600, flag: 'wx' });
  } catch (thrown) {
    await remove();
    throw thrown;
  }
  return { path, [Symbol.asyncDispose]: remove };
}
