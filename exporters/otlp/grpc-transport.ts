import type { ClientHttp2Session, ClientHttp2Stream, OutgoingHttpHeaders } from 'node:http2';
import type { TlsContext } from './credentials.ts';
import { isTooLarge, decompressBody } from './compression.ts';
import { failedCallVerdict, grpcStatus } from './grpc-status.ts';
import type { GrpcHeaders } from './grpc-status.ts';
import type { HttpTransportOptions } from './http-transport.ts';
import type { OtlpRequest } from './record.ts';
import { MAX_RESPONSE_BYTES } from './response-body.ts';
import { acceptedVerdict, attempt, refusedVerdict } from './verdict.ts';
import type { Transport, Verdict } from './verdict.ts';

const EXPORT_PATH = '/opentelemetry.proto.collector.metrics.v1.MetricsService/Export';
/** One byte says whether the message is compressed, four how long it is. */
const PREFIX_BYTES = 5;
/** HTTP/2 error code, RFC 9113. */
const CANCEL = 8;

/** OTLP/gRPC: unary calls over one HTTP/2 connection. `http` endpoints speak HTTP/2 without TLS. */
export class GrpcTransport implements Transport {
  readonly #options: HttpTransportOptions;
  #session: ClientHttp2Session | undefined;
  #context: TlsContext | undefined;

  constructor(options: HttpTransportOptions) {
    this.#options = options;
  }

  async send(request: OtlpRequest, signal: AbortSignal): Promise<Verdict> {
    if (request.contentType !== 'application/x-protobuf') return refusedVerdict('queued as JSON, which gRPC does not carry');
    const { timeoutMs, clock } = this.#options;
    return await attempt({ signal, timeoutMs, clock }, async (ending) => {
      try {
        const headers = await this.#headers(request);
        return await call({ session: await this.#freshSession(), headers, request, signal: ending });
      } catch (thrown) {
        // The connection may be the reason; the next attempt makes a new one.
        this.#session?.destroy();
        this.#session = undefined;
        throw thrown;
      }
    });
  }

  async close(): Promise<void> {
    this.#session?.destroy();
  }

  async #headers(request: OtlpRequest): Promise<OutgoingHttpHeaders> {
    return {
      ...(await this.#options.headers.current()),
      ':method': 'POST',
      ':path': EXPORT_PATH,
      'content-type': 'application/grpc',
      te: 'trailers',
      'user-agent': this.#options.userAgent,
      'grpc-timeout': `${this.#options.timeoutMs}m`,
      'grpc-accept-encoding': 'identity,gzip',
      ...(request.contentEncoding === 'none' ? {} : { 'grpc-encoding': request.contentEncoding }),
    };
  }

  /** The kept connection, or a new one when it is gone or the TLS files changed. */
  async #freshSession(): Promise<ClientHttp2Session> {
    const url = new URL(this.#options.endpoint);
    const context = url.protocol === 'https:' ? await this.#options.tls.current() : undefined;
    const session = this.#session;
    if (session !== undefined && !session.closed && !session.destroyed && context === this.#context) return session;
    session?.destroy();
    this.#context = context;
    this.#session = process.getBuiltinModule('node:http2').connect(url.origin, { ...context });
    // A session's error reaches the call under way as the error of its stream.
    this.#session.on('error', () => {});
    // The receiver is about to end the connection: no new calls on it.
    this.#session.on('goaway', () => (this.#session = undefined));
    return this.#session;
  }
}

interface Call {
  readonly session: ClientHttp2Session;
  readonly headers: OutgoingHttpHeaders;
  readonly request: OtlpRequest;
  readonly signal: AbortSignal;
}

async function call({ session, headers, request, signal }: Call): Promise<Verdict> {
  const stream = session.request(headers, { signal });
  const prefix = Buffer.alloc(PREFIX_BYTES);
  prefix.writeUInt8(request.contentEncoding === 'none' ? 0 : 1, 0);
  prefix.writeUInt32BE(request.body.length, 1);
  stream.write(prefix);
  stream.end(request.body);
  const response = await readCall(stream);
  const message = response === 'too_large' ? response : await responseMessage(response);
  if (response === 'too_large' || message === 'too_large') return refusedVerdict(`gRPC response above ${MAX_RESPONSE_BYTES} bytes`);
  const status = grpcStatus(response.trailers, response.httpStatus);
  if (status !== 'OK') return failedCallVerdict(status, response.trailers);
  return acceptedVerdict(message, 'application/x-protobuf', request.points);
}

interface CallResponse {
  readonly httpStatus: number;
  readonly encoding: string;
  readonly body: Buffer;
  readonly trailers: GrpcHeaders;
}

/** Rejects when the stream ends without a status. */
function readCall(stream: ClientHttp2Stream): Promise<CallResponse | 'too_large'> {
  return new Promise((resolve, reject) => {
    let head: GrpcHeaders = {};
    let trailers: GrpcHeaders | undefined;
    const chunks: Buffer[] = [];
    let size = 0;
    stream.on('response', (headers) => (head = headers));
    stream.on('trailers', (headers) => (trailers = headers));
    stream.on('data', (chunk: Buffer) => {
      size += chunk.length;
      if (size <= MAX_RESPONSE_BYTES + PREFIX_BYTES) {
        chunks.push(chunk);
        return;
      }
      resolve('too_large');
      stream.close(CANCEL);
    });
    stream.on('error', reject);
    stream.on('close', () => {
      const httpStatus = Number(head[':status'] ?? 0);
      // A failed call may have one block of headers only, which then holds the status.
      const status = trailers ?? head;
      const isCutOff = status['grpc-status'] === undefined && String(head['content-type']).startsWith('application/grpc');
      if (httpStatus === 0 || isCutOff) reject(new Error('stream closed without a status'));
      else resolve({ httpStatus, encoding: String(head['grpc-encoding'] ?? 'identity'), body: Buffer.concat(chunks), trailers: status });
    });
  });
}

/** An answer that cannot be decoded says nothing: the status is the verdict. */
async function responseMessage({ body, encoding }: CallResponse): Promise<Buffer | 'too_large'> {
  if (body.length < PREFIX_BYTES) return Buffer.alloc(0);
  const message = body.subarray(PREFIX_BYTES, PREFIX_BYTES + body.readUInt32BE(1));
  if (body[0] !== 1) return message;
  try {
    return encoding === 'gzip' ? await decompressBody(message, 'gzip', MAX_RESPONSE_BYTES) : Buffer.alloc(0);
  } catch (thrown) {
    return isTooLarge(thrown) ? 'too_large' : Buffer.alloc(0);
  }
}
