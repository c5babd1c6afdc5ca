import { failureText, readRegularFile, utf8Text } from '../src/regular-file.ts';
import type { Pairs, Section, SettingsOf } from '../src/settings.ts';
import { MAX_FILE_BYTES, readDocument } from './document.ts';
import type { MapNode } from './document.ts';
import { otlpVariablesSet, readEnvironment } from './environment.ts';
import type { Env } from './environment.ts';
import { EXPORTER_FLAG, ExportersReader } from './exporters.ts';
import { LEGACY_KEYS, NEURON_MONITOR_KEYS, readNeuronMonitor } from './neuron-monitor.ts';
import type { Collection } from './neuron-monitor.ts';
import { memberPath, Problems, quote, ROOT } from './problems.ts';
import type { ConfigProblem } from './problems.ts';
import { AGENT_SECTION, sectionsOf } from './schema.ts';
import type { Definition, ExporterConfig } from './schema.ts';
import { SectionReader } from './section.ts';
import type { Flags } from './section.ts';
import { substitute } from './substitute.ts';
import { didYouMean } from './suggest.ts';

export interface LoadInput {
  /** Configuration file; without it, and without `text`, the defaults hold. */
  readonly path?: string;
  /** The flag that named the file, for messages. */
  readonly pathFlag?: string;
  /** Content in place of a file. */
  readonly text?: string;
  /** Values of flags, by the flag as it is typed. */
  readonly flags: Flags;
  readonly env: Env;
  /** Names that `metrics` may switch; without it any name passes. */
  readonly knownMetrics?: ReadonlySet<string>;
  /** True when exporters open the files that they will read: certificates, tokens, web configurations. */
  readonly opensFiles?: boolean;
  /** Reads a file as text up to a limit, or throws; the disk unless a test brings its own. */
  readonly readFile?: (path: string, maxBytes: number) => string;
}

/** The whole configuration after flags, environment, file and defaults. */
export type LoadedConfig<Source extends Section, Exporters> = Collection &
  SettingsOf<typeof AGENT_SECTION & { readonly source: Source }> & { readonly exporters: readonly ExporterConfig<Exporters>[] };

export type LoadResult<Config> =
  | { readonly ok: true; readonly config: Config; readonly warnings: readonly ConfigProblem[] }
  | { readonly ok: false; readonly problems: readonly ConfigProblem[]; readonly warnings: readonly ConfigProblem[] };

const MAX_SECRET_BYTES = 65_536;

/** Flags over environment over file over defaults. Never throws for bad input: every problem comes back with its path, all at once. */
export function loadConfig<Source extends Section, Exporters>(
  input: LoadInput,
  definition: Definition<Source, Exporters>,
): LoadResult<LoadedConfig<Source, Exporters>> {
  const problems = new Problems();
  const environment = readEnvironment(input.env, sectionsOf(definition), problems);
  const root = readRoot(input, problems);
  if (root === undefined) return { ok: false, problems: problems.errors, warnings: problems.warnings };
  refuseUnknownKeys(root, problems);
  const context = { environment, flags: input.flags, problems };
  const own = substitutedKeys(root, input, problems);
  const collection = readNeuronMonitor(root, environment, problems);
  const section = { source: definition.source, ...AGENT_SECTION };
  const settings = new SectionReader(withSourceMap(own), { path: ROOT, ...context, others: ['exporters'] }).read(section);
  refuseUnknownMetrics(settings.metrics, own, input.knownMetrics, problems);
  const exporters = new ExportersReader(definition.exporters, { ...context, opensFiles: input.opensFiles === true }).read(
    own.entries.get('exporters'),
  );
  warnAboutUnusedVariables(input.env, exporters, problems);
  if (problems.errors.length > 0) return { ok: false, problems: problems.errors, warnings: problems.warnings };
  return { ok: true, config: { ...collection, ...settings, exporters }, warnings: problems.warnings };
}

function readTextFile(path: string, maxBytes: number): string {
  return utf8Text(readRegularFile(path, maxBytes));
}

function readRoot(input: LoadInput, problems: Problems): MapNode | undefined {
  const text = readText(input, problems);
  if (text === undefined) return undefined;
  if (text === null) return { kind: 'map', entries: new Map(), keyPositions: new Map(), at: { line: 1, column: 1 } };
  const root = readDocument(text, problems);
  if (root === undefined || root.kind === 'map') return root;
  problems.error(ROOT, 'is not a map of keys to values', root.at);
  return undefined;
}

/** The file's content; null when there is no file, undefined when it cannot be read. */
function readText(input: LoadInput, problems: Problems): string | null | undefined {
  if (input.text !== undefined) {
    if (input.text.length <= MAX_FILE_BYTES) return input.text;
    problems.error(ROOT, 'is larger than 1 MiB');
    return undefined;
  }
  if (input.path === undefined) return null;
  try {
    return (input.readFile ?? readTextFile)(input.path, MAX_FILE_BYTES);
  } catch (thrown) {
    problems.error(input.pathFlag ?? '--config-file', `${quote(input.path)} cannot be read: ${failureText(thrown)}`);
    return undefined;
  }
}

const AGENT_KEYS = [...Object.keys(AGENT_SECTION), 'source', 'exporters'];

function refuseUnknownKeys(root: MapNode, problems: Problems): void {
  const known: readonly string[] = [...NEURON_MONITOR_KEYS, ...AGENT_KEYS];
  for (const key of root.entries.keys()) {
    if (known.includes(key) || key === '$schema') continue;
    const successor = LEGACY_KEYS.get(key);
    const complaint = successor === undefined ? `is not a known key${didYouMean(key, known)}` : `is the old name of ${quote(successor)}`;
    problems.error(memberPath(ROOT, key), complaint, root.keyPositions.get(key));
  }
}

/** The agent's own keys, with what their texts refer to. neuron-monitor's keys are taken literally. */
function substitutedKeys(root: MapNode, input: LoadInput, problems: Problems): MapNode {
  const readFile = input.readFile ?? readTextFile;
  const options = { env: input.env, readFile: (path: string) => readFile(path, MAX_SECRET_BYTES), problems };
  const entries = [...root.entries].filter(([key]) => AGENT_KEYS.includes(key));
  return { ...root, entries: new Map(entries.map(([key, node]) => [key, substitute(node, key, options)])) };
}

/** `source: native` is short for `source: {spec: native}`. */
function withSourceMap(root: MapNode): MapNode {
  const node = root.entries.get('source');
  if (node?.kind !== 'scalar' || node.value === null) return root;
  const map: MapNode = { kind: 'map', entries: new Map([['spec', node]]), keyPositions: new Map(), at: node.at };
  return { ...root, entries: new Map([...root.entries, ['source', map]]) };
}

function refuseUnknownMetrics(metrics: Pairs<boolean>, root: MapNode, known: ReadonlySet<string> | undefined, problems: Problems): void {
  const node = root.entries.get('metrics');
  for (const [name] of metrics) {
    if (known === undefined || known.has(name)) continue;
    const at = node?.kind === 'map' ? node.keyPositions.get(name) : undefined;
    problems.error(memberPath('metrics', name), `is not a metric of this agent${didYouMean(name, known)}`, at);
  }
}

function warnAboutUnusedVariables(env: Env, exporters: readonly { readonly id: string }[], problems: Problems): void {
  const [name] = otlpVariablesSet(env);
  if (name === undefined || exporters.some(({ id }) => id === 'otlp')) return;
  problems.warn(name, `has no effect: no exporter called otlp is in use; add it with ${EXPORTER_FLAG}, OTEL_METRICS_EXPORTER or the file`);
}
