import { systemClock } from '../../src/host.ts';
import type { Clock } from '../../src/host.ts';
import { silentLogger } from '../../src/log.ts';
import type { Logger } from '../../src/log.ts';
import { BACKOFF_DEFAULTS, Backoff } from '../delivery/backoff.ts';
import type { BackoffOptions } from '../delivery/backoff.ts';
import { BatchLimit } from '../delivery/batch-limit.ts';
import { HeaderSource, TlsSource } from '../delivery/credentials.ts';
import { silentEvents } from '../delivery/events.ts';
import type { DeliveryEvents } from '../delivery/events.ts';
import type { QueueFileSystem } from '../delivery/file-system.ts';
import { GrpcTransport } from '../delivery/grpc-transport.ts';
import { HttpTransport } from '../delivery/http-transport.ts';
import type { Transport } from '../delivery/outcome.ts';
import { proxyFor } from '../delivery/proxy.ts';
import { RequestQueue } from '../delivery/queue.ts';
import { Sender } from '../delivery/sender.ts';
import { OtlpPushExporter } from './exporter.ts';
import type { OtlpExporter } from './exporter.ts';
import { ProtobufEncoder } from './protobuf.ts';
import { grpcConnectionRemedy, httpConnectionRemedy } from './remedies.ts';
import { metricsRequestFormat } from './request-format.ts';
import type { RequestEncoder } from './requests.ts';
import { classifyGrpc, classifyHttp } from './response.ts';
import type { OtlpSettings } from './settings.ts';

/** Services of the agent that the exporter uses; each has a production default. */
export interface OtlpServices {
  /** `otlp` or `otlp/NAME`; `otlp` when absent. */
  readonly id?: string;
  readonly clock?: Clock;
  readonly logger?: Logger;
  readonly telemetry?: DeliveryEvents;
  /** Product and version for the `User-Agent` header. */
  readonly userAgent?: string;
  readonly files?: QueueFileSystem;
  readonly backoff?: BackoffOptions;
  readonly random?: () => number;
  /** Variables that name proxies. */
  readonly env?: Readonly<Record<string, string | undefined>>;
}

const EXPORT_METHOD = '/opentelemetry.proto.collector.metrics.v1.MetricsService/Export';

/** Pushes every collection to one OTLP destination, through a queue of its own. It starts at once to deliver what its folder holds. */
export async function createOtlpExporter(settings: OtlpSettings, services: OtlpServices = {}): Promise<OtlpExporter> {
  const encoder = await createEncoder(settings);
  const { id = 'otlp', clock = systemClock, telemetry: events = silentEvents, random = Math.random } = services;
  const logger = (services.logger ?? silentLogger).child({ component: 'otlp', exporter: id });
  let sender: Sender | undefined;
  const queue = new RequestQueue({
    limits: settings.queue,
    clock,
    events,
    onAdded: () => sender?.added(),
    ...(services.files === undefined ? {} : { files: services.files }),
  });
  const { userAgent = 'neuron-otel', env = process.env } = services;
  const transport = createTransport(settings, { clock, logger, userAgent, env });
  const backoff = new Backoff(services.backoff ?? BACKOFF_DEFAULTS, random);
  const limit = new BatchLimit(settings.batch, logger);
  sender = new Sender({ queue, transport, format: metricsRequestFormat, limit, backoff, clock, events, logger });
  return new OtlpPushExporter({ id, settings, limit, encoder, queue, sender, clock, events });
}

/** The serializer of JSON is loaded only for a destination that asks for it. */
async function createEncoder({ protocol }: OtlpSettings): Promise<RequestEncoder> {
  if (protocol !== 'http/json') return new ProtobufEncoder();
  const { JsonEncoder } = await import('./json.ts');
  return new JsonEncoder();
}

type TransportServices = Required<Pick<OtlpServices, 'clock' | 'logger' | 'userAgent' | 'env'>>;

function createTransport(settings: OtlpSettings, { clock, logger, userAgent, env }: TransportServices): Transport {
  const { endpoint, timeout: timeoutMs, protocol } = settings;
  const headers = new HeaderSource(settings.headers, logger);
  const tls = new TlsSource(settings.tls, logger);
  const proxy = proxyFor(new URL(endpoint), env, { isGrpc: protocol === 'grpc', logger });
  const transport = { endpoint, timeoutMs, headers, tls, userAgent, clock, ...(proxy === undefined ? {} : { proxy }) };
  if (protocol === 'grpc')
    return new GrpcTransport({ ...transport, method: EXPORT_METHOD, classify: classifyGrpc, remedy: grpcConnectionRemedy });
  return new HttpTransport({ ...transport, classify: classifyHttp, remedy: httpConnectionRemedy });
}
