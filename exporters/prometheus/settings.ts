import { failureText } from '../../src/regular-file.ts';
import { boolean, choice, defaultsOf, integer, list, path, refuseGiven, text } from '../../src/settings.ts';
import type { ExporterType, Section, SettingsOf, SettingsReader } from '../../src/settings.ts';
import { loadWebConfig } from './web/web-policy.ts';

/** The specification's `translation_strategy` values (OpenTelemetry "Prometheus Metrics Exporter"). */
export const TRANSLATION_STRATEGIES = [
  'UnderscoreEscapingWithSuffixes',
  'UnderscoreEscapingWithoutSuffixes',
  'NoUTF8EscapingWithSuffixes',
  'NoTranslation',
] as const;

/** `HOST:PORT`, `[IPV6]:PORT` or `:PORT`. */
const LISTEN_ADDRESS = '^(\\[[0-9a-fA-F:.]+(%[A-Za-z0-9_.-]+)?\\]|[^:\\[\\]\\s/]*):[0-9]{1,5}$';

/** One Prometheus page and the server that serves it. */
const SECTION = {
  host: text({
    default: '127.0.0.1',
    env: 'OTEL_EXPORTER_PROMETHEUS_HOST',
    pattern: '^[A-Za-z0-9_.:%\\[\\]-]{1,255}$',
    expected: 'a host name or an IP address',
    doc: 'Address to listen on; 0.0.0.0 or :: for all.',
  }),
  port: integer({
    default: 9464,
    min: 0,
    max: 65_535,
    env: 'OTEL_EXPORTER_PROMETHEUS_PORT',
    flag: '--port',
    doc: 'Port to listen on; 0 takes a free one.',
  }),
  implementation: choice(['native', 'sdk'], {
    default: 'native',
    doc: "The agent's own page and server, or those of the OpenTelemetry SDK: an escape hatch with fewer settings, see docs/prometheus.md.",
  }),
  naming: choice(['otel', 'legacy', 'both'], {
    default: 'otel',
    flag: '--naming',
    flagIsForAll: true,
    doc: 'Names on the page: OpenTelemetry, those of neuron-monitor-prometheus.py, or both.',
  }),
  translation_strategy: choice(TRANSLATION_STRATEGIES, {
    default: 'UnderscoreEscapingWithSuffixes',
    doc: 'How OpenTelemetry names become Prometheus names, as in the OpenTelemetry specification.',
  }),
  listen: list({
    default: [],
    flag: '--web.listen-address',
    pattern: LISTEN_ADDRESS,
    expected: 'a list of addresses such as "127.0.0.1:9464", "[::1]:9464" or ":9464"',
    refusal: (address) => (portOf(address) > 65_535 ? 'has a port above 65535' : undefined),
    doc: 'Addresses to listen on, each HOST:PORT, [IPV6]:PORT or :PORT; they take the place of host and port.',
  }),
  systemd_socket: boolean({
    default: false,
    flag: '--web.systemd-socket',
    doc: 'Take connections from the sockets that systemd passes (a .socket unit) instead of listening on addresses.',
  }),
  web_config_file: path({
    default: null,
    flag: '--web.config.file',
    doc: 'Web configuration file as Prometheus exporters take it: TLS, client certificates, users, headers, rate limit; read again when it changes.',
  }),
  telemetry_path: text({
    default: '/metrics',
    flag: '--web.telemetry-path',
    pattern: '^/[A-Za-z0-9_./-]{0,254}$',
    expected: 'a path such as /metrics',
    refusal: (given) => (given.startsWith('/-/') ? 'is a path that the agent answers itself: /-/healthy and /-/ready' : undefined),
    doc: 'Path of the page.',
  }),
  max_requests: integer({
    default: 40,
    min: 1,
    max: 10_000,
    flag: '--web.max-requests',
    doc: 'Scrapes answered at the same time; further ones get status 503.',
  }),
  scope_labels: boolean({ default: false, doc: 'Put otel_scope_name and otel_scope_version on every series.' }),
  identity_labels: boolean({ default: true, doc: 'Put process and pod on the series of Neuron processes.' }),
  resource_labels: list({
    default: [],
    pattern: '^[!-~]([ -~]{0,253}[!-~])?$',
    expected: 'a list of names',
    doc: 'Further resource attributes that become labels of every series; a trailing * stands for any ending.',
  }),
  target_info: boolean({ default: true, doc: "Serve target_info with the host's resource." }),
  legacy: {
    pod_labels: boolean({
      default: false,
      doc: 'Put pod_name, namespace and container_name on the legacy families of Neuron processes.',
    }),
    process_label: boolean({
      default: false,
      doc: 'Put pid on the legacy families of Neuron processes, which neuron-monitor-prometheus.py does not do.',
    }),
  },
} satisfies Section;

export type PrometheusSettings = SettingsOf<typeof SECTION>;
export const PROMETHEUS_DEFAULTS: PrometheusSettings = defaultsOf(SECTION);
export type Naming = PrometheusSettings['naming'];
export type TranslationStrategy = PrometheusSettings['translation_strategy'];

export const PROMETHEUS_TYPE = {
  description: "Prometheus endpoint of the agent's own.",
  section: SECTION,
  isNamed: true,
  read(reader) {
    const settings = reader.read(SECTION);
    if (settings.systemd_socket && settings.listen.length > 0)
      reader.refuse('systemd_socket', 'cannot go together with listen: systemd has the addresses');
    if (settings.implementation === 'sdk') refuseWithSdk(settings, reader);
    return settings;
  },
  claims: (settings) =>
    settings.systemd_socket
      ? ['the sockets of systemd']
      : listenAddresses(settings)
          .filter((address) => portOf(address) !== 0)
          .map((address) => `the address ${address}`),
  verify({ web_config_file: file }, reader) {
    try {
      if (file !== null) loadWebConfig(file);
    } catch (thrown) {
      reader.refuse('web_config_file', `${JSON.stringify(file)} cannot be used: ${failureText(thrown)}`);
    }
  },
} satisfies ExporterType<PrometheusSettings>;

/** Settings that the SDK's exporter does not have. */
const NATIVE_ONLY = [
  'naming',
  'translation_strategy',
  'listen',
  'systemd_socket',
  'web_config_file',
  'max_requests',
  'identity_labels',
  'resource_labels',
  'legacy.pod_labels',
  'legacy.process_label',
] as const;

function refuseWithSdk({ port }: PrometheusSettings, reader: SettingsReader): void {
  refuseGiven(reader, NATIVE_ONLY, 'is not available with implementation: sdk');
  if (port === 0) reader.refuse('port', '0 is not available with implementation: sdk, which takes 9464 instead');
}

/** Addresses on which the page is served, each `HOST:PORT`, `[IPV6]:PORT` or `:PORT`. */
export function listenAddresses({ listen, host, port }: Pick<PrometheusSettings, 'listen' | 'host' | 'port'>): readonly string[] {
  if (listen.length > 0) return listen;
  return [`${host.includes(':') ? `[${host.replace(/^\[|\]$/g, '')}]` : host}:${port}`];
}

function portOf(address: string): number {
  return Number(address.slice(address.lastIndexOf(':') + 1));
}
