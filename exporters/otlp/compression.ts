import { promisify } from 'node:util';
import { constants, gunzip, gzip, zstdCompress, zstdDecompress } from 'node:zlib';
import { errnoName } from '../../src/file-error.ts';
import type { OtlpCompression } from './settings.ts';
import { MAX_BODY_BYTES } from './record.ts';

const gzipAsync = promisify(gzip);
const gunzipAsync = promisify(gunzip);
const zstdCompressAsync = promisify(zstdCompress);
const zstdDecompressAsync = promisify(zstdDecompress);

/** Level 1: a tenth of a percent of traffic more than level 6, at a third of its CPU time. */
const GZIP_OPTIONS = { level: 1 };
const ZSTD_OPTIONS = { params: { [constants.ZSTD_c_compressionLevel]: 1 } };

/** Compresses off the main thread. */
export async function compressBody(body: Buffer, compression: OtlpCompression): Promise<Buffer> {
  switch (compression) {
    case 'none':
      return body;
    case 'gzip':
      return await gzipAsync(body, GZIP_OPTIONS);
    case 'zstd':
      return await zstdCompressAsync(body, ZSTD_OPTIONS);
  }
}

/** Rejects when the body is not what it says, or larger than `maxBytes`. */
export async function decompressBody(body: Buffer, compression: OtlpCompression, maxBytes = MAX_BODY_BYTES): Promise<Buffer> {
  switch (compression) {
    case 'none':
      return body;
    case 'gzip':
      return await gunzipAsync(body, { maxOutputLength: maxBytes });
    case 'zstd':
      return await zstdDecompressAsync(body, { maxOutputLength: maxBytes });
  }
}

/** Whether `decompressBody` stopped at its limit. */
export function isTooLarge(thrown: unknown): boolean {
  return errnoName(thrown) === 'ERR_BUFFER_TOO_LARGE';
}
