import { readFileSync } from 'node:fs';
import type { TlsOptions } from 'node:tls';
import { AgentError } from '../../../src/errors.ts';
import { CIPHER_SUITES, CURVES, TLS13_SUITES, TLS_VERSIONS } from './tls-names.ts';
import type { PemSource, TlsConfig } from './web-config.ts';

/** For files that name none: forward secrecy and authenticated encryption, which everything since 2014 knows. */
const DEFAULT_SUITES = [...CIPHER_SUITES.values()].filter((name) => /^ECDHE-.*(?:GCM|CHACHA20)/.test(name));
const OLD_SUITES = [...CIPHER_SUITES.values()].filter((name) => /^ECDHE-.*-SHA$/.test(name));

/**
 * Options of a TLS server, certificates read and checked. Throws an `AgentError` (`config_invalid`) when a file cannot be read or
 * key and certificate do not belong together.
 */
export function tlsOptions(tls: TlsConfig, alpnProtocols: readonly string[]): TlsOptions {
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
    // What a client certificate must be is decided after the handshake: there are more answers than yes and no.
    rejectUnauthorized: false,
    ALPNProtocols: [...alpnProtocols],
    handshakeTimeout: 5_000,
  };
  checkPair(options);
  return options;
}

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
    return readFileSync(source.file, 'utf8');
  } catch (cause) {
    throw new AgentError('config_invalid', 'prometheus', `the ${what} file cannot be read: ${messageOf(cause)}`, { cause });
  }
}

/** What is no certificate is passed over, as Go does; with none left nobody can be verified. */
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
