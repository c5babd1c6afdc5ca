import type { ExporterConfig, JsonStdoutConfig, PrometheusConfig } from './agent-config.ts';
import type { DocumentNode, MapNode } from './document.ts';
import type { Environment } from './environment.ts';
import type { Flags } from './flags.ts';
import { readOtlp } from './otlp.ts';
import { portOf } from './map-formats.ts';
import { itemPath, memberPath, quote } from './problems.ts';
import type { Position, Problems } from './problems.ts';
import { prometheusSchema } from './schema-exporters.ts';
import { readSection } from './section.ts';
import { didYouMean } from './suggest.ts';

export const EXPORTER_TYPES = ['json_stdout', 'prometheus', 'otlp'] as const;
export type ExporterType = (typeof EXPORTER_TYPES)[number];

/** `otlp`, `otlp/backup`; there is one stdout, so `json_stdout` takes no name. */
export const EXPORTER_ID_PATTERN = '^(json_stdout|(prometheus|otlp)(/[A-Za-z0-9_.-]{1,64})?)$';

export interface ExporterContext {
  readonly environment: Environment;
  readonly flags: Partial<Flags>;
  readonly problems: Problems;
}

interface Declared {
  readonly id: string;
  readonly type: ExporterType;
  readonly path: string;
  readonly node: MapNode | undefined;
  readonly at: Position | undefined;
}

/**
 * Reads `exporters`, a map or a list, and chooses among them: flags before `OTEL_METRICS_EXPORTER` before the file; JSON lines on
 * stdout, as neuron-monitor writes them, when nobody says anything. Exporters that are not chosen are checked all the same.
 */
export function readExporters(node: DocumentNode | undefined, context: ExporterContext): readonly ExporterConfig[] {
  const { environment, flags, problems } = context;
  const declared = new Map<string, Declared>();
  for (const exporter of node === undefined ? [] : declarations(node, problems)) {
    if (declared.has(exporter.id)) problems.error(exporter.path, `${quote(exporter.id)} is there twice`, exporter.at);
    else declared.set(exporter.id, exporter);
  }
  const chosen = choose([...declared.values()], node !== undefined, context);
  const configs = new Map<string, ExporterConfig>();
  for (const exporter of new Set([...declared.values(), ...chosen])) configs.set(exporter.id, readExporter(exporter, context));
  const effective = chosen.filter((exporter) => !environment.sdkDisabled || exporter.type === 'json_stdout');
  if (effective.length < chosen.length) problems.warn('OTEL_SDK_DISABLED', 'switches off every exporter but json_stdout');
  else if (effective.length === 0 && flags.exporters === undefined && environment.exporters === undefined) {
    problems.warn('exporters', 'is empty: nothing is exported', node?.at);
  }
  const result = effective.flatMap((exporter) => configs.get(exporter.id) ?? []);
  refuseCollisions(result, problems);
  return result;
}

function declarations(node: DocumentNode, problems: Problems): readonly Declared[] {
  if (node.kind === 'map')
    return [...node.entries].flatMap(([id, body]) => declare(id, body, memberPath('exporters', id), node.keyPositions.get(id), problems));
  if (node.kind === 'scalar') {
    if (node.value !== null) problems.error('exporters', 'is neither a map of exporters nor a list of their names', node.at);
    return [];
  }
  return node.items.flatMap((item, index) => {
    const path = itemPath('exporters', index);
    if (item?.kind === 'scalar' && typeof item.value === 'string') return declare(item.value, undefined, path, item.at, problems);
    if (item?.kind === 'map' && item.entries.size === 1) {
      return [...item.entries].flatMap(([id, body]) => declare(id, body, memberPath(path, id), item.keyPositions.get(id), problems));
    }
    if (item !== undefined) problems.error(path, 'is neither the name of an exporter nor a map with one exporter', item.at);
    return [];
  });
}

function declare(
  id: string,
  body: DocumentNode | undefined,
  path: string,
  at: Position | undefined,
  problems: Problems,
): readonly Declared[] {
  const type = typeOf(id);
  if (type === undefined) {
    problems.error(path, unknownExporter(id), at);
    return [];
  }
  const isEmpty = body === undefined || (body.kind === 'scalar' && body.value === null);
  if (!isEmpty && body.kind !== 'map') problems.error(path, 'is not a map', body.at);
  return [{ id, type, path, node: body?.kind === 'map' ? body : undefined, at }];
}

/** A type stands for the exporter of that name, else for all of that type, else for one with defaults. */
function choose(declared: readonly Declared[], fileSays: boolean, context: ExporterContext): readonly Declared[] {
  const { flags, environment, problems } = context;
  const names = flags.exporters ?? environment.exporters;
  if (names === undefined) return fileSays ? declared : [withDefaults('json_stdout', 'json_stdout')];
  const chosen = new Map<string, Declared>();
  for (const name of names) {
    if (name === 'none' && names.length === 1) break;
    const exact = declared.filter(({ id }) => id === name);
    const ofType = declared.filter(({ type }) => type === name);
    const type = EXPORTER_TYPES.find((candidate) => candidate === name);
    const matches = exact.length > 0 || type === undefined ? exact : ofType.length > 0 ? ofType : [withDefaults(type, name)];
    if (matches.length === 0)
      problems.error('--exporter', typeOf(name) === undefined ? unknownExporter(name) : `${quote(name)} is not in the file`);
    for (const match of matches) chosen.set(match.id, match);
  }
  return [...chosen.values()];
}

function withDefaults(type: ExporterType, id: string): Declared {
  return { id, type, path: memberPath('exporters', id), node: undefined, at: undefined };
}

function readExporter(exporter: Declared, context: ExporterContext): ExporterConfig {
  switch (exporter.type) {
    case 'json_stdout':
      return readJsonStdout(exporter, context.problems);
    case 'prometheus':
      return readPrometheus(exporter, context);
    case 'otlp':
      return readOtlp(exporter, context);
  }
}

function readJsonStdout(exporter: Declared, problems: Problems): JsonStdoutConfig {
  readSection({}, exporter.node, { path: exporter.path, problems });
  return { type: 'json_stdout', id: exporter.id };
}

/** Variables speak about the exporter without a name; `--naming` about every page. */
function readPrometheus(exporter: Declared, { environment, flags, problems }: ExporterContext): PrometheusConfig {
  const isPlain = exporter.id === 'prometheus';
  const settings = readSection(prometheusSchema, exporter.node, {
    path: exporter.path,
    problems,
    ...(isPlain ? { variables: environment.variables } : {}),
    flags: isPlain ? flags : { naming: flags.naming },
  });
  if (settings.systemd_socket && settings.listen.length > 0)
    problems.error(memberPath(exporter.path, 'systemd_socket'), 'cannot go together with listen: systemd has the addresses');
  return {
    type: 'prometheus',
    id: exporter.id,
    host: settings.host,
    port: settings.port,
    naming: settings.naming,
    translationStrategy: settings.translation_strategy,
    listen: settings.listen,
    systemdSocket: settings.systemd_socket,
    ...(settings.web_config_file === null ? {} : { webConfigFile: settings.web_config_file }),
    telemetryPath: settings.telemetry_path,
    maxRequests: settings.max_requests,
    scopeLabels: settings.scope_labels,
    identityLabels: settings.identity_labels,
    resourceLabels: settings.resource_labels,
    targetInfo: settings.target_info,
    legacy: { podLabels: settings.legacy.pod_labels, processLabel: settings.legacy.process_label },
  };
}

/** Two exporters must not want the same address or the same folder. */
function refuseCollisions(exporters: readonly ExporterConfig[], problems: Problems): void {
  const owners = new Map<string, string>();
  for (const exporter of exporters) {
    for (const claim of claimsOf(exporter)) {
      const owner = owners.get(claim);
      if (owner === undefined) owners.set(claim, exporter.id);
      else problems.error(memberPath('exporters', exporter.id), `uses ${claim}, which is that of ${quote(owner)}`);
    }
  }
}

function claimsOf(exporter: ExporterConfig): readonly string[] {
  switch (exporter.type) {
    case 'json_stdout':
      return [];
    case 'otlp': {
      const { directory } = exporter.queue;
      return directory === undefined ? [] : [`the folder ${quote(directory.replace(/(.)\/+$/, '$1'))}`];
    }
    case 'prometheus': {
      if (exporter.systemdSocket) return ['the sockets of systemd'];
      const addresses = exporter.listen.length > 0 ? exporter.listen : [`${exporter.host}:${exporter.port}`];
      return addresses.filter((address) => portOf(address) !== 0).map((address) => `the address ${address}`);
    }
  }
}

function typeOf(id: string): ExporterType | undefined {
  if (!new RegExp(EXPORTER_ID_PATTERN).test(id)) return undefined;
  const [name] = id.split('/', 1);
  return EXPORTER_TYPES.find((type) => type === name);
}

function unknownExporter(id: string): string {
  const [name = ''] = id.split('/', 1);
  const kinds = 'json_stdout, prometheus[/NAME], otlp[/NAME]';
  return `${quote(id)} is not an exporter: ${kinds}${didYouMean(name, EXPORTER_TYPES)}`;
}
