import type { HeaderValue, OtlpProtocol, OtlpTls } from '../exporters/otlp/options.ts';
import type { OtlpConfig } from './agent-config.ts';
import type { MapNode } from './document.ts';
import type { Environment } from './environment.ts';
import type { Pairs } from './map-formats.ts';
import type { Problems } from './problems.ts';
import { otlpSchema } from './schema-exporters.ts';
import type { OtlpSettings } from './schema-exporters.ts';
import { Secret } from './secret.ts';
import { readSection } from './section.ts';

export interface OtlpPlace {
  readonly id: string;
  readonly path: string;
  readonly node: MapNode | undefined;
}

export interface OtlpContext {
  readonly environment: Environment;
  readonly problems: Problems;
}

/** Reads one OTLP destination. The `OTEL_EXPORTER_OTLP_*` variables speak about the one called `otlp`. */
export function readOtlp(place: OtlpPlace, { environment, problems }: OtlpContext): OtlpConfig {
  const isPlain = place.id === 'otlp';
  const variables = isPlain ? environment.variables : new Map<string, never>();
  const settings = readSection(otlpSchema, place.node, { path: place.path, problems, variables });
  const saysTimeout = place.node?.entries.has('timeout') === true || variables.has('OTEL_EXPORTER_OTLP_METRICS_TIMEOUT');
  const { queue, batch } = settings;
  refuseHalves(settings, place, problems);
  return {
    type: 'otlp',
    id: place.id,
    endpoint: resolveEndpoint(settings, place, { environment, problems }),
    protocol: settings.protocol,
    headers: mergeHeaders(settings.headers, isPlain ? environment.otlpHeaders : []),
    compression: settings.compression,
    timeoutMs: saysTimeout ? settings.timeout : (environment.exportTimeoutMs ?? settings.timeout),
    temporality: settings.temporality,
    histogram: settings.histogram,
    tls: tlsOf(settings.tls),
    queue: {
      ...(queue.directory === null ? {} : { directory: queue.directory }),
      maxBytes: queue.max_bytes,
      maxMemoryBytes: queue.max_memory_bytes,
      maxAgeMs: queue.max_age,
    },
    batch: { maxPoints: batch.max_points, maxBytes: batch.max_bytes },
  };
}

function refuseHalves({ tls, protocol, compression }: OtlpSettings, { path, node }: OtlpPlace, problems: Problems): void {
  const at = (key: string) => node?.entries.get(key)?.at;
  if ((tls.cert_file === null) !== (tls.key_file === null))
    problems.error(`${path}.tls`, 'needs cert_file and key_file together', at('tls'));
  if (protocol === 'grpc' && compression === 'zstd')
    problems.error(`${path}.compression`, 'zstd is not available with grpc', at('compression'));
}

/**
 * A metrics endpoint is used as it is; to the general one `/v1/metrics` is added, unless the file already ends in it. A general
 * endpoint from the environment comes before a metrics endpoint in the file.
 */
function resolveEndpoint(settings: OtlpSettings, place: OtlpPlace, { environment, problems }: OtlpContext): string {
  const { variables } = environment;
  const variableOf = (name: string): string | undefined => (place.id === 'otlp' ? variables.get(name)?.name : undefined);
  const general = variableOf('OTEL_EXPORTER_OTLP_ENDPOINT');
  const forMetrics = variableOf('OTEL_EXPORTER_OTLP_METRICS_ENDPOINT');
  const isFinal = settings.metrics_endpoint !== null && (forMetrics !== undefined || general === undefined);
  const text = isFinal ? settings.metrics_endpoint : settings.endpoint;
  const path = isFinal ? (forMetrics ?? `${place.path}.metrics_endpoint`) : (general ?? `${place.path}.endpoint`);
  const node = place.node?.entries.get(isFinal ? 'metrics_endpoint' : 'endpoint');
  const refuse = (message: string): string => {
    problems.error(path, message, path.startsWith(place.path) ? node?.at : undefined);
    return defaultEndpoint(settings.protocol);
  };
  if (text === null) return defaultEndpoint(settings.protocol);
  if (settings.protocol === 'grpc') return grpcEndpoint(text, settings.tls.insecure, refuse);
  if (!text.includes('://')) return refuse('does not begin with http:// or https://');
  const url = new URL(text);
  if (isFinal) return url.href;
  if (general !== undefined && url.pathname.endsWith('/v1/metrics'))
    problems.warn(general, 'ends in /v1/metrics, to which another /v1/metrics is added');
  if (general === undefined && url.pathname.endsWith('/v1/metrics')) return url.href;
  url.pathname = `${url.pathname.replace(/\/+$/, '')}/v1/metrics`;
  return url.href;
}

/** gRPC knows scheme, host and port; without a scheme the connection is encrypted unless `tls.insecure` says otherwise. */
function grpcEndpoint(text: string, insecure: boolean, refuse: (message: string) => string): string {
  const url = new URL(text.includes('://') ? text : `${insecure ? 'http' : 'https'}://${text}`);
  return url.pathname === '/' && url.search === '' ? url.origin : refuse('has a path, which gRPC does not know');
}

function defaultEndpoint(protocol: OtlpProtocol): string {
  return protocol === 'grpc' ? 'http://localhost:4317' : 'http://localhost:4318/v1/metrics';
}

/** Names are the same in any case; those of the environment win. */
function mergeHeaders(fromFile: Pairs<HeaderValue>, fromEnvironment: Pairs<string>): OtlpConfig['headers'] {
  const merged = new Map<string, readonly [string, HeaderValue]>();
  for (const pair of [...fromFile, ...fromEnvironment]) merged.set(pair[0].toLowerCase(), pair);
  return Object.fromEntries(
    [...merged.values()].map(([name, value]) => [name, typeof value === 'string' ? new Secret(value) : { file: value.file }]),
  );
}

function tlsOf(tls: OtlpSettings['tls']): OtlpTls {
  return {
    ...(tls.ca_file === null ? {} : { caFile: tls.ca_file }),
    ...(tls.cert_file === null ? {} : { certFile: tls.cert_file }),
    ...(tls.key_file === null ? {} : { keyFile: tls.key_file }),
    ...(tls.server_name === null ? {} : { serverName: tls.server_name }),
    ...(tls.insecure_skip_verify ? { insecureSkipVerify: true } : {}),
  };
}
