import { readFile, stat } from 'node:fs/promises';
import type { SecureContextOptions } from 'node:tls';
import type { Logger } from '../../src/log.ts';
import { Secret } from '../../src/secret.ts';
import type { OtlpSettings } from './settings.ts';

/** Permission bit of files. */
const OTHERS_MAY_READ = 0o004;

/** A file that is read again when it changed. Kubernetes replaces mounted secrets by renaming, so the inode counts too. */
class WatchedFile {
  readonly #path: string;
  readonly #logger: Logger;
  readonly #isSecret: boolean;
  #signature = '';
  #content = Buffer.alloc(0);
  #isMissing = false;
  /** Rises with every change. */
  generation = 0;

  constructor(path: string, options: { readonly logger: Logger; readonly isSecret: boolean }) {
    this.#path = path;
    this.#logger = options.logger;
    this.#isSecret = options.isSecret;
  }

  /** Rejects with the operating system's error while the file cannot be read for the first time; later the last content stays. */
  async read(): Promise<Buffer> {
    try {
      const { mtimeMs, size, ino, mode } = await stat(this.#path);
      this.#isMissing = false;
      const signature = `${mtimeMs}/${size}/${ino}`;
      if (signature === this.#signature) return this.#content;
      this.#content = await readFile(this.#path);
      this.#signature = signature;
      this.generation += 1;
      if (this.generation > 1) this.#logger.info({ file: this.#path }, 'file of an OTLP exporter changed and was read again');
      if (this.#isSecret && (mode & OTHERS_MAY_READ) !== 0)
        this.#logger.warn({ file: this.#path }, 'file with a secret can be read by every user');
    } catch (thrown) {
      if (this.generation === 0) throw thrown;
      // In the middle of being replaced, perhaps.
      if (!this.#isMissing)
        this.#logger.warn({ file: this.#path, err: thrown }, 'file of an OTLP exporter cannot be read, its last content is used');
      this.#isMissing = true;
    }
    return this.#content;
  }
}

/** Headers with the current content of their files. */
export class HeaderSource {
  readonly #fixed: Readonly<Record<string, string>>;
  readonly #files: readonly { readonly name: string; readonly file: WatchedFile }[];

  constructor(headers: OtlpSettings['headers'], logger: Logger) {
    const entries = headers.map(([name, value]) => ({ name: name.toLowerCase(), value }));
    this.#fixed = Object.fromEntries(entries.flatMap(({ name, value }) => (value instanceof Secret ? [[name, value.reveal()]] : [])));
    this.#files = entries.flatMap(({ name, value }) =>
      value instanceof Secret ? [] : [{ name, file: new WatchedFile(value.file, { logger, isSecret: true }) }],
    );
  }

  /** Names in lower case. Rejects while a file cannot be read. */
  async current(): Promise<Record<string, string>> {
    const headers = { ...this.#fixed };
    for (const { name, file } of this.#files) headers[name] = (await file.read()).toString().trim();
    return headers;
  }
}

/** What TLS connections are made with. */
export interface TlsContext extends SecureContextOptions {
  readonly servername?: string;
  readonly rejectUnauthorized?: boolean;
}

/** TLS settings with the current content of their files. */
export class TlsSource {
  readonly #fixed: TlsContext;
  readonly #files: readonly { readonly key: 'ca' | 'cert' | 'key'; readonly file: WatchedFile }[];
  #context: TlsContext | undefined;
  #generation = -1;

  constructor(tls: OtlpSettings['tls'], logger: Logger) {
    this.#fixed = {
      minVersion: 'TLSv1.2',
      ...(tls.server_name === null ? {} : { servername: tls.server_name }),
      ...(tls.insecure_skip_verify ? { rejectUnauthorized: false } : {}),
    };
    const files = [
      { key: 'ca', path: tls.ca_file },
      { key: 'cert', path: tls.cert_file },
      { key: 'key', path: tls.key_file },
    ] as const;
    this.#files = files.flatMap(({ key, path }) =>
      path === null ? [] : [{ key, file: new WatchedFile(path, { logger, isSecret: key === 'key' }) }],
    );
  }

  /** The same object until a file changes: connections made with another one are out of date. Rejects while a file cannot be read. */
  async current(): Promise<TlsContext> {
    const contents = await Promise.all(this.#files.map(async ({ key, file }) => [key, await file.read()] as const));
    const generation = this.#files.reduce((sum, { file }) => sum + file.generation, 0);
    if (this.#context === undefined || generation !== this.#generation) {
      this.#generation = generation;
      this.#context = { ...this.#fixed, ...Object.fromEntries(contents) };
    }
    return this.#context;
  }
}
