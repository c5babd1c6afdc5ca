import { createServer } from 'node:http';
import type { Server as HttpServer } from 'node:http';
import type { Http2Server } from 'node:http2';
import { createServer as createListener } from 'node:net';
import type { Server as Listener, Socket } from 'node:net';
import type { TLSSocket } from 'node:tls';
import { AgentError } from '../../../src/errors.ts';
import type { Clock } from '../../../src/host.ts';
import type { Logger } from '../../../src/log.ts';
import { refuse } from '../handler.ts';
import type { Request, Response } from '../handler.ts';
import { CROWD, Connections, MAX_CONNECTIONS } from './connections.ts';
import { formatListenAddress, isLoopback } from './listen-address.ts';
import type { ListenAddress, ListenTarget } from './listen-address.ts';
import { TlsAcceptor } from './tls.ts';
import { WebGuard } from './web-guard.ts';
import { isClosed, OPEN_POLICY } from './web-policy.ts';
import type { LoadedWebConfig, WebPolicy } from './web-policy.ts';

export interface WebServerOptions {
  readonly listen: readonly ListenTarget[];
  readonly policy?: WebPolicy;
  readonly handle: (request: Request, response: Response) => Promise<void>;
  /** Called for a request that the policy refuses. */
  readonly onRefusal: (status: number) => void;
  readonly clock: Clock;
  readonly log: Logger;
  readonly maxConnections?: number;
}

/** Limits on time and memory that one client may use. */
const HTTP_LIMITS = {
  headersTimeout: 5_000,
  requestTimeout: 10_000,
  connectionsCheckingInterval: 1_000,
  maxHeaderSize: 8 * 1024,
  /** Longer than the scrape intervals in use. */
  keepAliveTimeout: 75_000,
} as const;

const MAX_REQUESTS_PER_CONNECTION = 1_000;
/** Requests of one connection under way at a time; scrapers wait for the answer. */
const MAX_PIPELINED = 16;
/** Connections that wait to be accepted; the kernel cuts it to its own limit. A client beyond it tries again a second later. */
const BACKLOG = 16_384;

const HTTP2_LIMITS = {
  maxSessionMemory: 4,
  settings: { maxConcurrentStreams: 40, maxHeaderListSize: 8 * 1024, enablePush: false },
  unknownProtocolTimeout: 5_000,
} as const;

/** Sockets, connections and requests of the endpoint. */
export class WebServer {
  readonly #options: WebServerOptions;
  readonly #policy: WebPolicy;
  readonly #connections: Connections;
  readonly #http: HttpServer;
  readonly #listeners: Listener[] = [];
  #guard: WebGuard | undefined;
  #http2: Http2Server | undefined;
  #tls: TlsAcceptor | undefined;
  #disposed: Promise<void> | undefined;

  constructor(options: WebServerOptions) {
    this.#options = options;
    this.#policy = options.policy ?? OPEN_POLICY;
    this.#connections = new Connections(options.clock, options.maxConnections ?? MAX_CONNECTIONS);
    this.#http = createServer({ ...HTTP_LIMITS }, (request, response) => void this.#onRequest(request, response));
    this.#http.maxRequestsPerSocket = MAX_REQUESTS_PER_CONNECTION;
    // Node would go on answering what was sent in one breath with the last request.
    this.#http.on('dropRequest', (_request, socket) => socket.destroy());
  }

  /** Addresses on which it listens, with the ports that were assigned; empty before `start`. */
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

  /** Rejects with an `AgentError` when the policy is bad or an address cannot be listened on; then nothing listens. */
  async start(): Promise<void> {
    const state = this.#policy.current();
    if ('error' in state) throw state.error;
    await this.#prepare(state.config);
    try {
      for (const address of this.#options.listen) {
        const listener = await listen(address, (socket) => this.#onConnection(socket));
        // Connections beyond that are dropped before they become objects.
        listener.maxConnections = this.#connections.limit + 2 * CROWD;
        this.#listeners.push(listener);
      }
    } catch (thrown) {
      await this[Symbol.asyncDispose]();
      throw thrown;
    }
    this.#warnOfExposure(state.config);
  }

  [Symbol.asyncDispose](): Promise<void> {
    this.#disposed ??= this.#dispose();
    return this.#disposed;
  }

  /** Decides on TLS, HTTP/2 and a rate limit for good; certificates, users and headers may change later. */
  async #prepare(config: LoadedWebConfig): Promise<void> {
    const { clock, log } = this.#options;
    this.#guard = new WebGuard(this.#policy, clock);
    if (config.tls !== undefined) {
      this.#tls = new TlsAcceptor({ policy: this.#policy, log, onConnection: (socket) => this.#onTlsConnection(socket) });
    }
    if (config.tls !== undefined && config.http2) {
      const { createServer: createHttp2Server } = await import('node:http2');
      this.#http2 = createHttp2Server(HTTP2_LIMITS, (request, response) => void this.#onRequest(request, response));
      this.#http2.on('sessionError', () => {});
    }
    // The server gets its sockets from the listeners; it starts watching header and request deadlines when it hears this.
    this.#http.emit('listening');
  }

  async #dispose(): Promise<void> {
    const closed = this.#listeners.map((listener) => new Promise<void>((resolve) => void listener.close(() => resolve())));
    this.#http.close();
    this.#http2?.close();
    this.#connections.closeAll();
    await this.#guard?.[Symbol.asyncDispose]();
    await Promise.all(closed);
  }

  /** A connection costs no parser and no handshake before its client has said something. */
  #onConnection(socket: Socket): void {
    if (!this.#connections.admit(socket)) return;
    socket.once('data', (first: Buffer) => {
      if (this.#tls === undefined && isEndlessHeader(first)) {
        // Without a parser: that would keep what it refuses until the next but one garbage collection.
        socket.write(HEADER_TOO_LARGE);
        socket.destroy();
        return;
      }
      socket.pause();
      socket.unshift(first);
      this.#connections.spoke(socket);
      if (this.#tls !== undefined) {
        this.#tls.accept(socket);
        return;
      }
      this.#http.emit('connection', socket);
      socket.resume();
    });
  }

  #onTlsConnection(socket: TLSSocket): void {
    if (socket.alpnProtocol === 'h2' && this.#http2 !== undefined) this.#http2.emit('connection', socket);
    else this.#http.emit('connection', socket);
  }

  async #onRequest(request: Request, response: Response): Promise<void> {
    const { socket } = request;
    // HTTP/2 has a limit of its own.
    const end = this.#connections.begin(socket, 'stream' in response ? Number.POSITIVE_INFINITY : MAX_PIPELINED);
    if (end === undefined) {
      // Requests that were sent in one breath are parsed by then, at most 64 KiB of them; nothing more is read.
      socket.pause();
      return;
    }
    response.once('close', () => {
      if (end()) socket.destroySoon();
    });
    response.on('error', () => response.destroy());
    const admission = await this.#guard?.check(request.headers.authorization);
    if (admission === undefined || response.destroyed) return;
    for (const [name, value] of admission.headers) response.setHeader(name, value);
    if (admission.admission === 'pass') {
      await this.#options.handle(request, response);
      return;
    }
    this.#options.onRefusal(admission.status);
    refuse(response, admission.status, REASONS[admission.status]);
  }

  #warnOfExposure(config: LoadedWebConfig): void {
    const exposed = this.addresses.filter((address) => !isLoopback(address)).map((address) => formatListenAddress(address));
    if (exposed.length > 0 && !isClosed(config)) {
      this.#options.log.warn({ addresses: exposed }, 'metrics can be read from other machines without TLS and authentication');
    }
  }
}

const REASONS = {
  401: 'Unauthorized',
  429: 'Too Many Requests',
  500: 'Internal Server Error',
  503: 'Too many passwords are being checked, try again later.',
} as const;

const HEADER_TOO_LARGE = 'HTTP/1.1 431 Request Header Fields Too Large\r\nConnection: close\r\nContent-Length: 0\r\n\r\n';

function isEndlessHeader(first: Buffer): boolean {
  if (first.length <= HTTP_LIMITS.maxHeaderSize) return false;
  const end = first.indexOf('\r\n\r\n');
  return end === -1 || end > HTTP_LIMITS.maxHeaderSize;
}

function listen(target: ListenTarget, onConnection: (socket: Socket) => void): Promise<Listener> {
  return new Promise((resolve, reject) => {
    const listener = createListener({ noDelay: true }, onConnection);
    listener.once('error', (cause: Error) => {
      reject(
        new AgentError('config_invalid', 'prometheus', `cannot listen on ${formatListenAddress(target)}: ${cause.message}`, { cause }),
      );
    });
    listener.listen({ ...listenOptions(target), backlog: BACKLOG }, () => {
      const address = listener.address();
      if (typeof address === 'object' && address !== null) {
        resolve(listener);
        return;
      }
      listener.close();
      reject(new AgentError('config_invalid', 'prometheus', `cannot listen on ${formatListenAddress(target)}: it is no TCP socket`));
    });
  });
}

function listenOptions(target: ListenTarget): { readonly fd: number } | { readonly port: number; readonly host?: string } {
  if ('fd' in target) return { fd: target.fd };
  return { port: target.port, ...(target.host === undefined ? {} : { host: target.host }) };
}
