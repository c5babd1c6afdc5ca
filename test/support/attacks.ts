import { connect } from 'node:net';
import type { Socket } from 'node:net';

/** Where an endpoint listens on the loopback address. */
export interface Target {
  readonly port: number;
}

/** A connection that minds nothing. */
function dial({ port }: Target): Socket {
  const socket = connect({ host: '127.0.0.1', port, noDelay: true });
  socket.on('error', () => {});
  return socket;
}

/** Opens this many connections, says nothing on them and keeps them open as long as the server does; returns how to end it. */
export async function idleSockets(target: Target, count: number): Promise<() => void> {
  const sockets: Socket[] = [];
  for (let opened = 0; opened < count; opened += 1) {
    sockets.push(dial(target));
    // In bursts, as a client that reconnects would.
    if (opened % 250 === 249) await new Promise((resolve) => setTimeout(resolve, 5));
  }
  return () => {
    for (const socket of sockets) socket.destroy();
  };
}

/** Connections that send one byte of a header each hundred milliseconds; resolves with how many the server ended by itself. */
export async function slowHeaders(target: Target, count: number, forMs: number): Promise<number> {
  const sockets = Array.from({ length: count }, () => dial(target));
  for (const socket of sockets) socket.write('GET /metrics HTTP/1.1\r\nHost: x\r\nX-Slow: ');
  const timer = setInterval(() => {
    for (const socket of sockets) if (socket.writable) socket.write('a');
  }, 100);
  await new Promise((resolve) => setTimeout(resolve, forMs));
  clearInterval(timer);
  const ended = sockets.filter((socket) => socket.destroyed || socket.readableEnded).length;
  for (const socket of sockets) socket.destroy();
  return ended;
}

/** Requests with a megabyte of headers; resolves with the statuses that came back, `0` for a connection that just ended. */
export function headerFlood(target: Target, count: number): Promise<readonly number[]> {
  const request = `GET /metrics HTTP/1.1\r\nHost: x\r\n${`X-${'h'.repeat(500)}: ${'v'.repeat(500)}\r\n`.repeat(1_000)}\r\n`;
  return Promise.all(Array.from({ length: count }, () => exchange(target, request)));
}

/** Many requests in one breath over one connection; resolves with how many answers came back. */
export async function pipelined(target: Target, count: number): Promise<number> {
  const socket = dial(target);
  let answers = 0;
  socket.on('data', (data: Buffer) => {
    answers += data.toString('latin1').split('HTTP/1.1 ').length - 1;
  });
  socket.write('GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n'.repeat(count));
  await new Promise((resolve) => {
    socket.once('close', resolve);
    setTimeout(resolve, 5_000);
  });
  socket.destroy();
  return answers;
}

/** Status of the answer to raw bytes; 0 when the connection ends without one. */
export function exchange(target: Target, request: string): Promise<number> {
  return new Promise((resolve) => {
    const socket = dial(target);
    let answer = '';
    socket.on('data', (data: Buffer) => {
      answer += data.toString('latin1');
      if (answer.includes('\r\n')) socket.destroy();
    });
    socket.on('close', () => resolve(Number(/^HTTP\/1\.1 (\d{3})/.exec(answer)?.[1] ?? 0)));
    socket.write(request);
    setTimeout(() => socket.destroy(), 10_000).unref();
  });
}

/** Paths that try to leave the folder of a file server, in every spelling known to work somewhere. */
export function traversals(): readonly string[] {
  const dots = ['..', '%2e%2e', '%2E%2e', '.%2e', '%252e%252e', '..%00', '%c0%ae%c0%ae', '%uff0e%uff0e', '..;', '\u2025'];
  const slashes = ['/', '%2f', '%5c', '\\', '%252f', '//', '/./'];
  const files = ['etc/passwd', 'proc/self/environ', 'metrics'];
  return files.flatMap((file) => dots.flatMap((dot) => slashes.map((slash) => `/${`${dot}${slash}`.repeat(5)}${file}`)));
}

/** Sends requests at a steady rate without waiting for their answers; resolves with the statuses. */
export async function atRate(perSecond: number, forMs: number, send: (index: number) => Promise<number>): Promise<readonly number[]> {
  const startedMs = performance.now();
  const statuses: Promise<number>[] = [];
  while (performance.now() - startedMs < forMs) {
    const due = ((performance.now() - startedMs) / 1000) * perSecond;
    while (statuses.length < due) statuses.push(send(statuses.length));
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
  return Promise.all(statuses);
}

/** The slowest but one in a hundred. */
export function p99(samples: readonly number[]): number {
  return samples.toSorted((a, b) => a - b)[Math.floor(samples.length * 0.99)] ?? Number.NaN;
}
