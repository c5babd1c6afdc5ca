import { systemClock } from '../../src/host.ts';
import type { Clock } from '../../src/host.ts';
import { silentLogger } from '../../src/log.ts';
import type { Logger } from '../../src/log.ts';
import { BACKOFF_DEFAULTS, Backoff } from './backoff.ts';
import type { BackoffOptions } from './backoff.ts';
import { HeaderSource, TlsSource } from './credentials.ts';
import { OtlpPushExporter } from './exporter.ts';
import type { OtlpExporter } from './exporter.ts';
import type { QueueFileSystem } from './file-system.ts';
import { GrpcTransport } from './grpc-transport.ts';
import { HttpTransport } from './http-transport.ts';
import { ProtobufEncoder } from './protobuf.ts';
import { RequestQueue } from './queue.ts';
import type { RequestEncoder } from './requests.ts';
import { Sender } from './sender.ts';
import type { OtlpSettings } from './settings.ts';
import { silentTelemetry } from './telemetry.ts';
import type { OtlpTelemetry } from './telemetry.ts';
import type { Transport } from './verdict.ts';

/** Services of the agent that the exporter uses; each has a production default. */
export interface OtlpServices {
  /** `otlp` or `otlp/NAME`; `otlp` when absent. */
  readonly id?: string;
  readonly clock?: Clock;
  readonly logger?: Logger;
  readonly telemetry?: OtlpTelemetry;
  /** Product and version for the `User-Agent` header. */
  readonly userAgent?: string;
  readonly files?: QueueFileSystem;
  readonly backoff?: BackoffOptions;
  readonly random?: () => number;
}

/** Pushes every collection to one OTLP destination, through a queue of its own. It starts at once to deliver what its folder holds. */
export async function createOtlpExporter(settings: OtlpSettings, services: OtlpServices = {}): Promise<OtlpExporter> {
  const encoder = await createEncoder(settings);
  const { id = 'otlp', clock = systemClock, telemetry = silentTelemetry, random = Math.random } = services;
  const logger = (services.logger ?? silentLogger).child({ component: 'otlp', exporter: id });
  let sender: Sender | undefined;
  const queue = new RequestQueue({
    limits: settings.queue,
    clock,
    telemetry,
    onAdded: () => sender?.added(),
    ...(services.files === undefined ? {} : { files: services.files }),
  });
  const transport = createTransport(settings, { clock, logger, userAgent: services.userAgent ?? 'neuron-otel' });
  const backoff = new Backoff(services.backoff ?? BACKOFF_DEFAULTS, random);
  sender = new Sender({ queue, transport, backoff, clock, telemetry, logger });
  return new OtlpPushExporter({
    id,
    settings,
    encoder,
    queue,
    sender,
    clock,
    telemetry,
  });
}

/** The serializer of JSON is loaded only for a destination that asks for it. */
async function createEncoder({ protocol }: OtlpSettings): Promise<RequestEncoder> {
  if (protocol !== 'http/json') return new ProtobufEncoder();
  const { JsonEncoder } = await import('./json.ts');
  return new JsonEncoder();
}

interface TransportServices {
  readonly clock: Clock;
  readonly logger: Logger;
  readonly userAgent: string;
}

function createTransport(settings: OtlpSettings, { clock, logger, userAgent }: TransportServices): Transport {
  const { endpoint, timeout: timeoutMs, protocol } = settings;
  const headers = new HeaderSource(settings.headers, logger);
  const tls = new TlsSource(settings.tls, logger);
  const transport = { endpoint, timeoutMs, headers, tls, userAgent, clock };
  return protocol === 'grpc' ? new GrpcTransport(transport) : new HttpTransport(transport);
}
