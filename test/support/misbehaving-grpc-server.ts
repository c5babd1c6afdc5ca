import { once } from 'node:events';
import { createSecureServer, createServer } from 'node:http2';
import type { IncomingHttpHeaders, Http2Server, SecureServerOptions, ServerHttp2Session, ServerHttp2Stream } from 'node:http2';
import type { AddressInfo } from 'node:net';
import { gunzipSync, zstdDecompressSync } from 'node:zlib';

export interface ReceivedCall {
  readonly headers: IncomingHttpHeaders;
  /** Decompressed. */
  readonly message: Buffer;
}

/** What the server does with a call. */
export type CallBehaviour =
  | {
      readonly kind: 'answer';
      readonly status: number;
      readonly message?: string;
      readonly details?: Buffer;
      readonly body?: Buffer;
      readonly encoding?: string;
      /** The status stands in the only block of headers. */
      readonly isTrailersOnly?: boolean;
    }
  /** An answer of something that does not speak gRPC. */
  | { readonly kind: 'http'; readonly status: number }
  /** The connection, or the stream, ends without a status. */
  | { readonly kind: 'reset' }
  | { readonly kind: 'half_answer' }
  | { readonly kind: 'blackhole' };

/** An OTLP/gRPC receiver on loopback that does as it is told. */
export class MisbehavingGrpcServer {
  behave: (call: ReceivedCall, index: number) => CallBehaviour = () => ({ kind: 'answer', status: 0 });
  readonly calls: ReceivedCall[] = [];
  connections = 0;
  readonly #tls: SecureServerOptions | undefined;
  readonly #sessions = new Set<ServerHttp2Session>();
  readonly #server: Http2Server;
  #port = 0;

  private constructor(tls: SecureServerOptions | undefined) {
    this.#tls = tls;
    this.#server = tls === undefined ? createServer() : createSecureServer(tls);
    this.#server.on('session', (session: ServerHttp2Session) => {
      this.connections += 1;
      this.#sessions.add(session);
      session.on('close', () => this.#sessions.delete(session));
      session.on('error', () => {});
    });
    this.#server.on('stream', (stream: ServerHttp2Stream, headers: IncomingHttpHeaders) => void this.#serve(stream, headers));
  }

  static async start(tls?: SecureServerOptions): Promise<MisbehavingGrpcServer> {
    const server = new MisbehavingGrpcServer(tls);
    server.#server.listen(0, '127.0.0.1');
    await once(server.#server, 'listening');
    server.#port = (server.#server.address() as AddressInfo).port;
    return server;
  }

  get url(): string {
    return `${this.#tls === undefined ? 'http' : 'https'}://localhost:${this.#port}`;
  }

  /** Asks clients to leave, as a server does before it ends. */
  goAway(): void {
    for (const session of this.#sessions) session.goaway();
  }

  dropConnections(): void {
    for (const session of this.#sessions) session.destroy();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    const closed = once(this.#server, 'close');
    this.#server.close();
    this.dropConnections();
    await closed;
  }

  async #serve(stream: ServerHttp2Stream, headers: IncomingHttpHeaders): Promise<void> {
    stream.on('error', () => {});
    const chunks: Buffer[] = [];
    for await (const chunk of stream) chunks.push(chunk as Buffer);
    const call = { headers, message: unframed(Buffer.concat(chunks), headers['grpc-encoding']) };
    const behaviour = this.behave(call, this.calls.length);
    this.calls.push(call);
    if (behaviour.kind === 'answer') answer(stream, behaviour);
    else if (behaviour.kind === 'http') stream.respond({ ':status': behaviour.status }, { endStream: true });
    else if (behaviour.kind === 'reset') stream.session?.destroy();
    else if (behaviour.kind === 'half_answer') {
      stream.respond({ ':status': 200, 'content-type': 'application/grpc' });
      stream.write(Buffer.alloc(2), () => stream.session?.destroy());
    }
  }
}

function answer(stream: ServerHttp2Stream, behaviour: Extract<CallBehaviour, { kind: 'answer' }>): void {
  const status = {
    'grpc-status': String(behaviour.status),
    ...(behaviour.message === undefined ? {} : { 'grpc-message': behaviour.message }),
    ...(behaviour.details === undefined ? {} : { 'grpc-status-details-bin': behaviour.details.toString('base64') }),
  };
  const head = { ':status': 200, 'content-type': 'application/grpc' };
  if (behaviour.isTrailersOnly === true) {
    stream.respond({ ...head, ...status }, { endStream: true });
    return;
  }
  stream.respond(
    { ...head, ...(behaviour.encoding === undefined ? {} : { 'grpc-encoding': behaviour.encoding }) },
    { waitForTrailers: true },
  );
  stream.on('wantTrailers', () => stream.sendTrailers(status));
  const message = behaviour.body ?? (behaviour.status === 0 ? Buffer.alloc(0) : undefined);
  stream.end(message === undefined ? undefined : framed(message, behaviour.encoding !== undefined));
}

function framed(message: Buffer, isCompressed: boolean): Buffer {
  const prefix = Buffer.alloc(5);
  prefix.writeUInt8(isCompressed ? 1 : 0, 0);
  prefix.writeUInt32BE(message.length, 1);
  return Buffer.concat([prefix, message]);
}

function unframed(body: Buffer, encoding: string | string[] | undefined): Buffer {
  const message = body.subarray(5, 5 + body.readUInt32BE(1));
  if (body[0] === 0) return message;
  return encoding === 'zstd' ? zstdDecompressSync(message) : gunzipSync(message);
}
