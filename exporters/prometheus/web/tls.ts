import type { X509Certificate } from 'node:crypto';
import { SocketAddress } from 'node:net';
import type { Socket } from 'node:net';
import type { Server, TLSSocket, TlsOptions } from 'node:tls';
import { readRegularFile } from '../../../src/regular-file.ts';
import { AgentError } from '../../../src/errors.ts';
import type { Logger } from '../../../src/log.ts';
import { CIPHER_SUITES, CURVES, TLS13_SUITES, TLS_VERSIONS } from './tls-names.ts';
import type { PemSource, TlsConfig } from './web-config.ts';
import type { LoadedWebConfig, WebPolicy } from './web-policy.ts';

export interface TlsAcceptorOptions {
  readonly policy: WebPolicy;
  readonly log: Logger;
  /** Called with each connection whose handshake is done and whose client is accepted. */
  readonly onConnection: (socket: TLSSocket) => void;
}

/** Takes TCP connections through their TLS handshake, by the policy that holds at the moment. */
export class TlsAcceptor {
  readonly #options: TlsAcceptorOptions;
  /** One server for each configuration: it takes connections made elsewhere and never listens. */
  readonly #servers = new WeakMap<LoadedWebConfig, Server>();

  constructor(options: TlsAcceptorOptions) {
    this.#options = options;
  }

  accept(socket: Socket): void {
    const state = this.#options.policy.current();
    const server = 'config' in state ? this.#server(state.config) : undefined;
    // A configuration that is bad, or has lost its TLS part, serves nobody.
    if (server === undefined) socket.destroy();
    else server.emit('connection', socket);
  }

  #server(config: LoadedWebConfig): Server | undefined {
    const { tls, tlsOptions } = config;
    if (tls === undefined || tlsOptions === undefined) return undefined;
    let server = this.#servers.get(config);
    if (server === undefined) {
      server = process.getBuiltinModule('node:tls').createServer(tlsOptions, (socket) => {
        const refusal = clientRefusal(socket, tls);
        if (refusal === undefined) {
          this.#options.onConnection(socket);
          return;
        }
        this.#options.log.debug({ reason: refusal }, 'client refused');
        socket.destroy();
      });
      server.on('tlsClientError', (_cause, socket) => socket.destroy());
      this.#servers.set(config, server);
    }
    return server;
  }
}

/** For files that name none: forward secrecy and authenticated encryption, which everything since 2014 knows. */
const DEFAULT_SUITES = [...CIPHER_SUITES.values()].filter((name) => /^ECDHE-.*(?:GCM|CHACHA20)/.test(name));
const OLD_SUITES = [...CIPHER_SUITES.values()].filter((name) => /^ECDHE-.*-SHA$/.test(name));

/**
 * Options of a TLS server, certificates read and checked. Throws an `AgentError` (`config_invalid`) when a file cannot be read or
 * key and certificate do not belong together.
 */
export function readTlsOptions(tls: TlsConfig, alpnProtocols: readonly string[]): TlsOptions {
  // The old versions know no authenticated encryption, and OpenSSL refuses them at its default security level.
  const isOld = tls.minVersion === 'TLS10' || tls.minVersion === 'TLS11';
  const named = tls.cipherSuites.flatMap((name) => CIPHER_SUITES.get(name) ?? []);
  const suites = tls.cipherSuites.length > 0 ? named : [...DEFAULT_SUITES, ...(isOld ? OLD_SUITES : [])];
  const options: TlsOptions = {
    cert: readPem(tls.certificate, 'certificate'),
    key: readPem(tls.key, 'key'),
    minVersion: TLS_VERSIONS[tls.minVersion],
    maxVersion: TLS_VERSIONS[tls.maxVersion],
    ciphers: [...TLS13_SUITES, ...suites, ...(isOld ? ['@SECLEVEL=0'] : [])].join(':'),
    honorCipherOrder: tls.prefersServerOrder,
    ...(tls.curves.length === 0 ? {} : { ecdhCurve: tls.curves.flatMap((name) => CURVES.get(name) ?? []).join(':') }),
    ...(tls.clientCa === undefined ? {} : { ca: [...validCertificates(readPem(tls.clientCa, 'client CA'))] }),
    requestCert: tls.clientAuthType !== 'NoClientCert',
    // `clientRefusal` decides after the handshake: there are more answers than yes and no.
    rejectUnauthorized: false,
    ALPNProtocols: [...alpnProtocols],
    handshakeTimeout: 5_000,
  };
  checkPair(options);
  return options;
}

/** Limit of the web configuration and of each file that it names. */
export const MAX_WEB_FILE_BYTES = 1024 * 1024;

/** Files whose change may change the options. */
export function filesOf(tls: TlsConfig): readonly string[] {
  return [tls.certificate, tls.key, tls.clientCa].flatMap((source) => (source !== undefined && 'file' in source ? [source.file] : []));
}

function checkPair(options: TlsOptions): void {
  try {
    process.getBuiltinModule('node:tls').createSecureContext(options);
  } catch (cause) {
    throw new AgentError('config_invalid', 'prometheus', `certificate and key cannot be used: ${messageOf(cause)}`, { cause });
  }
}

function readPem(source: PemSource, what: string): string {
  if ('pem' in source) return source.pem;
  try {
    return readRegularFile(source.file, MAX_WEB_FILE_BYTES).toString('utf8');
  } catch (cause) {
    throw new AgentError('config_invalid', 'prometheus', `the ${what} file cannot be read: ${messageOf(cause)}`, { cause });
  }
}

/** Skips blocks that are no certificates, as Go does; with none left no client can be verified. */
function* validCertificates(pem: string): Iterable<string> {
  const { X509Certificate } = process.getBuiltinModule('node:crypto');
  for (const [block] of pem.matchAll(/-----BEGIN CERTIFICATE-----[^-]*-----END CERTIFICATE-----/g)) {
    try {
      yield new X509Certificate(block).toString();
    } catch {
      // Not a certificate.
    }
  }
}

function messageOf(cause: unknown): string {
  return cause instanceof Error ? cause.message : String(cause);
}

/** Returns the reason to refuse a connection after its TLS handshake; undefined when it may go on. */
export function clientRefusal(socket: TLSSocket, tls: TlsConfig): string | undefined {
  if (tls.clientAuthType === 'NoClientCert') return undefined;
  const certificate = socket.getPeerX509Certificate();
  if (certificate === undefined) return refusalWithout(tls);
  const mustVerify = tls.clientAuthType === 'VerifyClientCertIfGiven' || tls.clientAuthType === 'RequireAndVerifyClientCert';
  if (mustVerify && !socket.authorized) return 'the client certificate cannot be verified';
  const allowed = tls.clientAllowedSans;
  if (allowed === undefined || subjectAltNames(certificate).some((name) => allowed.includes(name))) return undefined;
  return 'no subject alternative name of the client certificate is allowed';
}

/** A list of allowed names demands a name, and so a certificate. */
function refusalWithout({ clientAuthType, clientAllowedSans }: TlsConfig): string | undefined {
  const isOptional = clientAuthType === 'RequestClientCert' || clientAuthType === 'VerifyClientCertIfGiven';
  return isOptional && clientAllowedSans === undefined ? undefined : 'the client has no certificate';
}

/** DNS names, e-mail addresses, IP addresses and URIs of a certificate, as Go's x509 package spells them. */
export function subjectAltNames({ subjectAltName }: Pick<X509Certificate, 'subjectAltName'>): readonly string[] {
  const names: string[] = [];
  // Node quotes a value as JSON when it holds what would make the list ambiguous.
  for (const [, kind, quoted, plain = ''] of (subjectAltName ?? '').matchAll(/(?:^|, )([^:,]+):(?:("(?:[^"\\]|\\.)*")|([^,]*))/g)) {
    const name = quoted === undefined ? plain : unquote(quoted);
    if (kind === 'DNS' || kind === 'email' || kind === 'URI') names.push(name);
    else if (kind === 'IP Address') names.push(canonicalAddress(name));
  }
  return names;
}

function unquote(text: string): string {
  const value: unknown = JSON.parse(text);
  return typeof value === 'string' ? value : '';
}

/** OpenSSL writes all eight groups of an IPv6 address. */
function canonicalAddress(address: string): string {
  return address.includes(':') ? new SocketAddress({ address, family: 'ipv6' }).address : address;
}
