import type { X509Certificate } from 'node:crypto';
import { SocketAddress } from 'node:net';
import type { TLSSocket } from 'node:tls';
import type { TlsConfig } from './web-config.ts';

/** Why a connection is refused after its TLS handshake; undefined when it may go on. */
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
