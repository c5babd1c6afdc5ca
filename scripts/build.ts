/**
 * Bundles the agent into `dist/neuron-otel.cjs`, one file that plain Node runs, with the licences of what it contains next to it.
 * CommonJS, because importing `node:http` as ESM costs 12–15 MB (nodejs/node#59686); see docs/decisions/one-bundle.md.
 */
import { execFileSync } from 'node:child_process';
import { createRequire } from 'node:module';
import { chmodSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { delimiter, dirname, join, resolve } from 'node:path';
import { gzipSync } from 'node:zlib';
import { build } from 'esbuild';
import type { BuildOptions, Metafile, Plugin } from 'esbuild';
import { thirdPartyLicences } from './licences.ts';

const root = resolve(import.meta.dirname, '..');
const outputFolder = join(root, 'dist');
const requireFromRoot = createRequire(join(root, 'package.json'));
const bundlePath = join(outputFolder, 'neuron-otel.cjs');

/** Native code, loaded when it is asked for and found next to the bundle; without it the rest works. */
const OPTIONAL_PACKAGES = ['koffi'];

/** Exporters of the OpenTelemetry SDK (`implementation: sdk`), each a file of its own that is read only when it is configured. */
const LAZY_PACKAGES = [
  '@opentelemetry/exporter-metrics-otlp-grpc',
  '@opentelemetry/exporter-metrics-otlp-http',
  '@opentelemetry/exporter-metrics-otlp-proto',
  '@opentelemetry/exporter-prometheus',
] as const;

/** Major and minor version of the oldest Node that runs the bundle, as package.json's `engines` states it. */
const MIN_NODE = [22, 15] as const;

/**
 * How the bundle starts when it is run as a program: glibc gives memory back and keeps one arena, V8 keeps one helper thread and has
 * room for the garbage of a cycle. Here stands what cannot be set later; the rest is in src/v8-settings.ts. Kernels before 5.1 know no
 * first lines beyond 127 bytes. What each setting brings: docs/decisions/memory.md.
 */
const START = ['MALLOC_ARENA_MAX=1', 'MALLOC_TRIM_THRESHOLD_=131072', 'node', '--v8-pool-size=1', '--min-semi-space-size=2'] as const;

/** Uncompressed size the bundle must stay below, in bytes. */
const MAX_BUNDLE_BYTES = 2_000_000;

const version = packageVersion();
const SHARED = {
  absWorkingDir: root,
  outdir: outputFolder,
  outExtension: { '.js': '.cjs' },
  bundle: true,
  minify: true,
  platform: 'node',
  format: 'cjs',
  target: `node${MIN_NODE.join('.')}`,
  // `import('http')` inside a CommonJS bundle would load the ESM view of the module after all.
  supported: { 'dynamic-import': false },
  legalComments: 'external',
  metafile: true,
  write: false,
  logLevel: 'warning',
} as const satisfies BuildOptions;

const agent = await build({
  ...SHARED,
  // Worker threads are files of their own: they must not load the agent to be started.
  entryPoints: {
    'neuron-otel': join(root, 'cli/main.ts'),
    'nds-worker': join(root, 'sources/nds/worker.ts'),
    'bcrypt-worker': join(root, 'exporters/prometheus/web/bcrypt-worker.ts'),
  },
  define: { 'import.meta.dirname': '__dirname' },
  banner: { js: banner() },
  external: OPTIONAL_PACKAGES,
  plugins: [onlyVersionOfPackageJson(), besideTheBundle()],
});
// The packages' CommonJS editions: the other ones find `@grpc/grpc-js` with `import.meta.url`, which a bundle does not have.
const lazy = await build({
  ...SHARED,
  entryPoints: Object.fromEntries(LAZY_PACKAGES.map((name) => [fileNameOf(name), requireFromRoot.resolve(name)])),
  conditions: ['require'],
});
writeOutput();
report();

function writeOutput(): void {
  rmSync(outputFolder, { recursive: true, force: true });
  mkdirSync(outputFolder);
  let legalComments = '';
  for (const file of [...agent.outputFiles, ...lazy.outputFiles]) {
    if (file.path.endsWith('.LEGAL.txt')) legalComments += file.text;
    else writeFileSync(file.path, file.text);
  }
  chmodSync(bundlePath, 0o755);
  const licences = thirdPartyLicences(new Set([...bundledPackages(agent.metafile), ...bundledPackages(lazy.metafile)]), {
    root,
    legalComments,
  });
  writeFileSync(join(outputFolder, 'THIRD-PARTY-LICENCES.txt'), licences);
  writeFileSync(join(outputFolder, 'LICENSE'), readFileSync(join(root, 'LICENSE')));
}

/** First lines of the bundle. The version check stands before all code, since an older Node may fail on the first module already. */
function banner(): string {
  const [major, minor] = MIN_NODE;
  const tooOld = `v[0] < ${major} || (v[0] == ${major} && v[1] < ${minor})`;
  const complaint = `"neuron-otel needs Node.js ${major}.${minor} or newer, this is " + process.version + "\\n"`;
  return [
    `#!/usr/bin/env -S ${START.join(' ')}`,
    `/* neuron-otel ${version}, Apache-2.0. Licences of bundled packages: THIRD-PARTY-LICENCES.txt. */`,
    // esbuild's own directive comes after this function and would be no directive any more.
    '"use strict";',
    `(function (v) { if (${tooOld}) { process.stderr.write(${complaint}); process.exit(1); } })(process.versions.node.split("."));`,
  ].join('\n');
}

/** Folders of the packages whose code is in the bundle, relative to the root. */
function bundledPackages(meta: Metafile): ReadonlySet<string> {
  const folders = new Set<string>();
  for (const output of Object.values(meta.outputs)) {
    for (const [input, { bytesInOutput }] of Object.entries(output.inputs)) {
      const folder = /^(?:.*\/)?node_modules\/(?:@[^/]+\/)?[^/]+/.exec(input)?.[0];
      if (folder !== undefined && bytesInOutput > 0) folders.add(folder);
    }
  }
  return folders;
}

/** Leaves the lazy packages out of the bundle, which reads them from files beside it. */
function besideTheBundle(): Plugin {
  return {
    name: 'beside-the-bundle',
    setup(pluginBuild) {
      pluginBuild.onResolve({ filter: /^@opentelemetry\/exporter-/ }, ({ path }) => ({
        path: `./${fileNameOf(path)}.cjs`,
        external: true,
      }));
    },
  };
}

function fileNameOf(packageName: string): string {
  return packageName.slice(packageName.indexOf('/') + 1);
}

/** The bundle carries the agent's version, not the rest of its package.json. */
function onlyVersionOfPackageJson(): Plugin {
  return {
    name: 'only-version-of-package-json',
    setup(pluginBuild) {
      pluginBuild.onLoad({ filter: /package\.json$/ }, ({ path }) =>
        path === join(root, 'package.json') ? { contents: JSON.stringify({ version }), loader: 'json' } : undefined,
      );
    },
  };
}

function packageVersion(): string {
  const packageJson: unknown = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8'));
  if (typeof packageJson === 'object' && packageJson !== null && 'version' in packageJson && typeof packageJson.version === 'string') {
    return packageJson.version;
  }
  throw new Error('package.json has no version');
}

function report(): void {
  const bytes = readFileSync(bundlePath);
  // One letter beyond ASCII makes V8 keep the whole source with two bytes for each letter. esbuild escapes them but in regular expressions.
  const foreign = bytes.findIndex((byte) => byte > 0x7f);
  if (foreign !== -1)
    throw new Error(`bundle is not ASCII: write ${JSON.stringify(bytes.subarray(foreign - 40, foreign + 8).toString())} with \\u escapes`);
  if (bytes.length > MAX_BUNDLE_BYTES) throw new Error(`bundle has ${bytes.length} bytes, more than ${MAX_BUNDLE_BYTES}`);
  // As a program, with the Node this script runs on.
  const path = [dirname(process.execPath), process.env['PATH']].join(delimiter);
  const printed = execFileSync(bundlePath, ['--version'], { encoding: 'utf8', env: { ...process.env, PATH: path } }).trim();
  if (!printed.includes(version)) throw new Error(`bundle says it is ${JSON.stringify(printed)}, expected ${version}`);
  console.log(`dist/neuron-otel.cjs ${printed}: ${kibibytes(bytes.length)}, ${kibibytes(gzipSync(bytes).length)} compressed`);
}

function kibibytes(size: number): string {
  return `${(size / 1024).toFixed(0)} KiB`;
}
