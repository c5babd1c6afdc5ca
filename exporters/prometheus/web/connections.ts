import type { Socket } from 'node:net';

/** Connections of one endpoint kept open at most. */
export const MAX_CONNECTIONS = 128;

/** A connection on which nothing moved for so long is closed: longer than the scrape intervals in use, so that scrapers keep theirs. */
const SILENT_CONNECTION_MS = 90_000;

/** What tells a connection from all others; the TLS socket on top of it has the same. */
export type ConnectionKey = Pick<Socket, 'remoteAddress' | 'remotePort' | 'localPort'>;

interface Connection {
  readonly socket: Socket;
  requests: number;
}

/**
 * Bounds the open connections. When all places are taken, the connection that has been without a request for the longest time makes
 * room, so that idle or dawdling clients cannot lock a scraper out; when all are at work, the newcomer is turned away.
 */
export class Connections {
  readonly #limit: number;
  /** The one that has waited longest comes first. */
  readonly #open = new Map<string, Connection>();

  constructor(limit: number = MAX_CONNECTIONS) {
    this.#limit = limit;
  }

  get size(): number {
    return this.#open.size;
  }

  /** False when there was no place; the socket is gone then. */
  admit(socket: Socket): boolean {
    if (this.#open.size >= this.#limit && !this.#evict()) {
      socket.destroy();
      return false;
    }
    const key = keyOf(socket);
    const connection = { socket, requests: 0 };
    this.#open.set(key, connection);
    socket.once('close', () => {
      if (this.#open.get(key) === connection) this.#open.delete(key);
    });
    socket.on('error', () => socket.destroy());
    socket.setTimeout(SILENT_CONNECTION_MS, () => socket.destroy());
    return true;
  }

  /** A request began on a connection; the returned function ends it. */
  begin(socket: ConnectionKey): () => void {
    const key = keyOf(socket);
    const connection = this.#open.get(key);
    if (connection === undefined) return () => {};
    connection.requests += 1;
    let ended = false;
    return () => {
      if (ended) return;
      ended = true;
      connection.requests -= 1;
      // To the end of the line: it has worked just now.
      if (this.#open.get(key) === connection && this.#open.delete(key)) this.#open.set(key, connection);
    };
  }

  closeAll(): void {
    for (const { socket } of this.#open.values()) socket.destroy();
  }

  #evict(): boolean {
    for (const [key, { socket, requests }] of this.#open) {
      if (requests > 0) continue;
      socket.destroy();
      return this.#open.delete(key);
    }
    return false;
  }
}

function keyOf({ remoteAddress, remotePort, localPort }: ConnectionKey): string {
  return `${remoteAddress} ${remotePort} ${localPort}`;
}
