import { spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { accessSync, constants, existsSync, mkdirSync, readFileSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { delimiter, join, resolve } from 'node:path';

/** Programs of others that the end-to-end tests and benchmarks run next to the agent. */
export const PEER_NAMES = [
  'collector',
  'prometheus',
  'promtool',
  'prometheus-3',
  'prometheus-parser',
  'exporter-toolkit',
  'node-exporter',
  'python',
  'strace',
  'libfaketime',
  'systemd-analyze',
] as const;
export type PeerName = (typeof PEER_NAMES)[number];

/** A peer that could not be had: what was tried, and what a person can do. */
export interface MissingPeer {
  readonly name: PeerName;
  readonly problem: string;
  readonly remedy: string;
}

export interface PreparedPeers {
  /** Absolute paths of executables. */
  readonly paths: ReadonlyMap<PeerName, string>;
  readonly missing: readonly MissingPeer[];
}

const root = resolve(import.meta.dirname, '..');
const peersFolder = join(root, '.peers');
const requirements = join(root, 'test/e2e/requirements.txt');

const DEBIAN_PROGRAMS = {
  prometheus: { package: 'prometheus', program: 'prometheus' },
  promtool: { package: 'prometheus', program: 'promtool' },
  'node-exporter': { package: 'prometheus-node-exporter', program: 'prometheus-node-exporter' },
  strace: { package: 'strace', program: 'strace' },
} as const;

/** A library to be preloaded. Debian keeps it in a folder of the machine's architecture. */
const FAKETIME = { package: 'libfaketime', library: 'faketime/libfaketimeMT.so.1' } as const;

interface GoProgram {
  /** Module below `test/e2e/`. */
  readonly folder: string;
  /** Package in the module, or one that the module requires. */
  readonly program: string;
  readonly tags?: string;
  /** Name in `.peers/`. */
  readonly binary: string;
}

const GO_PROGRAMS = {
  collector: { folder: 'collector', program: '.', binary: 'otelcol' },
  'prometheus-parser': { folder: 'prometheus-peers', program: './parser', binary: 'prometheus-parser' },
  'exporter-toolkit': { folder: 'prometheus-peers', program: './toolkit', binary: 'exporter-toolkit' },
  // Debian's Prometheus 2 has no OTLP receiver of this kind. Service discoveries are left out: tests have static targets.
  'prometheus-3': {
    folder: 'prometheus-3',
    program: 'github.com/prometheus/prometheus/cmd/prometheus',
    binary: 'prometheus-3',
    tags: 'remove_all_sd,netgo',
  },
} as const satisfies Readonly<Record<string, GoProgram>>;

/**
 * Makes the named peers ready, building or downloading what is absent into `.peers/`. Needs no root, starts no service.
 * What is there already is used as it is, so the second call is fast.
 */
export function preparePeers(names: readonly PeerName[] = PEER_NAMES, log: (line: string) => void = () => {}): PreparedPeers {
  const paths = new Map<PeerName, string>();
  const missing: MissingPeer[] = [];
  mkdirSync(peersFolder, { recursive: true });
  for (const name of names) {
    try {
      paths.set(name, preparePeer(name, log));
    } catch (error) {
      missing.push({ name, problem: error instanceof Error ? error.message : String(error), remedy: remedyFor(name) });
    }
  }
  return { paths, missing };
}

/**
 * Path of one peer, made ready if it is not yet.
 * @throws Error with the remedy when it cannot be had.
 */
export function peerPath(name: PeerName, log?: (line: string) => void): string {
  const { paths, missing } = preparePeers([name], log);
  const path = paths.get(name);
  if (path === undefined)
    throw new Error(missing.map(({ problem, remedy }) => `${name} is missing: ${problem}; remedy: ${remedy}`).join('\n'));
  return path;
}

function preparePeer(name: PeerName, log: (line: string) => void): string {
  switch (name) {
    case 'collector':
    case 'prometheus-parser':
    case 'exporter-toolkit':
    case 'prometheus-3':
      return goProgram(GO_PROGRAMS[name], log);
    case 'python':
      return pythonEnvironment(log);
    case 'libfaketime':
      return debianLibrary(log);
    case 'systemd-analyze':
      return programInPath(name);
    case 'prometheus':
    case 'promtool':
    case 'node-exporter':
    case 'strace':
      return debianProgram(DEBIAN_PROGRAMS[name], log);
  }
}

function remedyFor(name: PeerName): string {
  switch (name) {
    case 'collector':
    case 'prometheus-parser':
    case 'exporter-toolkit':
    case 'prometheus-3':
      return 'install Go 1.26 or newer; its module proxy must be reachable';
    case 'python':
      return 'install Python 3.9 or newer with venv and pip (Debian: apt-get install python3-venv)';
    case 'libfaketime':
      return `apt-get install --no-install-recommends ${FAKETIME.package}`;
    case 'systemd-analyze':
      return 'put systemd-analyze into PATH (Debian: apt-get install systemd)';
    case 'prometheus':
    case 'promtool':
    case 'node-exporter':
    case 'strace':
      return `put ${DEBIAN_PROGRAMS[name].program} into PATH (Debian: apt-get install --no-install-recommends ${DEBIAN_PROGRAMS[name].package})`;
  }
}

/** Built from `test/e2e/`, again when the sources change. */
function goProgram({ folder, program, binary, tags }: GoProgram, log: (line: string) => void): string {
  const source = join(root, 'test/e2e', folder);
  const path = join(peersFolder, binary);
  const hash = createHash('sha256');
  const main = join(source, program, 'main.go');
  for (const file of [join(source, 'go.mod'), join(source, 'go.sum'), ...(existsSync(main) ? [main] : [])]) hash.update(readFileSync(file));
  return onceFor(path, hash.digest('hex'), () => {
    log(`building ${binary} (some minutes)`);
    const args = ['build', '-mod=readonly', '-trimpath', ...(tags === undefined ? [] : ['-tags', tags]), '-o', path, program];
    run('go', args, { cwd: source, env: { CGO_ENABLED: '0' } });
  });
}

function pythonEnvironment(log: (line: string) => void): string {
  const folder = join(peersFolder, 'python');
  const python = join(folder, 'bin/python');
  return onceFor(python, createHash('sha256').update(readFileSync(requirements)).digest('hex'), () => {
    log('installing prometheus-client into a Python environment');
    rmSync(folder, { recursive: true, force: true });
    run('python3', ['-m', 'venv', folder]);
    run(python, ['-m', 'pip', 'install', '--quiet', '--requirement', requirements]);
  });
}

/** Debian's own build from PATH, or unpacked from the package. */
function debianProgram(wanted: { readonly package: string; readonly program: string }, log: (line: string) => void): string {
  const installed = findInPath(wanted.program);
  if (installed !== undefined) return installed;
  const program = join(peersFolder, 'debian/usr/bin', wanted.program);
  if (!existsSync(program)) unpackDebian(wanted.package, log);
  if (!existsSync(program)) throw new Error(`${wanted.package} has no ${wanted.program}`);
  return program;
}

function debianLibrary(log: (line: string) => void): string {
  const find = (prefix: string): string | undefined => {
    const folders = existsSync(join(prefix, 'usr/lib')) ? readdirSync(join(prefix, 'usr/lib')) : [];
    return folders.map((folder) => join(prefix, 'usr/lib', folder, FAKETIME.library)).find((path) => existsSync(path));
  };
  const unpacked = join(peersFolder, 'debian');
  if (find('/') === undefined && find(unpacked) === undefined) unpackDebian(FAKETIME.package, log);
  const library = find('/') ?? find(unpacked);
  if (library === undefined) throw new Error(`${FAKETIME.package} has no ${FAKETIME.library}`);
  return library;
}

/** Unpacks a package into `.peers/debian`, with an apt state of our own. */
function unpackDebian(name: string, log: (line: string) => void): void {
  log(`downloading Debian's package ${name}`);
  const apt = join(peersFolder, 'apt');
  const lists = join(apt, 'lists');
  mkdirSync(join(lists, 'partial'), { recursive: true });
  mkdirSync(join(apt, 'archives/partial'), { recursive: true });
  const state = ['-o', `Dir::State::Lists=${lists}`, '-o', `Dir::Cache=${apt}`, '-o', 'APT::Sandbox::User=root'];
  if (!readdirSync(lists).some((file) => file.includes('Packages'))) run('apt-get', [...state, '-q', 'update']);
  run('apt-get', [...state, '-q', 'download', name], { cwd: apt });
  const archive = readdirSync(apt).find((file) => file.startsWith(`${name}_`) && file.endsWith('.deb'));
  if (archive === undefined) throw new Error(`apt-get downloaded no ${name}`);
  run('dpkg-deb', ['-x', join(apt, archive), join(peersFolder, 'debian')]);
  rmSync(join(apt, archive));
}

/** Runs `make` unless `product` was made for the same `key` before. */
function onceFor(product: string, key: string, make: () => void): string {
  const stamp = join(peersFolder, `${product.slice(peersFolder.length + 1).replaceAll('/', '-')}.stamp`);
  if (existsSync(product) && existsSync(stamp) && readFileSync(stamp, 'utf8') === key) return product;
  make();
  writeFileSync(stamp, key);
  return product;
}

function programInPath(program: string): string {
  const found = findInPath(program);
  if (found === undefined) throw new Error(`${program} is not in PATH`);
  return found;
}

function findInPath(program: string): string | undefined {
  for (const folder of (process.env['PATH'] ?? '').split(delimiter)) {
    const candidate = join(folder, program);
    try {
      accessSync(candidate, constants.X_OK);
      return candidate;
    } catch {
      // Not in this folder: the next one may have it.
    }
  }
  return undefined;
}

function run(
  command: string,
  args: readonly string[],
  options: { readonly cwd?: string; readonly env?: Readonly<Record<string, string>> } = {},
): void {
  const result = spawnSync(command, args, {
    cwd: options.cwd ?? root,
    env: { ...process.env, ...options.env },
    stdio: ['ignore', 'pipe', 'pipe'],
    encoding: 'utf8',
    timeout: 20 * 60_000,
  });
  if (result.error !== undefined) throw new Error(`${command}: ${result.error.message}`, { cause: result.error });
  if (result.status !== 0) {
    const output = `${result.stdout}\n${result.stderr}`.trim().split('\n').slice(-15).join('\n');
    throw new Error(`${command} ${args.join(' ')} ended with ${result.status ?? result.signal}:\n${output}`);
  }
}
