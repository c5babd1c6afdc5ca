import { readFileSync } from 'node:fs';
import { CompressionAlgorithm } from '@opentelemetry/otlp-exporter-base';
import type { PushMetricExporter } from '@opentelemetry/sdk-metrics';
import type { HeaderValue, HiddenValue, OtlpOptions, OtlpTls } from './options.ts';

/**
 * Loads the OpenTelemetry project's own OTLP exporter for the destination's protocol. It reads files once, takes gzip but not
 * zstd, and adds headers of the `OTEL_EXPORTER_OTLP_*` variables by itself.
 */
export async function loadStockExporter(options: OtlpOptions): Promise<PushMetricExporter> {
  switch (options.protocol) {
    case 'http/protobuf': {
      const { OTLPMetricExporter } = await import('@opentelemetry/exporter-metrics-otlp-proto');
      return new OTLPMetricExporter(httpConfig(options));
    }
    case 'http/json': {
      const { OTLPMetricExporter } = await import('@opentelemetry/exporter-metrics-otlp-http');
      return new OTLPMetricExporter(httpConfig(options));
    }
    case 'grpc':
      return loadGrpc(options);
  }
}

function httpConfig(options: OtlpOptions) {
  return {
    url: options.endpoint,
    headers: headerValues(options.headers),
    timeoutMillis: options.timeoutMs,
    // One request for each resource of a batch is under way at once.
    concurrencyLimit: Number.MAX_SAFE_INTEGER,
    compression: compressionOf(options),
    ...(options.tls === undefined ? {} : { httpAgentOptions: tlsOptions(options.tls) }),
  };
}

async function loadGrpc(options: OtlpOptions): Promise<PushMetricExporter> {
  const [{ OTLPMetricExporter }, { Metadata, credentials }] = await Promise.all([
    import('@opentelemetry/exporter-metrics-otlp-grpc'),
    import('@grpc/grpc-js'),
  ]);
  const metadata = new Metadata();
  for (const [name, value] of Object.entries(headerValues(options.headers))) metadata.set(name, value);
  const { ca, key, cert } = tlsOptions(options.tls ?? {});
  const isPlain = new URL(options.endpoint).protocol === 'http:';
  return new OTLPMetricExporter({
    url: options.endpoint,
    metadata,
    credentials: isPlain ? credentials.createInsecure() : credentials.createSsl(ca, key, cert),
    timeoutMillis: options.timeoutMs,
    concurrencyLimit: Number.MAX_SAFE_INTEGER,
    compression: compressionOf(options),
  });
}

function compressionOf(options: OtlpOptions): CompressionAlgorithm {
  return options.compression === 'none' ? CompressionAlgorithm.NONE : CompressionAlgorithm.GZIP;
}

function headerValues(headers: Readonly<Record<string, HeaderValue | HiddenValue>> = {}): Record<string, string> {
  return Object.fromEntries(Object.entries(headers).map(([name, value]) => [name, headerText(value)]));
}

function headerText(value: HeaderValue | HiddenValue): string {
  if (typeof value === 'string') return value;
  return 'reveal' in value ? value.reveal() : readFileSync(value.file, 'utf8').trim();
}

function tlsOptions(tls: OtlpTls): { ca?: Buffer; cert?: Buffer; key?: Buffer; servername?: string; rejectUnauthorized?: boolean } {
  return {
    ...(tls.caFile === undefined ? {} : { ca: readFileSync(tls.caFile) }),
    ...(tls.certFile === undefined ? {} : { cert: readFileSync(tls.certFile) }),
    ...(tls.keyFile === undefined ? {} : { key: readFileSync(tls.keyFile) }),
    ...(tls.serverName === undefined ? {} : { servername: tls.serverName }),
    ...(tls.insecureSkipVerify === true ? { rejectUnauthorized: false } : {}),
  };
}
