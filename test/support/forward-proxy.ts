import { once } from 'node:events';
import { createServer, request as httpRequest } from 'node:http';
import type { IncomingMessage, Server, ServerResponse } from 'node:http';
import { connect } from 'node:net';
import type { AddressInfo, Socket } from 'node:net';

/** A forward proxy on loopback: it relays requests with a whole URL, and opens tunnels. Every name leads to loopback. */
export class ForwardProxy {
  /** First lines and credentials of what it was asked for. */
  readonly asked: { readonly line: string; readonly authorization: string | undefined }[] = [];
  /** Refuses with this status when set. */
  refuseWith: number | undefined;
  readonly #server: Server = createServer();
  readonly #sockets = new Set<Socket>();

  static async start(): Promise<ForwardProxy> {
    const proxy = new ForwardProxy();
    const server = proxy.#server;
    server.on('request', (incoming: IncomingMessage, response: ServerResponse) => proxy.#relay(incoming, response));
    server.on('connect', (incoming: IncomingMessage, socket: Socket, head: Buffer) => proxy.#tunnel(incoming, socket, head));
    server.on('connection', (socket: Socket) => proxy.#keep(socket));
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    return proxy;
  }

  get port(): number {
    return (this.#server.address() as AddressInfo).port;
  }

  get url(): string {
    return `http://127.0.0.1:${this.port}`;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    const closed = once(this.#server, 'close');
    this.#server.close();
    for (const socket of this.#sockets) socket.destroy();
    await closed;
  }

  #keep(socket: Socket): void {
    this.#sockets.add(socket);
    socket.on('error', () => {});
    socket.on('close', () => this.#sockets.delete(socket));
  }

  #note(incoming: IncomingMessage): void {
    this.asked.push({ line: `${incoming.method} ${incoming.url}`, authorization: incoming.headers['proxy-authorization'] });
  }

  #relay(incoming: IncomingMessage, response: ServerResponse): void {
    this.#note(incoming);
    if (this.refuseWith !== undefined) {
      response.writeHead(this.refuseWith).end();
      return;
    }
    const { hostname: _name, port, pathname, search } = new URL(incoming.url ?? '');
    const { 'proxy-authorization': _secret, ...headers } = incoming.headers;
    const outgoing = httpRequest({ host: '127.0.0.1', port, path: pathname + search, method: incoming.method, headers }, (answer) => {
      response.writeHead(answer.statusCode ?? 0, answer.headers);
      answer.pipe(response);
    });
    incoming.pipe(outgoing);
  }

  #tunnel(incoming: IncomingMessage, socket: Socket, head: Buffer): void {
    this.#note(incoming);
    if (this.refuseWith !== undefined) {
      socket.end(`HTTP/1.1 ${this.refuseWith} No\r\n\r\n`);
      return;
    }
    const { port } = new URL(`http://${incoming.url}`);
    const target = connect(Number(port), '127.0.0.1', () => {
      socket.write('HTTP/1.1 200 Connection established\r\n\r\n');
      target.write(head);
      target.pipe(socket);
      socket.pipe(target);
    });
    this.#keep(target);
    target.on('close', () => socket.destroy());
    socket.on('close', () => target.destroy());
  }
}
