import type { AgentConfig } from './agent-config.ts';
import { MAX_FILE_BYTES, readDocument } from './document.ts';
import type { DocumentNode, MapNode } from './document.ts';
import { otlpVariablesSet, readEnvironment } from './environment.ts';
import type { Env, Environment } from './environment.ts';
import { readExporters } from './exporters.ts';
import { flagName } from './flags.ts';
import type { Flags } from './flags.ts';
import { LEGACY_KEYS } from './legacy-names.ts';
import { everything, NEURON_MONITOR_KEYS, readNeuronMonitor } from './neuron-monitor.ts';
import { memberPath, Problems, quote, ROOT } from './problems.ts';
import type { ConfigProblem } from './problems.ts';
import { readTextFile } from './read-file.ts';
import { agentSchema } from './schema.ts';
import type { AgentSettings } from './schema.ts';
import { readSection } from './section.ts';
import { parseSourceSpec } from './source-spec.ts';
import { failureOf, substitute } from './substitute.ts';
import { didYouMean } from './suggest.ts';

export interface LoadInput {
  /** Configuration file; without it, and without `text`, the defaults hold. */
  readonly path?: string;
  /** Content in place of a file. */
  readonly text?: string;
  readonly flags: Partial<Flags>;
  readonly env: Env;
  /** Names that `metrics` may switch; without it any name passes. */
  readonly knownMetrics?: ReadonlySet<string>;
  /** Reads a file as text up to a limit, or throws; the disk unless a test says otherwise. */
  readonly readFile?: (path: string, maxBytes: number) => string;
}

export type LoadResult =
  | { readonly ok: true; readonly config: AgentConfig; readonly warnings: readonly ConfigProblem[] }
  | { readonly ok: false; readonly problems: readonly ConfigProblem[]; readonly warnings: readonly ConfigProblem[] };

const MAX_SECRET_BYTES = 65_536;

/** Flags over environment over file over defaults. Never throws for bad input: every problem comes back with its path, all at once. */
export function loadConfig(input: LoadInput): LoadResult {
  const problems = new Problems();
  const environment = readEnvironment(input.env, problems);
  const root = readRoot(input, problems);
  if (root === undefined) return { ok: false, problems: problems.errors, warnings: problems.warnings };
  refuseUnknownKeys(root, problems);
  const readFile = input.readFile ?? readTextFile;
  const substitution = { env: input.env, readFile: (path: string) => readFile(path, MAX_SECRET_BYTES), problems };
  const own = (key: string): DocumentNode | undefined => {
    const node = root.entries.get(key);
    return node === undefined ? undefined : substitute(node, key, substitution);
  };
  const collection =
    root.entries.size === 0 ? everything(environment.defaultPeriodMs) : readNeuronMonitor(root, environment.defaultPeriodMs, problems);
  const settings = readSettings(root, own, { environment, input, problems });
  const exporters = readExporters(own('exporters'), { environment, flags: input.flags, problems });
  warnAboutUnusedVariables(input.env, exporters, problems);
  if (problems.errors.length > 0) return { ok: false, problems: problems.errors, warnings: problems.warnings };
  return { ok: true, config: { ...collection, ...agentPart(settings, environment), exporters }, warnings: problems.warnings };
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

/** The file's content; null when there is no file, undefined when it cannot be had. */
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
    problems.error('--config-file', `${quote(input.path)} cannot be read: ${failureOf(thrown)}`);
    return undefined;
  }
}

const AGENT_KEYS = Object.keys(agentSchema);

function refuseUnknownKeys(root: MapNode, problems: Problems): void {
  const known: readonly string[] = [...NEURON_MONITOR_KEYS, 'exporters', ...AGENT_KEYS];
  for (const key of root.entries.keys()) {
    if (known.includes(key) || key === '$schema') continue;
    const successor = LEGACY_KEYS.get(key);
    const complaint = successor === undefined ? `is not a known key${didYouMean(key, known)}` : `is the old name of ${quote(successor)}`;
    problems.error(memberPath(ROOT, key), complaint, root.keyPositions.get(key));
  }
}

interface SettingsContext {
  readonly environment: Environment;
  readonly input: LoadInput;
  readonly problems: Problems;
}

function readSettings(root: MapNode, own: (key: string) => DocumentNode | undefined, context: SettingsContext): AgentSettings {
  const { environment, input, problems } = context;
  const entries = new Map<string, DocumentNode>();
  for (const key of AGENT_KEYS) {
    const node = own(key);
    if (node !== undefined) entries.set(key, key === 'source' ? sourceMap(node) : node);
  }
  const settings = readSection(
    agentSchema,
    { ...root, entries },
    { path: ROOT, problems, variables: environment.variables, flags: input.flags },
  );
  for (const [name] of settings.metrics) {
    if (input.knownMetrics === undefined || input.knownMetrics.has(name)) continue;
    const node = entries.get('metrics');
    const at = node?.kind === 'map' ? node.keyPositions.get(name) : undefined;
    problems.error(memberPath('metrics', name), `is not a metric of this agent${didYouMean(name, input.knownMetrics)}`, at);
  }
  return settings;
}

/** `source: native` is short for `source: {spec: native}`. */
function sourceMap(node: DocumentNode): DocumentNode {
  if (node.kind !== 'scalar' || node.value === null) return node;
  return { kind: 'map', entries: new Map([['spec', node]]), keyPositions: new Map(), at: node.at };
}

function agentPart(
  settings: AgentSettings,
  environment: Environment,
): Pick<AgentConfig, 'source' | 'resource' | 'telemetry' | 'metrics' | 'eccCounts'> {
  const { source, telemetry } = settings;
  const spec = parseSourceSpec(source.spec);
  const monitor = source.neuron_monitor;
  return {
    source: {
      spec: spec.ok ? spec.value : { kind: 'auto' },
      speed: source.speed,
      procfs: source.procfs,
      nds: { enabled: source.nds.enabled },
      imds: { enabled: source.imds.enabled, endpoint: source.imds.endpoint, budgetMs: source.imds.budget },
      neuronMonitor: {
        ...(monitor.path === null ? {} : { path: monitor.path }),
        ...(monitor.stall_after === null ? {} : { stallAfterMs: monitor.stall_after }),
      },
    },
    resource: { attributes: Object.fromEntries([...settings.resource.attributes, ...environment.resourceAttributes]) },
    telemetry: {
      log: { verbosity: verbosityOf(telemetry.log.verbosity), format: telemetry.log.format },
      maxSeries: telemetry.max_series,
      selfMetrics: telemetry.self_metrics,
    },
    metrics: Object.fromEntries(settings.metrics),
    eccCounts: settings.ecc_counts,
  };
}

function verbosityOf(level: number): AgentConfig['telemetry']['log']['verbosity'] {
  return ([0, 1, 2, 3, 4] as const).find((known) => known === level) ?? 3;
}

function warnAboutUnusedVariables(env: Env, exporters: AgentConfig['exporters'], problems: Problems): void {
  const [name] = otlpVariablesSet(env);
  if (name === undefined || exporters.some(({ id }) => id === 'otlp')) return;
  problems.warn(
    name,
    `has no effect: no exporter called otlp is in use; add it with ${flagName('exporters')}, OTEL_METRICS_EXPORTER or the file`,
  );
}
