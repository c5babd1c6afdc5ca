import type { ClientHttp2Session, ClientHttp2Stream, OutgoingHttpHeaders } from 'node:http2';
import { shownUrl } from '../../src/shown-url.ts';
import { isTooLarge, decompressBody } from './compression.ts';
import type { TlsContext } from './credentials.ts';
import type { TransportOptions } from './http-transport.ts';
import { attempt, refused, unlessAborted } from './outcome.ts';
import type { SendOutcome, Transport } from './outcome.ts';
import { openTunnel } from './proxy.ts';
import type { DeliveryRequest } from './request.ts';
import { MAX_RESPONSE_BYTES } from './response-body.ts';

/** Headers or trailers of a response. */
export type GrpcHeaders = Readonly<Record<string, string | number | readonly string[] | undefined>>;

/** The facts by which a finished call is classified. */
export interface GrpcResponse {
  readonly httpStatus: number;
  /** The headers, which of an answer that is no gRPC explain what it is. */
  readonly headers: GrpcHeaders;
  readonly trailers: GrpcHeaders;
  /** Decompressed; empty when there is none, or it cannot be decoded. */
  readonly message: Buffer;
  readonly url: URL;
  /** Data points of the request. */
  readonly points: number;
}

export interface GrpcTransportOptions extends TransportOptions {
  /** Path of the service's method. */
  readonly method: string;
  readonly classify: (response: GrpcResponse) => SendOutcome;
}

/** One byte says whether the message is compressed, four how long it is. */
const PREFIX_BYTES = 5;
/** HTTP/2 error code, RFC 9113. */
const CANCEL = 8;

/** Makes unary gRPC calls over one HTTP/2 connection. `http` endpoints speak HTTP/2 without TLS. */
export class GrpcTransport implements Transport {
  readonly #options: GrpcTransportOptions;
  readonly #url: URL;
  #session: ClientHttp2Session | undefined;
  #context: TlsContext | undefined;

  constructor(options: GrpcTransportOptions) {
    this.#options = options;
    this.#url = new URL(options.endpoint);
  }

  async send(request: DeliveryRequest, signal: AbortSignal): Promise<SendOutcome> {
    if (request.contentType !== 'application/x-protobuf') return refused(`queued as ${request.contentType}, which gRPC does not carry`);
    const { timeoutMs, clock, remedy, proxy } = this.#options;
    const target = `${shownUrl(this.#url)}${proxy === undefined ? '' : ` through the proxy ${shownUrl(proxy.url)}`}`;
    const options = { signal, timeoutMs, clock, target, remedy: (code: string) => remedy?.(code, this.#url) };
    return await attempt(options, async (ending) => {
      try {
        return await this.#once(request, ending);
      } catch (thrown) {
        if (!this.#options.tls.addSystemRoots(thrown)) throw thrown;
        return await this.#once(request, ending);
      }
    });
  }

  async #once(request: DeliveryRequest, signal: AbortSignal): Promise<SendOutcome> {
    try {
      const headers = await unlessAborted(this.#headers(request), signal);
      const session = await unlessAborted(this.#freshSession(signal), signal);
      const response = await call({ session, headers, request, signal });
      if (response === 'too_large') return refused(`gRPC response above ${MAX_RESPONSE_BYTES} bytes from ${shownUrl(this.#url)}`);
      return this.#options.classify({ ...response, url: this.#url, points: request.points });
    } catch (thrown) {
      // The connection may be the reason; the next attempt makes a new one.
      this.#session?.destroy();
      this.#session = undefined;
      throw thrown;
    }
  }

  async close(): Promise<void> {
    this.#session?.destroy();
  }

  async #headers(request: DeliveryRequest): Promise<OutgoingHttpHeaders> {
    return {
      ...(await this.#options.headers.current(request)),
      ':method': 'POST',
      ':path': this.#options.method,
      'content-type': 'application/grpc',
      te: 'trailers',
      'user-agent': this.#options.userAgent,
      'grpc-timeout': `${this.#options.timeoutMs}m`,
      'grpc-accept-encoding': 'identity,gzip',
      ...(request.contentEncoding === 'none' ? {} : { 'grpc-encoding': request.contentEncoding }),
    };
  }

  /** The kept connection, or a new one when it is gone or the TLS files changed. */
  async #freshSession(signal: AbortSignal): Promise<ClientHttp2Session> {
    const context = this.#url.protocol === 'https:' ? await this.#options.tls.current() : undefined;
    const session = this.#session;
    if (session !== undefined && !session.closed && !session.destroyed && context === this.#context) return session;
    session?.destroy();
    const made = await this.#connect(context, signal);
    this.#context = context;
    this.#session = made;
    // A session's error reaches the call under way as the error of its stream.
    made.on('error', () => {});
    // The receiver is about to end the connection: no new calls on it.
    made.on('goaway', () => {
      if (this.#session === made) this.#session = undefined;
    });
    return made;
  }

  async #connect(context: TlsContext | undefined, signal: AbortSignal): Promise<ClientHttp2Session> {
    const http2 = process.getBuiltinModule('node:http2');
    const { proxy, timeoutMs } = this.#options;
    if (proxy === undefined) return http2.connect(this.#url.origin, { ...context });
    const socket = await openTunnel(proxy, this.#url, { signal, timeoutMs });
    const stream =
      context === undefined
        ? socket
        : process.getBuiltinModule('node:tls').connect({ servername: this.#url.hostname, ...context, socket, ALPNProtocols: ['h2'] });
    return http2.connect(this.#url.origin, { createConnection: () => stream });
  }
}

interface Call {
  readonly session: ClientHttp2Session;
  readonly headers: OutgoingHttpHeaders;
  readonly request: DeliveryRequest;
  readonly signal: AbortSignal;
}

type CallResult = Pick<GrpcResponse, 'httpStatus' | 'headers' | 'trailers' | 'message'>;

async function call({ session, headers, request, signal }: Call): Promise<CallResult | 'too_large'> {
  const stream = session.request(headers, { signal });
  const prefix = Buffer.alloc(PREFIX_BYTES);
  prefix.writeUInt8(request.contentEncoding === 'none' ? 0 : 1, 0);
  prefix.writeUInt32BE(request.body.length, 1);
  stream.write(prefix);
  stream.end(request.body);
  const response = await readCall(stream);
  if (response === 'too_large') return response;
  const message = await decodedMessage(response);
  return message === 'too_large' ? message : { ...response, message };
}

interface RawResponse {
  readonly httpStatus: number;
  readonly headers: GrpcHeaders;
  readonly trailers: GrpcHeaders;
  readonly body: Buffer;
}

/** Rejects when the stream ends without a status. */
function readCall(stream: ClientHttp2Stream): Promise<RawResponse | 'too_large'> {
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
      else resolve({ httpStatus, headers: head, trailers: status, body: Buffer.concat(chunks) });
    });
  });
}

async function decodedMessage({ body, headers }: RawResponse): Promise<Buffer | 'too_large'> {
  if (body.length < PREFIX_BYTES) return Buffer.alloc(0);
  const message = body.subarray(PREFIX_BYTES, PREFIX_BYTES + body.readUInt32BE(1));
  if (body[0] !== 1) return message;
  try {
    return headers['grpc-encoding'] === 'gzip' ? await decompressBody(message, 'gzip', MAX_RESPONSE_BYTES) : Buffer.alloc(0);
  } catch (thrown) {
    return isTooLarge(thrown) ? 'too_large' : Buffer.alloc(0);
  }
}
