import { stat } from 'node:fs/promises';
import type { SecureContextOptions } from 'node:tls';
import type { Logger } from '../../src/log.ts';
import { readRegularFileLater } from '../../src/regular-file.ts';
import { Secret } from '../../src/secret.ts';
import { isUntrusted } from './outcome.ts';
import type { DeliveryRequest } from './request.ts';

/** Name and value of a header; a file that holds the value is read again when it changes. */
export type Header = readonly [name: string, value: Secret | { readonly file: string }];

/** TLS of one destination. Files are in PEM form and read again when they change. */
export interface TlsSettings {
  /** Trusted roots instead of the usual ones. */
  readonly ca_file: string | null;
  readonly cert_file: string | null;
  readonly key_file: string | null;
  /** Name expected in the server's certificate instead of the endpoint's host. */
  readonly server_name: string | null;
  /** Accepts any server certificate. */
  readonly insecure_skip_verify: boolean;
}

/** Headers of each request; a destination that signs makes them from the request. */
export interface RequestHeaders {
  /** Names in lower case. Rejects while the headers cannot be made. */
  current(request: DeliveryRequest): Promise<Record<string, string>>;
}

/** Permission bit of files. */
const OTHERS_MAY_READ = 0o004;
/** Far above any token or bundle of certificates. */
export const MAX_CREDENTIAL_BYTES = 4 * 1024 * 1024;

/** A file that is read again when it changed. Kubernetes replaces mounted secrets by renaming, so the inode counts too. */
class WatchedFile {
  readonly #path: string;
  readonly #logger: Logger;
  readonly #isSecret: boolean;
  #signature = '';
  #content: Buffer = Buffer.alloc(0);
  #isUnusable = false;
  /** Rises with every change. */
  generation = 0;

  constructor(path: string, options: { readonly logger: Logger; readonly isSecret: boolean }) {
    this.#path = path;
    this.#logger = options.logger;
    this.#isSecret = options.isSecret;
  }

  /**
   * Rejects while the file cannot be read for the first time; later the last content stays. A file without content is about to be
   * written: it counts as unreadable, because an empty token would turn into refusals that cost data.
   */
  async read(): Promise<Buffer> {
    try {
      const { mtimeMs, size, ino, mode } = await stat(this.#path);
      const signature = `${mtimeMs}/${size}/${ino}`;
      if (signature !== this.#signature) await this.#readAgain(signature, mode);
      this.#isUnusable = false;
    } catch (thrown) {
      if (this.generation === 0) throw thrown;
      // In the middle of being replaced, perhaps.
      if (!this.#isUnusable) this.#logger.warn({ file: this.#path, err: thrown }, 'file cannot be used, its last content stays in use');
      this.#isUnusable = true;
    }
    return this.#content;
  }

  async #readAgain(signature: string, mode: number): Promise<void> {
    const content = await readRegularFileLater(this.#path, MAX_CREDENTIAL_BYTES);
    if (content.toString('latin1').trim() === '') throw new Error(`${this.#path} is empty`);
    this.#content = content;
    this.#signature = signature;
    this.generation += 1;
    if (this.generation > 1) this.#logger.info({ file: this.#path }, 'file changed and was read again');
    if (this.#isSecret && (mode & OTHERS_MAY_READ) !== 0)
      this.#logger.warn({ file: this.#path }, 'file with a secret can be read by every user');
  }
}

/** Headers with the current content of their files. */
export class HeaderSource implements RequestHeaders {
  readonly #fixed: Readonly<Record<string, string>>;
  readonly #files: readonly { readonly name: string; readonly file: WatchedFile }[];

  constructor(headers: readonly Header[], logger: Logger) {
    const entries = headers.map(([name, value]) => ({ name: name.toLowerCase(), value }));
    this.#fixed = Object.fromEntries(entries.flatMap(({ name, value }) => (value instanceof Secret ? [[name, value.reveal()]] : [])));
    this.#files = entries.flatMap(({ name, value }) =>
      value instanceof Secret ? [] : [{ name, file: new WatchedFile(value.file, { logger, isSecret: true }) }],
    );
  }

  async current(): Promise<Record<string, string>> {
    const headers = { ...this.#fixed };
    for (const { name, file } of this.#files) headers[name] = (await file.read()).toString().trim();
    return headers;
  }
}

/** Certificates and keys for TLS connections. */
export interface TlsContext extends SecureContextOptions {
  readonly servername?: string;
  readonly rejectUnauthorized: boolean;
}

/** TLS settings with the current content of their files. */
export class TlsSource {
  readonly #fixed: TlsContext;
  readonly #files: readonly { readonly key: 'ca' | 'cert' | 'key'; readonly file: WatchedFile }[];
  #context: TlsContext | undefined;
  #generation = -1;
  #hasSystemRoots = false;

  constructor(tls: TlsSettings, logger: Logger) {
    const isVerifying = !tls.insecure_skip_verify;
    // Given explicitly, so that NODE_TLS_REJECT_UNAUTHORIZED cannot turn verification off.
    this.#fixed = {
      minVersion: 'TLSv1.2',
      rejectUnauthorized: isVerifying,
      ...(tls.server_name === null ? {} : { servername: tls.server_name }),
    };
    if (isVerifying && process.env['NODE_TLS_REJECT_UNAUTHORIZED'] === '0')
      logger.warn({}, 'NODE_TLS_REJECT_UNAUTHORIZED=0 is ignored: set tls.insecure_skip_verify to accept any certificate');
    const files = [
      { key: 'ca', path: tls.ca_file },
      { key: 'cert', path: tls.cert_file },
      { key: 'key', path: tls.key_file },
    ] as const;
    this.#files = files.flatMap(({ key, path }) =>
      path === null ? [] : [{ key, file: new WatchedFile(path, { logger, isSecret: key === 'key' }) }],
    );
  }

  /**
   * Adds the system's roots to Node's when a connection failed because nobody trusted signed the certificate, and returns true if the
   * connection is worth another attempt. Reading them takes a quarter of a second, which receivers with a public certificate never pay.
   */
  addSystemRoots(thrown: unknown): boolean {
    if (this.#hasSystemRoots || !isUntrusted(thrown) || this.#files.some(({ key }) => key === 'ca')) return false;
    this.#hasSystemRoots = true;
    this.#context = undefined;
    return true;
  }

  /** The same object until a file changes: connections made with another one are out of date. Rejects while a file cannot be read. */
  async current(): Promise<TlsContext> {
    const contents = await Promise.all(this.#files.map(async ({ key, file }) => [key, await file.read()] as const));
    const generation = this.#files.reduce((sum, { file }) => sum + file.generation, 0);
    if (this.#context === undefined || generation !== this.#generation) {
      this.#generation = generation;
      this.#context = { ...this.#fixed, ...(this.#hasSystemRoots ? allRoots() : {}), ...Object.fromEntries(contents) };
    }
    return this.#context;
  }
}

/** Returns Node's roots and those of the system (`SSL_CERT_FILE`, `SSL_CERT_DIR`, or OpenSSL's places). */
function allRoots(): { readonly ca: string[] } {
  const { getCACertificates } = process.getBuiltinModule('node:tls');
  return { ca: [...new Set([...getCACertificates('default'), ...getCACertificates('system')])] };
}
