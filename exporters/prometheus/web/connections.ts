import type { Socket } from 'node:net';
import type { Clock, Timer } from '../../../src/host.ts';

/** Connections of one endpoint kept open at most. */
export const MAX_CONNECTIONS = 128;
/** More than that may be open for a moment, so that a scraper in the middle of a crowd can send its request. */
export const CROWD = 512;
const CROWD_MS = 100;

/** A client that connects must have sent its first byte by then. */
const FIRST_WORD_MS = 5_000;
/** A connection on which nothing moved for so long is closed: longer than the scrape intervals in use, so that scrapers keep theirs. */
const SILENT_CONNECTION_MS = 90_000;

/** The identity of a connection; the TLS socket on top of it has the same. */
export type ConnectionKey = Pick<Socket, 'remoteAddress' | 'remotePort' | 'localPort'>;

interface Connection {
  readonly socket: Socket;
  requests: number;
  /** It asked for more than it may have: it ends with the last answer. */
  isOverrun: boolean;
}

/**
 * `Connections` bounds the open connections. When there are too many, some are closed: those whose clients have sent nothing yet, then
 * those that have been without a request for the longest time. So neither idle nor slow clients can lock a scraper out.
 */
export class Connections {
  readonly limit: number;
  readonly #clock: Clock;
  /** Clients that have sent nothing yet, and since when; thousands may come in a second, so they are no more than an entry here. */
  readonly #silent = new Map<Socket, number>();
  /** The one that has waited longest comes first. */
  readonly #speaking = new Map<string, Connection>();
  #sweep: Timer | undefined;
  #trim: Timer | undefined;

  constructor(clock: Clock, limit: number = MAX_CONNECTIONS) {
    this.#clock = clock;
    this.limit = limit;
  }

  get size(): number {
    return this.#silent.size + this.#speaking.size;
  }

  /** False when there was no place; the socket is gone then. */
  admit(socket: Socket): boolean {
    if (this.size >= this.limit + CROWD && !this.#evict()) {
      socket.destroy();
      return false;
    }
    if (this.size >= this.limit) this.#trim ??= this.#clock.setTimer(() => this.#makeRoom(), CROWD_MS, { background: true });
    this.#silent.set(socket, this.#clock.monotonicMs());
    socket.on('error', destroy).once('close', this.#forget);
    this.#sweep ??= this.#clock.setTimer(() => this.#endSilence(), FIRST_WORD_MS, { background: true });
    return true;
  }

  /** The client has sent its first byte; from here on the deadlines of its requests apply. */
  spoke(socket: Socket): void {
    if (!this.#silent.delete(socket)) return;
    const key = keyOf(socket);
    const connection = { socket, requests: 0, isOverrun: false };
    this.#speaking.set(key, connection);
    socket.once('close', () => {
      if (this.#speaking.get(key) === connection) this.#speaking.delete(key);
    });
    socket.setTimeout(SILENT_CONNECTION_MS, destroy);
  }

  /**
   * A request began on a connection; the returned function ends it, and returns true when the connection is to end with it. Undefined when
   * it is one more than `limit` at a time: neither this nor any later one is to be answered.
   */
  begin(socket: ConnectionKey, limit: number): (() => boolean) | undefined {
    const key = keyOf(socket);
    const connection = this.#speaking.get(key);
    if (connection === undefined) return () => false;
    connection.isOverrun ||= connection.requests >= limit;
    if (connection.isOverrun) return undefined;
    connection.requests += 1;
    let ended = false;
    return () => {
      if (ended) return false;
      ended = true;
      connection.requests -= 1;
      // Moved to the end of the order: it has worked just now.
      if (this.#speaking.get(key) === connection && this.#speaking.delete(key)) this.#speaking.set(key, connection);
      return connection.isOverrun && connection.requests === 0;
    };
  }

  closeAll(): void {
    this.#sweep?.[Symbol.dispose]();
    this.#trim?.[Symbol.dispose]();
    for (const socket of this.#silent.keys()) socket.destroy();
    for (const { socket } of this.#speaking.values()) socket.destroy();
  }

  #makeRoom(): void {
    this.#trim = undefined;
    while (this.size > this.limit && this.#evict());
  }

  /** Closes the oldest that had time to send something and did not, else the longest idle one, else the oldest that had no time yet. */
  #evict(): boolean {
    const [oldest, sinceMs = 0] = this.#silent.entries().next().value ?? [];
    if (oldest !== undefined && this.#clock.monotonicMs() - sinceMs >= CROWD_MS) return this.#end(oldest);
    for (const [key, { socket, requests }] of this.#speaking) {
      if (requests > 0) continue;
      socket.destroy();
      return this.#speaking.delete(key);
    }
    return oldest !== undefined && this.#end(oldest);
  }

  #end(silent: Socket): boolean {
    silent.destroy();
    return this.#silent.delete(silent);
  }

  #endSilence(): void {
    this.#sweep = undefined;
    const nowMs = this.#clock.monotonicMs();
    let oldestMs: number | undefined;
    for (const [socket, sinceMs] of this.#silent) {
      if (nowMs - sinceMs >= FIRST_WORD_MS) socket.destroy();
      else oldestMs ??= sinceMs;
    }
    if (oldestMs === undefined) return;
    this.#sweep = this.#clock.setTimer(() => this.#endSilence(), oldestMs + FIRST_WORD_MS - nowMs, { background: true });
  }

  /** One function for all sockets; Node calls it with the socket as `this`. */
  readonly #forget = ((silent: Map<Socket, number>) =>
    function forget(this: Socket): void {
      silent.delete(this);
    })(this.#silent);
}

function destroy(this: Socket): void {
  this.destroy();
}

function keyOf({ remoteAddress, remotePort, localPort }: ConnectionKey): string {
  return `${remoteAddress} ${remotePort} ${localPort}`;
}
