import type { Socket } from 'node:net';
import type { Server, TLSSocket } from 'node:tls';
import type { Logger } from '../../../src/log.ts';
import { clientRefusal } from './client-certificate.ts';
import type { LoadedWebConfig, WebPolicy } from './web-policy.ts';

export interface TlsAcceptorOptions {
  readonly policy: WebPolicy;
  readonly log: Logger;
  /** A connection that speaks TLS and whose client may stay. */
  readonly onConnection: (socket: TLSSocket) => void;
}

/** Takes TCP connections through their TLS handshake, by the policy that holds at the moment. */
export class TlsAcceptor {
  readonly #options: TlsAcceptorOptions;
  /** One server for each configuration: it takes connections made elsewhere and never listens. */
  readonly #servers = new WeakMap<LoadedWebConfig, Server>();

  constructor(options: TlsAcceptorOptions) {
    this.#options = options;
  }

  accept(socket: Socket): void {
    const state = this.#options.policy.current();
    const server = 'config' in state ? this.#server(state.config) : undefined;
    // A configuration that is bad, or has lost its TLS part, serves nobody.
    if (server === undefined) socket.destroy();
    else server.emit('connection', socket);
  }

  #server(config: LoadedWebConfig): Server | undefined {
    const { tls, tlsOptions } = config;
    if (tls === undefined || tlsOptions === undefined) return undefined;
    let server = this.#servers.get(config);
    if (server === undefined) {
      server = process.getBuiltinModule('node:tls').createServer(tlsOptions, (socket) => {
        const refusal = clientRefusal(socket, tls);
        if (refusal === undefined) {
          this.#options.onConnection(socket);
          return;
        }
        this.#options.log.debug({ reason: refusal }, 'client refused');
        socket.destroy();
      });
      server.on('tlsClientError', (_cause, socket) => socket.destroy());
      this.#servers.set(config, server);
    }
    return server;
  }
}
