import type { IncomingMessage } from 'node:http';
import type { Readable } from 'node:stream';
import { createBrotliDecompress, createGunzip, createInflate, createZstdDecompress } from 'node:zlib';

/** The specification advises 4 MiB, counted after decompression. */
export const MAX_RESPONSE_BYTES = 4 * 1024 * 1024;

export type ResponseBody =
  | { readonly kind: 'whole'; readonly bytes: Buffer }
  | { readonly kind: 'too_large' }
  /** Cut off, undecodable, or not finished when the signal came. */
  | { readonly kind: 'broken' };

/** Reads a response's body up to the limit and never holds more; what lies beyond is not read. Never rejects. */
export function readResponseBody(response: IncomingMessage, limitBytes: number, signal: AbortSignal): Promise<ResponseBody> {
  return new Promise((resolve) => {
    const source = decoded(response);
    const chunks: Buffer[] = [];
    let size = 0;
    let isSettled = false;
    const settle = (body: ResponseBody): void => {
      if (isSettled) return;
      isSettled = true;
      signal.removeEventListener('abort', onAbort);
      resolve(body);
      if (body.kind === 'whole') return;
      // The rest of the body is of no use, and a connection with unread data cannot be used again.
      source.destroy();
      response.destroy();
    };
    const onAbort = (): void => settle({ kind: 'broken' });
    signal.addEventListener('abort', onAbort, { once: true });
    source.on('data', (chunk: Buffer) => {
      size += chunk.length;
      if (size > limitBytes) settle({ kind: 'too_large' });
      else chunks.push(chunk);
    });
    source.on('end', () => settle({ kind: 'whole', bytes: Buffer.concat(chunks) }));
    source.on('error', () => settle({ kind: 'broken' }));
    response.on('error', () => settle({ kind: 'broken' }));
    response.on('close', () => {
      if (!response.complete) settle({ kind: 'broken' });
    });
    if (signal.aborted) onAbort();
  });
}

function decoded(response: IncomingMessage): Readable {
  const encoding = response.headers['content-encoding'];
  if (encoding === 'gzip' || encoding === 'x-gzip') return response.pipe(createGunzip());
  if (encoding === 'deflate') return response.pipe(createInflate());
  if (encoding === 'br') return response.pipe(createBrotliDecompress());
  return encoding === 'zstd' ? response.pipe(createZstdDecompress()) : response;
}
