import { statSync } from 'node:fs';
import { dirname } from 'node:path';
import type { TlsOptions } from 'node:tls';
import { readRegularFile } from '../../../src/regular-file.ts';
import { AgentError } from '../../../src/errors.ts';
import type { Logger } from '../../../src/log.ts';
import { filesOf, MAX_WEB_FILE_BYTES, readTlsOptions } from './tls.ts';
import { parseWebConfig } from './web-config.ts';
import type { WebConfig } from './web-config.ts';

/** A web configuration with its certificates read. */
export interface LoadedWebConfig extends WebConfig {
  /** Present exactly when `tls` is. */
  readonly tlsOptions: TlsOptions | undefined;
  /** Files the configuration was read from. */
  readonly files: readonly string[];
}

/** The policy for the next connection and the next request. */
export type WebPolicyState = { readonly config: LoadedWebConfig } | { readonly error: AgentError };

export interface WebPolicy {
  current(): WebPolicyState;
}

/** Plain HTTP for everybody. */
export const OPEN_POLICY: WebPolicy = {
  current: () => ({
    config: { tls: undefined, tlsOptions: undefined, http2: false, headers: new Map(), users: new Map(), rateLimit: undefined, files: [] },
  }),
};

/** The policy of a web configuration file; while the file is bad nobody is served, as exporter-toolkit does. */
export function fileWebPolicy(file: string, log: Logger): WebPolicy {
  return new ReloadingPolicy({ log, files: [file], load: () => loadWebConfig(file), keepsOldOnError: false });
}

/**
 * HTTPS with a certificate and a key file, as neuron-monitor-prometheus.py takes them; read again when the SHA-256 of their content
 * changes. While one of them is bad, because it is just being written, the old ones stay.
 */
export function certificateWebPolicy(options: { readonly certFile: string; readonly keyFile: string }, log: Logger): WebPolicy {
  const files = [options.certFile, options.keyFile];
  return new ReloadingPolicy({
    log,
    files,
    load: () => loadCertificate(options),
    keepsOldOnError: true,
    fingerprint: () => sha256Of(files),
  });
}

/** True when nobody can read metrics without TLS and authentication. */
export function isClosed({ tls, users }: WebConfig): boolean {
  return tls !== undefined && (users.size > 0 || tls.clientAuthType === 'RequireAndVerifyClientCert');
}

/** Reads a web configuration file and what it points to; throws an `AgentError` (`config_invalid`). */
export function loadWebConfig(file: string): LoadedWebConfig {
  const config = parseWebConfig(readText(file), dirname(file));
  const protocols = config.http2 ? ['h2', 'http/1.1'] : ['http/1.1'];
  const options = config.tls === undefined ? undefined : readTlsOptions(config.tls, protocols);
  return { ...config, tlsOptions: options, files: [file, ...(config.tls === undefined ? [] : filesOf(config.tls))] };
}

/** Reads a certificate and its key; throws an `AgentError` (`config_invalid`). */
export function loadCertificate({ certFile, keyFile }: { readonly certFile: string; readonly keyFile: string }): LoadedWebConfig {
  const tls = {
    certificate: { file: certFile },
    key: { file: keyFile },
    clientCa: undefined,
    clientAuthType: 'NoClientCert',
    clientAllowedSans: undefined,
    minVersion: 'TLS12',
    maxVersion: 'TLS13',
    cipherSuites: [],
    prefersServerOrder: true,
    curves: [],
  } as const;
  return {
    tls,
    tlsOptions: readTlsOptions(tls, ['http/1.1']),
    http2: false,
    headers: new Map(),
    users: new Map(),
    rateLimit: undefined,
    files: [certFile, keyFile],
  };
}

interface ReloadingOptions {
  readonly log: Logger;
  readonly files: readonly string[];
  readonly load: () => LoadedWebConfig;
  readonly keepsOldOnError: boolean;
  /** Content of the files; the same content is not loaded again. */
  readonly fingerprint?: () => string;
}

/** Looks at its files whenever it is asked, and loads them again when one of them has changed. */
class ReloadingPolicy implements WebPolicy {
  readonly #options: ReloadingOptions;
  #files: readonly string[];
  #signature: string | undefined;
  #fingerprint: string | undefined;
  #state: WebPolicyState | undefined;

  constructor(options: ReloadingOptions) {
    this.#options = options;
    this.#files = options.files;
  }

  current(): WebPolicyState {
    const files = this.#files;
    const signature = signatureOf(files);
    if (this.#state !== undefined && signature === this.#signature) return this.#state;
    const fingerprint = this.#options.fingerprint?.();
    const isSameContent = fingerprint !== undefined && fingerprint === this.#fingerprint;
    this.#fingerprint = fingerprint;
    const state = isSameContent && this.#state !== undefined ? this.#state : this.#load();
    // As it was before loading: what changes meanwhile is seen at the next look.
    this.#signature = this.#files === files ? signature : signatureOf(this.#files);
    this.#state = state;
    return state;
  }

  #load(): WebPolicyState {
    const { load, log, keepsOldOnError } = this.#options;
    try {
      const config = load();
      if (this.#state !== undefined) log.info({ files: config.files }, 'web configuration read again');
      if (config.files.join('\0') !== this.#files.join('\0')) this.#files = config.files;
      return { config };
    } catch (thrown) {
      const error = AgentError.from(thrown, 'config_invalid', 'prometheus');
      log.error({ err: error }, 'web configuration cannot be used');
      return keepsOldOnError && this.#state !== undefined ? this.#state : { error };
    }
  }
}

/** Changes when a file is written, replaced, removed or comes to be. */
function signatureOf(files: readonly string[]): string {
  return files
    .map((file) => {
      const stat = statSync(file, { bigint: true, throwIfNoEntry: false });
      return stat === undefined ? '-' : `${stat.ino}/${stat.size}/${stat.mtimeNs}/${stat.ctimeNs}`;
    })
    .join(' ');
}

/** A file that cannot be read counts as empty: loading says why. */
function sha256Of(files: readonly string[]): string {
  const hash = process.getBuiltinModule('node:crypto').createHash('sha256');
  for (const file of files) hash.update(readIfPossible(file));
  return hash.digest('hex');
}

function readIfPossible(file: string): Uint8Array {
  try {
    return readRegularFile(file, MAX_WEB_FILE_BYTES);
  } catch {
    return new Uint8Array();
  }
}

function readText(file: string): string {
  try {
    return readRegularFile(file, MAX_WEB_FILE_BYTES).toString('utf8');
  } catch (cause) {
    throw new AgentError(
      'config_invalid',
      'prometheus',
      `web configuration cannot be read: ${cause instanceof Error ? cause.message : ''}`,
      { cause },
    );
  }
}
