import type { AgentConfig, ExporterConfig, PrometheusConfig } from '../config/agent-config.ts';
import { formatDuration } from '../config/duration.ts';
import { selectionOf } from '../config/groups.ts';
import { redacted } from '../config/redacted.ts';
import { createSources } from '../sources/index.ts';
import { EXIT } from '../src/errors.ts';
import { FACT_GROUPS, METRIC_GROUPS, isRuntimeGroup } from '../src/readings.ts';
import type { MetricGroup } from '../src/readings.ts';
import { groupsByPeriod } from '../src/selection.ts';
import type { PullSource } from '../src/source.ts';
import { load } from './config-command.ts';
import type { ConfigFlags } from './config-command.ts';
import type { CliIo } from './io.ts';

/** Checks the configuration and says what it comes to: groups → periods → readers → exporters. Starts nothing. */
export async function validate(flags: ConfigFlags, io: CliIo): Promise<number> {
  const loaded = load(flags, io);
  if (typeof loaded === 'number') return loaded;
  const { config, logger } = loaded;
  const sources = await createSources(config, { host: io.host, logger, stdin: io.stdin, runtimes: () => [] });
  const native = new Map<MetricGroup, string>();
  for (const source of sources.pullSources) for (const group of source.groups()) if (!native.has(group)) native.set(group, nameOf(source));
  for (const source of sources.pullSources) await source[Symbol.asyncDispose]();
  await sources[Symbol.asyncDispose]();
  io.stdout.write(describe(config, flags.configFile, { stream: sources.stream?.id, native }));
  return EXIT.ok;
}

function nameOf({ id, caveat }: PullSource): string {
  return caveat === undefined ? id : `${id} (${caveat})`;
}

interface Serving {
  readonly stream: string | undefined;
  readonly native: ReadonlyMap<MetricGroup, string>;
}

function describe(config: AgentConfig, path: string | undefined, serving: Serving): string {
  const lines = [`configuration  ${path ?? 'defaults (no file)'}: valid`, `source         ${sourceText(config)}`, ''];
  lines.push(...groupLines(config, serving), '', ...readerLines(config), '', ...exporterLines(config), '');
  lines.push('effective configuration:', JSON.stringify(redacted(config), null, 2), '');
  return lines.join('\n');
}

function sourceText({ source }: AgentConfig): string {
  switch (source.spec.kind) {
    case 'stdin':
      return 'neuron-monitor stream on stdin; the arrival of a record is the tick';
    case 'file':
      return `recorded stream ${source.spec.path} at ${source.speed} speed; the arrival of a record is the tick`;
    case 'virtual':
      return `simulated host ${source.spec.instanceType ?? ''}`.trimEnd();
    case 'auto':
    case 'native':
    case 'neuron-monitor':
      return source.spec.kind;
  }
}

/** Which source would serve each group on this host now. */
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

function sourcesOf(group: MetricGroup, { stream, native }: Serving): string {
  const candidates = [stream, native.get(group)].filter((source) => source !== undefined);
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

function destination(exporter: ExporterConfig): string {
  switch (exporter.type) {
    case 'json_stdout':
      return "stdout, neuron-monitor's JSON, one line a report";
    case 'prometheus':
      return `${pages(exporter).join(' and ')}, ${exporter.naming} names`;
    case 'otlp':
      return `${exporter.endpoint}, ${exporter.protocol}, ${exporter.temporality}`;
  }
}

function pages({ systemdSocket, listen, host, port, telemetryPath, webConfigFile }: PrometheusConfig): readonly string[] {
  if (systemdSocket) return [`${telemetryPath} on the sockets of systemd`];
  const addresses = listen.length > 0 ? listen : [`${host.includes(':') ? `[${host}]` : host}:${port}`];
  // Whether there is TLS is for the web configuration to say.
  const scheme = webConfigFile === undefined ? 'http' : 'http(s)';
  return addresses.map((address) => `${scheme}://${address.startsWith(':') ? '*' : ''}${address}${telemetryPath}`);
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
