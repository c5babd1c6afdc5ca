import { selectionOf } from '../config/groups.ts';
import { formatDuration } from '../config/units.ts';
import { isLoopback, parseListenAddress } from '../exporters/prometheus/web/listen-address.ts';
import { isClosed, loadWebConfig } from '../exporters/prometheus/web/web-policy.ts';
import { listenAddresses } from '../exporters/prometheus/settings.ts';
import type { PrometheusSettings } from '../exporters/prometheus/settings.ts';
import { findBinary } from '../sources/neuron-monitor/binary.ts';
import { sourceSpecOf } from '../sources/settings.ts';
import { visibilityOf } from '../sources/visibility.ts';
import type { Finding } from '../sources/visibility.ts';
import { EXIT } from '../src/errors.ts';
import { FACT_GROUPS, METRIC_GROUPS, isRuntimeGroup } from '../src/readings.ts';
import type { MetricGroup } from '../src/readings.ts';
import { groupsByPeriod } from '../src/selection.ts';
import { shownUrl } from '../src/shown-url.ts';
import type { PullSource } from '../src/source.ts';
import { load } from './config.ts';
import type { AgentConfig, ConfigInput } from './config.ts';
import type { CliIo } from './io.ts';
import { createConfiguredSources } from './virtual.ts';

/** Checks the configuration, opens every file that the start will need, and prints groups → periods → readers → exporters. */
export async function validate(input: ConfigInput, io: CliIo): Promise<number> {
  const loaded = load({ ...input, opensFiles: true }, io);
  if (typeof loaded === 'number') return loaded;
  const { config, logger } = loaded;
  const sources = await createConfiguredSources(config, { host: io.host, logger, stdin: io.stdin, runtimes: () => [] });
  const native = new Map<MetricGroup, string>();
  for (const source of sources.pullSources) for (const group of source.groups()) if (!native.has(group)) native.set(group, nameOf(source));
  const isRecording = sourceSpecOf(config.source).kind === 'file';
  const findings = isRecording ? [] : visibilityOf(sources.host).filter(({ is }) => is !== 'absent');
  for (const source of sources.pullSources) await source[Symbol.asyncDispose]();
  await sources[Symbol.asyncDispose]();
  for (const warning of [...exposures(config), ...(await binaryProblems(config, io))]) logger.warn({}, warning);
  io.stdout.write(describe(config, input.configFile, { stream: sources.stream?.id, native, findings }));
  return EXIT.ok;
}

/** Pages that other machines can read without TLS or without a user, as the start warns of them. */
function exposures({ exporters }: AgentConfig): readonly string[] {
  return exporters.flatMap((exporter) => {
    if (exporter.type !== 'prometheus' || exporter.settings.systemd_socket) return [];
    const { web_config_file: file } = exporter.settings;
    const wide = listenAddresses(exporter.settings).filter((address) => !isLoopback(parseListenAddress(address)));
    if (wide.length === 0 || (file !== null && isClosed(loadWebConfig(file)))) return [];
    return [`${exporter.id} would serve metrics to other machines on ${wide.join(', ')} without TLS and authentication`];
  });
}

/** A neuron-monitor that was asked for by name; without one the native sources serve. */
async function binaryProblems({ source }: AgentConfig, { host }: CliIo): Promise<readonly string[]> {
  const spec = sourceSpecOf(source);
  const path = (spec.kind === 'neuron-monitor' ? spec.path : undefined) ?? source.neuron_monitor.path ?? undefined;
  if (spec.kind !== 'neuron-monitor' && (spec.kind !== 'auto' || path === undefined)) return [];
  try {
    await findBinary(host, path);
    return [];
  } catch (thrown) {
    return [`neuron-monitor cannot be started, native sources serve instead: ${thrown instanceof Error ? thrown.message : String(thrown)}`];
  }
}

function nameOf({ id, caveat }: PullSource): string {
  return caveat === undefined ? id : `${id} (${caveat})`;
}

interface Serving {
  readonly stream: string | undefined;
  readonly native: ReadonlyMap<MetricGroup, string>;
  /** Lists what the native sources are not allowed, or not able, to see on this host. */
  readonly findings: readonly Finding[];
}

function describe(config: AgentConfig, path: string | undefined, serving: Serving): string {
  const lines = [`configuration  ${path ?? 'defaults (no file)'}: valid`, `source         ${sourceText(config)}`, ''];
  lines.push(
    ...groupLines(config, serving),
    '',
    ...findingLines(serving.findings),
    ...readerLines(config),
    '',
    ...exporterLines(config),
    '',
  );
  lines.push('effective configuration:', shownConfig(config), '');
  return lines.join('\n');
}

/** The configuration as JSON that may be shown: secrets and credentials in URLs are masked. */
export function shownConfig(config: AgentConfig): string {
  return JSON.stringify(config, withMaskedUrls, 2);
}

function withMaskedUrls(_key: string, value: unknown): unknown {
  return typeof value === 'string' && value.includes('://') ? shownUrl(value) : value;
}

function sourceText({ source }: AgentConfig): string {
  const spec = sourceSpecOf(source);
  switch (spec.kind) {
    case 'stdin':
      return 'neuron-monitor stream on stdin; the arrival of a record is the tick';
    case 'file':
      return `recorded stream ${spec.path} at ${source.speed} speed; the arrival of a record is the tick`;
    case 'virtual':
      return `simulated host ${spec.instanceType ?? ''}`.trimEnd();
    case 'auto':
    case 'native':
    case 'neuron-monitor':
      return spec.kind;
  }
}

/** Returns the source that would serve each group on this host now. */
function groupLines(config: AgentConfig, serving: Serving): readonly string[] {
  const selection = selectionOf(config);
  const rows = [['group', 'period', 'of', 'source']];
  for (const group of METRIC_GROUPS) {
    const periodMs = selection.periodsMs.get(group);
    const isFact = (FACT_GROUPS as readonly string[]).includes(group);
    if (periodMs === undefined && !isFact) rows.push([group, 'off', '', '']);
    else
      rows.push([
        group,
        periodMs === undefined ? 'with reports' : formatDuration(periodMs),
        scopeOf(config, group),
        sourcesOf(group, serving),
      ]);
  }
  return table(rows);
}

function scopeOf(config: AgentConfig, group: MetricGroup): string {
  if (!isRuntimeGroup(group)) return 'host';
  const filters = config.runtimes.filter((entry) => entry.groups[group] !== undefined).map((entry) => entry.tagFilter ?? '.*');
  return `processes with tag ${filters.map((filter) => `/${filter}/`).join(', ')}`;
}

function findingLines(findings: readonly Finding[]): readonly string[] {
  if (findings.length === 0) return [];
  return [
    ...table([
      ['not visible', 'why', 'remedy'],
      ...findings.map(({ object, is, message, remedy }) => [object, `${is}: ${message}`, remedy]),
    ]),
    '',
  ];
}

function sourcesOf(group: MetricGroup, { stream, native, findings }: Serving): string {
  const withheld = findings.find(({ object, groups }) => object === 'processes' && groups.includes(group));
  const source = native.get(group);
  const own = withheld !== undefined && source === 'procfs' ? `processes of the agent's own user only (others are ${withheld.is})` : source;
  const candidates = [stream, own].filter((candidate) => candidate !== undefined);
  return candidates.length === 0 ? 'none on this host' : candidates.join(', else ');
}

function readerLines(config: AgentConfig): readonly string[] {
  const pushes = config.exporters.filter(({ type }) => type === 'otlp').map(({ id }) => id);
  const rows = [['reader', 'groups', 'exporters']];
  for (const [periodMs, groups] of groupsByPeriod(selectionOf(config))) {
    rows.push([formatDuration(periodMs), [...groups].join(' '), pushes.join(' ') || '(none push)']);
  }
  return table(rows);
}

function exporterLines(config: AgentConfig): readonly string[] {
  return table([['exporter', 'destination'], ...config.exporters.map((exporter) => [exporter.id, destination(exporter)])]);
}

function destination(exporter: AgentConfig['exporters'][number]): string {
  switch (exporter.type) {
    case 'json_stdout':
      return "stdout, neuron-monitor's JSON, one line a report";
    case 'prometheus':
      return `${pages(exporter.settings).join(' and ')}, ${exporter.settings.naming} names`;
    case 'otlp':
      return `${shownUrl(exporter.settings.endpoint)}, ${exporter.settings.protocol}, ${exporter.settings.temporality}`;
  }
}

function pages(settings: PrometheusSettings): readonly string[] {
  const path = settings.telemetry_path;
  if (settings.systemd_socket) return [`${path} on the sockets of systemd`];
  // The web configuration decides about TLS.
  const scheme = settings.web_config_file === null ? 'http' : 'http(s)';
  return listenAddresses(settings).map((address) => `${scheme}://${address.startsWith(':') ? '*' : ''}${address}${path}`);
}

function table(rows: readonly (readonly string[])[]): readonly string[] {
  const widths = (rows[0] ?? []).map((_cell, column) => Math.max(...rows.map((row) => row[column]?.length ?? 0)));
  return rows.map((row) =>
    row
      .map((cell, column) => cell.padEnd(widths[column] ?? 0))
      .join('  ')
      .trimEnd(),
  );
}
