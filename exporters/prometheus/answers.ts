import { Buffer } from 'node:buffer';
import type { IncomingMessage, ServerResponse } from 'node:http';
import type { Http2ServerRequest, Http2ServerResponse } from 'node:http2';

export type Request = IncomingMessage | Http2ServerRequest;
export type Response = ServerResponse | Http2ServerResponse;

/** A small answer. */
export function send(request: Request, response: Response, status: number, body: string, contentType = 'text/plain; charset=utf-8'): void {
  response.setHeader('Content-Type', contentType);
  response.setHeader('X-Content-Type-Options', 'nosniff');
  response.setHeader('Content-Length', Buffer.byteLength(body));
  response.statusCode = status;
  if (request.method === 'HEAD') response.end();
  else response.end(body);
}

/** Ends a request that is not served, and its connection where the client may still be sending. */
export function refuse(response: Response, status: number, reason: string): void {
  if (status === 405) response.setHeader('Allow', 'GET, HEAD');
  if (!('stream' in response) && CLOSING_STATUS.has(status)) response.setHeader('Connection', 'close');
  response.setHeader('Content-Type', 'text/plain; charset=utf-8');
  response.setHeader('X-Content-Type-Options', 'nosniff');
  response.statusCode = status;
  response.end(`${reason}\n`);
}

const CLOSING_STATUS: ReadonlySet<number> = new Set([405, 413, 414, 431, 503]);
