import type { Naming } from './schema-exporters.ts';

/** What the command line may say about the configuration. */
export interface Flags {
  /** `--source`: see `source.spec`. */
  readonly source: string;
  readonly speed: 'recorded' | 'max';
  /** `--exporter`: names or types; `none` for none. */
  readonly exporters: readonly string[];
  readonly verbosity: 0 | 1 | 2 | 3 | 4;
  readonly logFormat: 'text' | 'json';
  /** Names on the Prometheus page. */
  readonly naming: Naming;
  readonly prometheusHost: string;
  readonly prometheusPort: number;
  /** `--web.*` of Prometheus exporters. */
  readonly webListen: readonly string[];
  readonly webSystemdSocket: boolean;
  readonly webConfigFile: string;
  readonly webTelemetryPath: string;
  readonly webMaxRequests: number;
  /** Pod, namespace and container on the legacy families. */
  readonly legacyPodLabels: boolean;
}

const FLAG_NAMES: ReadonlyMap<string, string> = new Map([
  ['source', '--source'],
  ['speed', '--speed'],
  ['exporters', '--exporter'],
  ['verbosity', '--verbose'],
  ['logFormat', '--log-format'],
  ['naming', '--naming'],
  ['prometheusHost', '--host'],
  ['prometheusPort', '--port'],
  ['legacyPodLabels', '--enable-k8s-info'],
  ['webListen', '--web.listen-address'],
  ['webSystemdSocket', '--web.systemd-socket'],
  ['webConfigFile', '--web.config.file'],
  ['webTelemetryPath', '--web.telemetry-path'],
  ['webMaxRequests', '--web.max-requests'],
]);

/** A flag as users type it, for messages. */
export function flagName(member: string): string {
  return FLAG_NAMES.get(member) ?? `--${member}`;
}
