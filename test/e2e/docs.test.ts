import { chmodSync, copyFileSync, existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { delimiter, join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { peerPath } from '../../scripts/peers.ts';
import { AgentProcess, PROGRAMS, projectRoot } from './support/agent.ts';
import { eventually } from './support/eventually.ts';
import { TemporaryFolder } from './support/folder.ts';
import { SHOWN_ONLY, codeBlocks, indentedCode, userDocuments } from './support/markdown.ts';
import type { CodeBlock } from './support/markdown.ts';
import { freePort } from './support/ports.ts';
import { RunningProcess } from './support/process.ts';
import { Prometheus } from './support/prometheus.ts';

const documents = userDocuments();
const blocks = documents.flatMap((path) => codeBlocks(path));

/** Commands of others, with what proves them instead; a test that ran them would need a cluster, a package manager or root. */
const NOT_RUN_HERE: Readonly<Record<string, string>> = {
  npm: 'scripts of package.json, which CI runs; that each exists is asserted below',
  npx: 'runs what npm installed',
  sed: 'edits a manifest for kubectl',
  sudo: 'changes the machine; test/e2e/deploy.test.ts runs what it runs, below a folder of its own',
  systemctl: 'needs a running systemd',
  journalctl: 'needs a running systemd',
  kubectl: 'needs a cluster; test/e2e/deploy.test.ts checks the manifests',
  docker: 'needs a container engine',
  curl: 'needs the agent that another line started',
  git: 'copies a repository',
  cp: 'copies files of a host with Neuron devices',
  '.ci/run': 'runs this test',
};

describe('code in the documents', () => {
  it('is found', () => {
    expect(blocks.length).toBeGreaterThan(20);
  });

  it('names its language in every block, so that none is left out', () => {
    const known = new Set([...SHOWN_ONLY, 'sh', 'yaml', 'promql']);
    expect(blocks.filter(({ language }) => !known.has(language)).map(({ place, language }) => `${place} "${language}"`)).toEqual([]);
  });

  it('is never indented instead of fenced', () => {
    expect(documents.flatMap((path) => indentedCode(path))).toEqual([]);
  });

  it.each(ofLanguage('json'))('$place is JSON', ({ text }) => {
    for (const line of /^\s*\{\n/.test(text) ? [text] : text.split('\n')) expect(() => void JSON.parse(line)).not.toThrow();
  });
});

describe('configurations in the documents', () => {
  it.each(ofLanguage('yaml', 'agent'))('$place is valid for the agent', async ({ text, place }) => {
    using files = new TemporaryFolder();
    const path = files.file('agent.yaml');
    writeFileSync(path, withExistingFiles(text, files));
    await using agent = new AgentProcess(['validate', '-c', path], { cwd: files.path, env: EXAMPLE_ENVIRONMENT });
    await agent.process.endsWith(0);
    expect(agent.process.stderr, place).not.toContain('error');
  });

  it.each(ofLanguage('yaml', 'container'))('$place has arguments that the command takes', async ({ text }) => {
    const [, command = ''] = /neuron-otel\.cjs, (\w+)\]/.exec(text) ?? [];
    const flags = [...text.matchAll(/(?<=[[ ])--[\w-]+/g)].map(([flag]) => flag);
    await using agent = new AgentProcess([command, '--help']);
    await agent.process.endsWith(0);
    const help = agent.process.stdout.toString('utf8');
    expect(flags.length).toBeGreaterThan(0);
    expect(flags.filter((flag) => !help.includes(flag))).toEqual([]);
  });

  // The section `otlp` is newer than this promtool; docs/otlp.md has a test of its own with Prometheus 3.
  it.each(ofLanguage('yaml', 'prometheus').filter(({ text }) => !/^otlp:/m.test(text)))(
    '$place is valid for Prometheus',
    async ({ text }) => {
      using folder = new TemporaryFolder();
      const path = folder.file('prometheus.yml');
      writeFileSync(path, text);
      await using promtool = new RunningProcess('promtool', peerPath('promtool'), ['check', 'config', '--syntax-only', path]);
      await promtool.endsWith(0);
      expect(promtool.stdout.toString('utf8')).toContain('SUCCESS');
    },
  );
});

describe('names that guides on the web use and that never existed', () => {
  const metrics = readFileSync(join(projectRoot, 'docs/METRICS.md'), 'utf8');
  const [, table = ''] =
    /^\| name in a guide[^\n]*\n\|[ -|]*\n((?:\|[^\n]*\n)+)/m.exec(readFileSync(join(projectRoot, 'docs/prometheus.md'), 'utf8')) ?? [];
  const rows = table
    .trim()
    .split('\n')
    .map((row) => row.split('|').map((cell) => [...cell.matchAll(/`(\w+)`/g)].map(([, name = '']) => name)));
  const wrong = rows.flatMap(([, names = []]) => names);
  const right = rows.flatMap(([, , names = []]) => names);

  it.each(wrong)('are no metric of this agent either: %s', (name) => {
    expect(metrics).not.toContain(`\`${name}\``);
  });

  it.each(right)('have a metric beside them: %s', (name) => {
    expect(metrics).toContain(name);
  });
});

describe('queries in the documents', () => {
  let agent: AgentProcess;
  let prometheus: Prometheus;

  beforeAll(async () => {
    const port = await freePort();
    agent = new AgentProcess(['--source', 'virtual:trn2.3xlarge'], {
      config: { period: '500ms', exporters: { prometheus: { port, naming: 'both' } } },
      env: { AWS_EC2_METADATA_DISABLED: 'true' },
    });
    prometheus = await Prometheus.start([{ job: 'neuron', port, labels: { node: 'node-1' } }]);
    await eventually(async () => ((await prometheus.query('rate(neuron_executions_total[1m]) > 0')).length > 0 ? true : undefined), {
      timeoutMs: 100_000,
      what: 'Prometheus to see executions',
    });
  }, 120_000);

  afterAll(async () => {
    await prometheus[Symbol.asyncDispose]();
    await agent[Symbol.asyncDispose]();
  });

  it.each(queries())('$place returns rows: $query', async ({ query }) => {
    const rows = await prometheus.answers(query, (found) => found.length > 0);
    expect(rows.length).toBeGreaterThan(0);
  });
});

describe('commands in the documents', () => {
  const bin = new TemporaryFolder();
  afterAll(() => bin[Symbol.dispose]());

  beforeAll(() => {
    const record = join(projectRoot, 'test/fixtures/neuron-monitor/trn1-one-runtime/stream.ndjson');
    program(bin, 'neuron-otel', `exec ${process.execPath} ${PROGRAMS.bundle} "$@"`);
    program(bin, 'neuron-monitor', `if [ "$1" = --version ]; then echo neuron-monitor 2; else cat ${record}; fi`);
    program(bin, 'neuron-monitor-prometheus.py', 'exec cat');
  });

  it('are run here, or have a reason why not', () => {
    const known = (line: string): boolean => isRun(line) || NOT_RUN_HERE[firstWord(line)] !== undefined;
    expect(commands().flatMap(({ place, line }) => (known(line) ? [] : [`${place}: ${line}`]))).toEqual([]);
  });

  it('call scripts of package.json that exist', () => {
    const { scripts } = JSON.parse(readFileSync(join(projectRoot, 'package.json'), 'utf8')) as { scripts: Record<string, string> };
    const called = commands().flatMap(({ line }) => [...line.matchAll(/\bnpm run (?:--silent )?([\w:-]+)/g)].map(([, name = '']) => name));
    expect(called.filter((name) => scripts[name] === undefined)).toEqual([]);
  });

  it('name files of the project that exist', () => {
    const named = commands().flatMap(({ line }) =>
      [...line.matchAll(/(?:^|\s)((?:deploy|config|scripts|docs)\/[\w./-]+)/g)].map(([, path = '']) => path),
    );
    expect(named.filter((path) => !existsSync(join(projectRoot, path)))).toEqual([]);
  });

  it.each(commands().filter(({ line }) => isRun(line)))('$place: $line', async ({ line }) => {
    using files = new TemporaryFolder();
    const port = await freePort();
    prepare(files, port);
    const command = `${line.includes('|') ? '' : 'exec '}${line}`.replaceAll(/(?<=[ :])(?:9464|8000)\b/g, String(port));
    await using shell = new RunningProcess('sh', 'sh', ['-c', command], {
      cwd: files.path,
      env: {
        ...EXAMPLE_ENVIRONMENT,
        PATH: [bin.path, process.env['PATH']].join(delimiter),
        OTEL_EXPORTER_PROMETHEUS_PORT: String(port),
        AWS_EC2_METADATA_DISABLED: 'true',
        NEURON_OTEL_LOG_FORMAT: 'text',
      },
    });
    // A command that goes on has started once it serves or collects; it then has to end in good order.
    await shell
      .until('to start or to end', () => (shell.hasExited || /serving metrics|\bstarted\b/.test(shell.stderr) ? true : undefined))
      .catch(() => {});
    // A pipeline ends by itself, with its first program.
    if (!shell.hasExited && !line.includes('|')) shell.kill('SIGTERM');
    const { code } = await shell.exited;
    expect(`exit code ${code}\n${shell.stderr}`).toMatch(/^exit code 0\n/);
  });
});

/** Variables that example configurations refer to. */
const EXAMPLE_ENVIRONMENT = {
  OTLP_TOKEN: 'example',
  TOKEN: 'example',
  API_KEY: 'example',
  NODE_NAME: 'node-1',
  HOST_IP: '127.0.0.1',
} as const;

function ofLanguage(language: string, kind?: CodeBlock['kind']): readonly CodeBlock[] {
  return blocks.filter((block) => block.language === language && (kind === undefined || block.kind === kind));
}

/** Expressions of a block are apart by an empty line; `#` begins a comment. */
function queries(): readonly { readonly place: string; readonly query: string }[] {
  return ofLanguage('promql').flatMap(({ place, text }) =>
    text
      .split(/\n\s*\n/)
      .map((query) => query.replaceAll(/^\s*#.*$/gm, '').trim())
      .filter((query) => query !== '')
      .map((query) => ({ place, query })),
  );
}

function commands(): readonly { readonly place: string; readonly line: string }[] {
  return ofLanguage('sh').flatMap(({ place, text }) =>
    text
      .replaceAll(/\\\n\s*/g, '')
      .split('\n')
      .map((line) =>
        line
          .replace(/(?:^|\s+)#(?!\{).*$/, '')
          .replace(/^\$ /, '')
          .trim(),
      )
      .filter((line) => line !== '')
      .map((line) => ({ place, line })),
  );
}

function firstWord(line: string): string {
  return line.split(/\s+/).find((word) => !/^\w+=/.test(word)) ?? '';
}

function isRun(line: string): boolean {
  return /^(?:\w+=\S+ )*(?:neuron-otel|neuron-monitor)\b/.test(line);
}

function program(folder: TemporaryFolder, name: string, body: string): void {
  writeFileSync(folder.file(name), `#!/bin/sh\n${body}\n`);
  chmodSync(folder.file(name), 0o755);
}

/** Files that commands name: a configuration, a web configuration without TLS, a recording. */
function prepare(folder: TemporaryFolder, port: number): void {
  writeFileSync(folder.file('agent.yaml'), `exporters:\n  prometheus: { port: ${port} }\n`);
  writeFileSync(folder.file('neuron-monitor.json'), '{"period":"1s","system_metrics":[{"type":"memory_info"}]}');
  writeFileSync(folder.file('web.yml'), 'basic_auth_users: {}\n');
  copyFileSync(join(projectRoot, 'test/fixtures/neuron-monitor/trn1-one-runtime/stream.ndjson'), folder.file('capture.ndjson'));
}

/** An example names files of a host that is not this one: each becomes a file of the test, or a folder, so that `validate` can open it. */
function withExistingFiles(text: string, folder: TemporaryFolder): string {
  return text.replaceAll(/(?<=[\s'":])(?:\/(?:etc|run|var|secrets|opt)\/[\w./-]+|[\w-]+\.(?:pem|crt|key)\b)/g, (path) => {
    const own = folder.file(path.replaceAll('/', '_'));
    if (path.includes('queue') || /^\/var\/lib\b/.test(path)) mkdirSync(own, { recursive: true });
    else writeFileSync(own, exampleOf(path), { mode: 0o600 });
    return own;
  });
}

/** A web configuration without keys, a certificate and its key of the fixtures, or any text. */
function exampleOf(path: string): string {
  if (path.endsWith('.yml')) return 'http_server_config: {}\n';
  const isKey = path.endsWith('.key');
  if (!isKey && !/\.(?:pem|crt)$/.test(path)) return 'example';
  return readFileSync(join(projectRoot, 'test/fixtures/web-config', isKey ? 'client.key' : 'client.crt'), 'utf8');
}
