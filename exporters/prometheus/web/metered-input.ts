import type { Socket } from 'node:net';

/** A chunk from the network holds 64 KiB: two thousand small requests, each of which Node would make before the first is answered. */
const PIECE_BYTES = 2 * 1024;

/**
 * Hands what a client sends to the HTTP server it was given to in small pieces, other work in between, for as long as the client may
 * go on. To be called when the server has taken the socket: its listener is taken over.
 */
export function meterInput(socket: Socket, mayGoOn: () => boolean): void {
  const parse = socket.listeners('data');
  socket.removeAllListeners('data');
  let rest: Buffer | undefined;

  function hand(chunk: Buffer): void {
    for (const listener of parse) Reflect.apply(listener, socket, [chunk.subarray(0, PIECE_BYTES)]);
    rest = chunk.length > PIECE_BYTES ? chunk.subarray(PIECE_BYTES) : undefined;
    if (!mayGoOn()) {
      rest = undefined;
      socket.pause();
    } else if (rest !== undefined) {
      socket.pause();
      setImmediate(goOn);
    }
  }

  function goOn(): void {
    if (rest === undefined || socket.destroyed) return;
    hand(rest);
    if (rest === undefined && mayGoOn()) socket.resume();
  }

  socket.on('data', hand);
}
