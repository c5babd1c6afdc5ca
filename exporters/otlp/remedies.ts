import { shownUrl } from '../../src/shown-url.ts';

export interface Refusal {
  readonly status: number;
  readonly url: URL;
  readonly headers: Readonly<Record<string, unknown>>;
  /** The receiver's own words. */
  readonly reported: string;
}

/** Returns what to change after a refusal for good; undefined when only the receiver's own words can help. */
export function httpRemedy({ status, url, headers, reported }: Refusal): string | undefined {
  if (status >= 300 && status < 400) {
    const { location } = headers;
    const target = typeof location === 'string' ? `to ${shownLocation(location, url)} ` : '';
    return `a redirect ${target}is not followed, because headers would go elsewhere: set the endpoint to where the receiver is`;
  }
  if (/HTTP request (was sent )?to (an )?HTTPS/i.test(reported)) return 'this port uses TLS: set the endpoint to https://';
  if (/ALPN/.test(reported)) return PROTOCOL_GRPC;
  if (status === 401 || status === 403) return credentialsRemedy(url, headers, reported);
  if (status === 404 || status === 405) return pathRemedy(url);
  if (status === 415) return 'the receiver does not take this encoding: set protocol or compression to another one';
  return undefined;
}

const PROTOCOL_GRPC = 'this is a port of OTLP/gRPC: set protocol to grpc, or the port to that of OTLP/HTTP, usually 4318';
const PROTOCOL_HTTP = 'this port does not speak HTTP/2: set protocol to http/protobuf, or the port to that of OTLP/gRPC, usually 4317';

/** Returns what to change when a connection fails in the middle of HTTP: the port is often that of the other OTLP protocol. */
export function httpConnectionRemedy(code: string, { port, protocol }: URL): string | undefined {
  if (code.startsWith('HPE_')) return `what listens there does not speak HTTP/1.1; ${PROTOCOL_GRPC}`;
  if (code !== 'ECONNRESET') return undefined;
  if (port === '4317') return PROTOCOL_GRPC;
  return protocol === 'http:' ? 'the connection was closed; perhaps this port uses TLS: then set the endpoint to https://' : undefined;
}

export function grpcConnectionRemedy(code: string): string | undefined {
  return code === 'ERR_HTTP2_ERROR' || code === 'ERR_SSL_TLSV1_ALERT_NO_APPLICATION_PROTOCOL' ? PROTOCOL_HTTP : undefined;
}

function credentialsRemedy({ hostname }: URL, headers: Refusal['headers'], reported: string): string {
  const isAws = /(^|\.)(amazonaws\.com(\.cn)?|api\.aws)$/.test(hostname) || 'x-amzn-errortype' in headers || 'x-amzn-requestid' in headers;
  if (isAws || /Missing Authentication Token|AWS Signature|SigV4/i.test(reported))
    return 'AWS wants requests signed with SigV4, which this exporter does not do: send to a Collector with the sigv4auth extension, or through aws-sigv4-proxy';
  return 'the receiver wants other credentials: check headers, usually authorization or an API key';
}

function pathRemedy({ pathname }: URL): string {
  return pathname.endsWith('/v1/metrics')
    ? 'no OTLP receiver is at this path: check the endpoint against the documents of the receiver'
    : 'paths of OTLP metrics end in /v1/metrics: endpoint gets that added, metrics_endpoint is used as it is';
}

function shownLocation(location: string, url: URL): string {
  return shownUrl(URL.parse(location, url.href) ?? location);
}
