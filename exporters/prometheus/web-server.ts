import { createServer } from 'node:http';
import type { Server as HttpServer } from 'node:http';
import { createServer as createListener } from 'node:net';
import type { Server as Listener, Socket } from 'node:net';
import { AgentError } from '../../src/errors.ts';
import { Connections, MAX_CONNECTIONS } from './connections.ts';
import { formatListenAddress } from './listen-address.ts';
import type { ListenAddress } from './listen-address.ts';
import type { Request, Response } from './handler.ts';

export interface WebServerOptions {
  readonly listen: readonly ListenAddress[];
  readonly handle: (request: Request, response: Response) => Promise<void>;
  readonly maxConnections?: number;
}

/** Limits of what a client may take of us; node_exporter has none of them. */
const HTTP_LIMITS = {
  headersTimeout: 5_000,
  requestTimeout: 10_000,
  connectionsCheckingInterval: 1_000,
  maxHeaderSize: 8 * 1024,
  /** Longer than the scrape intervals in use. */
  keepAliveTimeout: 75_000,
} as const;

/** Sockets, connections and requests of the endpoint. */
export class WebServer {
  readonly #options: WebServerOptions;
  readonly #connections: Connections;
  readonly #http: HttpServer;
  readonly #listeners: Listener[] = [];
  #disposed: Promise<void> | undefined;

  constructor(options: WebServerOptions) {
    this.#options = options;
    this.#connections = new Connections(options.maxConnections ?? MAX_CONNECTIONS);
    this.#http = createServer({ ...HTTP_LIMITS }, (request, response) => void this.#onRequest(request, response));
    this.#http.maxRequestsPerSocket = 1_000;
  }

  /** Where it listens, ports as they were assigned; empty before `start`. */
  get addresses(): readonly ListenAddress[] {
    return this.#listeners.flatMap((listener) => {
      const address = listener.address();
      return typeof address === 'object' && address !== null ? [{ host: address.address, port: address.port }] : [];
    });
  }

  /** Open connections. */
  get connectionCount(): number {
    return this.#connections.size;
  }

  /** Rejects when an address cannot be listened on; then none is. */
  async start(): Promise<void> {
    // The server gets its sockets from the listeners below; it starts watching header and request deadlines when it hears this.
    this.#http.emit('listening');
    try {
      for (const address of this.#options.listen) this.#listeners.push(await listen(address, (socket) => this.#onConnection(socket)));
    } catch (thrown) {
      await this[Symbol.asyncDispose]();
      throw thrown;
    }
  }

  [Symbol.asyncDispose](): Promise<void> {
    this.#disposed ??= this.#dispose();
    return this.#disposed;
  }

  async #dispose(): Promise<void> {
    const closed = this.#listeners.map((listener) => new Promise<void>((resolve) => listener.close(() => resolve())));
    this.#http.close();
    this.#connections.closeAll();
    await Promise.all(closed);
  }

  #onConnection(socket: Socket): void {
    if (this.#connections.admit(socket)) this.#http.emit('connection', socket);
  }

  async #onRequest(request: Request, response: Response): Promise<void> {
    const end = this.#connections.begin(request.socket);
    response.once('close', end);
    response.on('error', () => response.destroy());
    await this.#options.handle(request, response);
  }
}

function listen(address: ListenAddress, onConnection: (socket: Socket) => void): Promise<Listener> {
  return new Promise((resolve, reject) => {
    const listener = createListener({ noDelay: true }, onConnection);
    listener.once('error', (cause: Error) => {
      reject(
        new AgentError('config_invalid', 'prometheus', `cannot listen on ${formatListenAddress(address)}: ${cause.message}`, { cause }),
      );
    });
    listener.listen({ port: address.port, ...(address.host === undefined ? {} : { host: address.host }) }, () => resolve(listener));
  });
}
