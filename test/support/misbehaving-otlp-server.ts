import { once } from 'node:events';
import { createServer } from 'node:http';
import type { IncomingHttpHeaders, IncomingMessage, OutgoingHttpHeaders, Server, ServerResponse } from 'node:http';
import { createServer as createTlsServer } from 'node:https';
import type { ServerOptions } from 'node:https';
import type { AddressInfo, Socket } from 'node:net';
import { gunzipSync, zstdDecompressSync } from 'node:zlib';

export interface ReceivedRequest {
  readonly headers: IncomingHttpHeaders;
  readonly path: string;
  /** Decompressed. */
  readonly body: Buffer;
}

/** What the server does with a request. */
export type Behaviour =
  | { readonly kind: 'respond'; readonly status: number; readonly headers?: OutgoingHttpHeaders; readonly body?: Buffer | string }
  /** Closes the connection without a response, at once or in the middle of one. */
  | { readonly kind: 'reset' }
  | { readonly kind: 'half_response' }
  /** Reads, and never answers. */
  | { readonly kind: 'blackhole' }
  /** Head at once, then one byte of body now and then. */
  | { readonly kind: 'drip'; readonly status: number; readonly everyMs: number };

const OK: Behaviour = { kind: 'respond', status: 200 };

/** An OTLP/HTTP receiver on loopback that does as it is told. */
export class MisbehavingOtlpServer {
  /** Decides what happens to each request; the number counts from 0. */
  behave: (request: ReceivedRequest, index: number) => Behaviour = () => OK;
  /** Requests that were answered with a status below 300. */
  readonly accepted: ReceivedRequest[] = [];
  attempts = 0;
  connections = 0;
  /** Called with each accepted request, instead of keeping it, when set. */
  onAccepted: ((request: ReceivedRequest) => void) | undefined;
  readonly #tls: ServerOptions | undefined;
  readonly #sockets = new Set<Socket>();
  #server: Server | undefined;
  #port = 0;

  private constructor(tls: ServerOptions | undefined) {
    this.#tls = tls;
  }

  static async start(tls?: ServerOptions): Promise<MisbehavingOtlpServer> {
    const server = new MisbehavingOtlpServer(tls);
    await server.listen();
    return server;
  }

  get url(): string {
    return `${this.#tls === undefined ? 'http' : 'https'}://localhost:${this.#port}/v1/metrics`;
  }

  /** Accepts connections again, on the port it had. */
  async listen(): Promise<void> {
    const server = this.#tls === undefined ? createServer() : createTlsServer(this.#tls);
    server.keepAliveTimeout = 60_000;
    server.on('request', (request: IncomingMessage, response: ServerResponse) => void this.#serve(request, response));
    server.on('connection', (socket: Socket) => {
      this.connections += 1;
      this.#sockets.add(socket);
      socket.on('close', () => this.#sockets.delete(socket));
      socket.on('error', () => {});
    });
    server.listen(this.#port, '127.0.0.1');
    await once(server, 'listening');
    this.#server = server;
    this.#port = (server.address() as AddressInfo).port;
  }

  /** Refuses connections and cuts those there are. */
  async refuse(): Promise<void> {
    const server = this.#server;
    this.#server = undefined;
    const closed = server === undefined ? Promise.resolve() : once(server, 'close');
    server?.close();
    this.dropConnections();
    await closed;
  }

  dropConnections(): void {
    for (const socket of this.#sockets) socket.destroy();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.refuse();
  }

  async #serve(incoming: IncomingMessage, response: ServerResponse): Promise<void> {
    const request = await readRequest(incoming).catch(() => undefined);
    if (request === undefined) return;
    const behaviour = this.behave(request, this.attempts);
    this.attempts += 1;
    switch (behaviour.kind) {
      case 'respond':
        if (behaviour.status < 300) this.#accept(request);
        response.writeHead(behaviour.status, behaviour.headers);
        response.end(behaviour.body);
        return;
      case 'reset':
        incoming.socket.destroy();
        return;
      case 'half_response':
        response.writeHead(200, { 'content-length': 100 });
        response.write('half', () => incoming.socket.destroy());
        this.#accept(request);
        return;
      case 'blackhole':
        return;
      case 'drip':
        if (behaviour.status < 300) this.#accept(request);
        drip(response, behaviour);
    }
  }

  #accept(request: ReceivedRequest): void {
    if (this.onAccepted === undefined) this.accepted.push(request);
    else this.onAccepted(request);
  }
}

function drip(response: ServerResponse, { status, everyMs }: { readonly status: number; readonly everyMs: number }): void {
  response.writeHead(status, { 'content-length': 1_000_000 });
  response.flushHeaders();
  const timer = setInterval(() => response.write('.'), everyMs);
  response.on('close', () => clearInterval(timer));
}

async function readRequest(incoming: IncomingMessage): Promise<ReceivedRequest> {
  const chunks: Buffer[] = [];
  for await (const chunk of incoming) chunks.push(chunk as Buffer);
  const raw = Buffer.concat(chunks);
  const encoding = incoming.headers['content-encoding'];
  const body = encoding === 'gzip' ? gunzipSync(raw) : encoding === 'zstd' ? zstdDecompressSync(raw) : raw;
  return { headers: incoming.headers, path: incoming.url ?? '', body };
}
