import { readFileSync } from 'node:fs';
import { join, resolve } from 'node:path';

/** Certificates and keys of `test/fixtures/web-config`. */
export const CERTIFICATES = resolve(import.meta.dirname, '../fixtures/web-config');

export function certificatePath(name: string): string {
  return join(CERTIFICATES, name);
}

export function certificateText(name: string): string {
  return readFileSync(certificatePath(name), 'utf8');
}

/** bcrypt of `correct horse`, cost 4. */
export const SECRET_HASH = '$2b$04$AjOlC2wmMbRgfjO..TTRjOYOcM15SFOwMHKfc.WviQUINYqEg/Lwu';

/** One web configuration file and whether a server may start with it. */
export interface WebConfigCase {
  readonly name: string;
  readonly yaml: string;
  readonly isGood: boolean;
  /** Part of what our message says; only for bad files. */
  readonly problem?: string;
}

const SERVER = tls('server');

/** Members of `tls_server_config` for a pair of files, and more. */
function tls(pair: string, ...members: readonly string[]): string {
  return [
    'tls_server_config:',
    `  cert_file: ${certificatePath(`${pair}.crt`)}`,
    `  key_file: ${certificatePath(`${pair}.key`)}`,
    ...members.map((m) => `  ${m}`),
    '',
  ].join('\n');
}

function inline(member: string, file: string): string {
  return `${member}: |\n${certificateText(file).replaceAll(/^(?=.)/gm, '    ')}`;
}

const CLIENT_CA = `client_ca_file: ${certificatePath('ca.crt')}`;

function good(name: string, yaml: string): WebConfigCase {
  return { name, yaml, isGood: true };
}

function bad(name: string, yaml: string, problem: string): WebConfigCase {
  return { name, yaml, isGood: false, problem };
}

/** Good and bad files; what Prometheus' own exporters make of them is tested with those exporters. */
export const WEB_CONFIG_CASES: readonly WebConfigCase[] = [
  good('an empty file', ''),
  good('a comment', '# nothing\n'),
  good('an empty mapping', '{}\n'),
  good('empty sections', 'tls_server_config:\nhttp_server_config:\nbasic_auth_users:\n'),
  good('empty mappings', 'tls_server_config: {}\nhttp_server_config: {}\nbasic_auth_users: {}\n'),
  good('JSON', '{"http_server_config": {"http2": false}}'),
  bad('a list', '- a\n', 'is not a mapping'),
  bad('text', 'hello\n', 'is not a mapping'),
  bad('broken YAML', 'tls_server_config: [\n', ''),
  bad('a tab for indentation', 'http_server_config:\n\thttp2: true\n', ''),
  bad('an unknown section', 'tls_config: {}\n', 'unknown member "tls_config"'),
  bad('an unknown member of TLS', `${SERVER}  cert_path: x\n`, 'unknown member "cert_path"'),
  bad('an unknown member of HTTP', 'http_server_config:\n  http3: true\n', 'unknown member "http3"'),
  bad('a section twice', 'basic_auth_users:\nbasic_auth_users:\n', ''),
  bad('a section that is a list', 'tls_server_config:\n  - cert_file\n', 'is not a mapping'),

  good('certificate and key', SERVER),
  good('an RSA pair', tls('server-rsa')),
  good('certificate and key in the file itself', `tls_server_config:\n  ${inline('cert', 'server.crt')}  ${inline('key', 'server.key')}`),
  good(
    'inline certificate, key in a file',
    `tls_server_config:\n  ${inline('cert', 'server.crt')}  key_file: ${certificatePath('server.key')}\n`,
  ),
  bad('no key', `tls_server_config:\n  cert_file: ${certificatePath('server.crt')}\n`, 'missing one of key or key_file'),
  bad('no certificate', `tls_server_config:\n  key_file: ${certificatePath('server.key')}\n`, 'missing one of cert or cert_file'),
  bad(
    'an empty certificate path',
    `tls_server_config:\n  cert_file: ""\n  key_file: ${certificatePath('server.key')}\n`,
    'missing one of cert',
  ),
  good('empty paths of both are no TLS', 'tls_server_config:\n  cert_file: ""\n  key_file: ""\n'),
  bad(
    'a certificate that is not there',
    `tls_server_config:\n  cert_file: nowhere.crt\n  key_file: ${certificatePath('server.key')}\n`,
    'the certificate file cannot be read',
  ),
  bad(
    'a key that is not there',
    `tls_server_config:\n  cert_file: ${certificatePath('server.crt')}\n  key_file: nowhere.key\n`,
    'the key file cannot be read',
  ),
  bad(
    'a key of another certificate',
    `tls_server_config:\n  cert_file: ${certificatePath('server.crt')}\n  key_file: ${certificatePath('client.key')}\n`,
    'cannot be used',
  ),
  bad(
    'a certificate that is none',
    `tls_server_config:\n  cert_file: ${certificatePath('NOTE.md')}\n  key_file: ${certificatePath('server.key')}\n`,
    'cannot be used',
  ),
  bad(
    'certificate and key swapped',
    `tls_server_config:\n  cert_file: ${certificatePath('server.key')}\n  key_file: ${certificatePath('server.crt')}\n`,
    'cannot be used',
  ),
  bad('only a client policy', 'tls_server_config:\n  client_auth_type: RequireAnyClientCert\n', 'missing one of cert or cert_file'),
  good('only versions are no TLS', 'tls_server_config:\n  min_version: TLS13\n'),

  good('no client certificates', tls('server', 'client_auth_type: NoClientCert')),
  good('client certificates asked for', tls('server', 'client_auth_type: RequestClientCert')),
  good('any client certificate', tls('server', 'client_auth_type: RequireAnyClientCert')),
  good('any client certificate, old word', tls('server', 'client_auth_type: RequireClientCert')),
  good('client certificates verified if given', tls('server', 'client_auth_type: VerifyClientCertIfGiven', CLIENT_CA)),
  good('client certificates verified', tls('server', 'client_auth_type: RequireAndVerifyClientCert', CLIENT_CA)),
  good(
    'client certificates verified, authority inline',
    `${tls('server', 'client_auth_type: RequireAndVerifyClientCert')}  ${inline('client_ca', 'ca.crt')}`,
  ),
  good('client certificates verified by no authority in particular', tls('server', 'client_auth_type: RequireAndVerifyClientCert')),
  good(
    'an authority file without certificates',
    tls('server', 'client_auth_type: RequireAndVerifyClientCert', `client_ca_file: ${certificatePath('NOTE.md')}`),
  ),
  bad('an unknown client policy', tls('server', 'client_auth_type: Sometimes'), 'unknown value "Sometimes"'),
  bad('an authority without a policy', tls('server', CLIENT_CA), 'without a Client Auth Policy'),
  bad(
    'an authority that is not there',
    tls('server', 'client_auth_type: RequireAndVerifyClientCert', 'client_ca_file: nowhere.crt'),
    'cannot be read',
  ),
  good('allowed names', tls('server', 'client_auth_type: RequireAndVerifyClientCert', CLIENT_CA, 'client_allowed_sans: [scraper.example]')),
  bad('allowed names that are a mapping', tls('server', 'client_allowed_sans: {a: b}'), 'is not text'),

  good('TLS 1.3 only', tls('server', 'min_version: TLS13')),
  good('TLS 1.2 only', tls('server', 'max_version: TLS12')),
  good('old versions', tls('server', 'min_version: TLS10')),
  bad('an unknown version', tls('server', 'min_version: TLS111'), 'unknown TLS version: TLS111'),
  bad('a version as a number', tls('server', 'max_version: 1.3'), 'unknown TLS version: 1.3'),
  good('a cipher suite', tls('server', 'cipher_suites: [TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256]')),
  good(
    'several cipher suites, no order',
    tls(
      'server-rsa',
      'cipher_suites: [TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384, TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256]',
      'prefer_server_cipher_suites: false',
    ),
  ),
  good(
    'a suite of TLS 1.3 among others',
    tls('server', 'cipher_suites: [TLS_AES_128_GCM_SHA256, TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256]'),
  ),
  bad('an invented cipher suite', tls('server', 'cipher_suites: [TLS_ROT13]'), 'unknown cipher: TLS_ROT13'),
  bad("a cipher suite in OpenSSL's words", tls('server', 'cipher_suites: [ECDHE-RSA-AES128-GCM-SHA256]'), 'unknown cipher'),
  bad('no cipher suite for HTTP/2', tls('server-rsa', 'cipher_suites: [TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384]'), 'HTTP/2 needs one of'),
  good(
    'no cipher suite for HTTP/2, which is off',
    `${tls('server-rsa', 'cipher_suites: [TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384]')}http_server_config:\n  http2: false\n`,
  ),
  good('curves', tls('server', 'curve_preferences: [CurveP256, CurveP384, CurveP521, X25519]')),
  bad('an invented curve', tls('server', 'curve_preferences: [CurveP257]'), 'unknown curve: CurveP257'),

  good('HTTP/2 off', `${SERVER}http_server_config:\n  http2: false\n`),
  good('a word of YAML 1.1 for false', `${SERVER}http_server_config:\n  http2: no\n`),
  bad('HTTP/2 neither on nor off', 'http_server_config:\n  http2: perhaps\n', 'is neither true nor false'),
  good(
    'every header',
    'http_server_config:\n  headers:\n    Content-Security-Policy: "default-src \'self\'"\n    X-Frame-Options: deny\n    X-Content-Type-Options: nosniff\n    X-XSS-Protection: "1"\n    Strict-Transport-Security: max-age=31536000\n',
  ),
  good('frames from the same origin', 'http_server_config:\n  headers:\n    X-Frame-Options: sameorigin\n'),
  bad('a header that cannot be set', 'http_server_config:\n  headers:\n    Server: mine\n', 'HTTP header "Server" can not be configured'),
  bad('a header in small letters', 'http_server_config:\n  headers:\n    x-frame-options: deny\n', 'can not be configured'),
  bad('frames as nobody says it', 'http_server_config:\n  headers:\n    X-Frame-Options: DENY\n', 'expected one of deny, sameorigin'),
  bad('content types as nobody says it', 'http_server_config:\n  headers:\n    X-Content-Type-Options: sniff\n', 'expected one of nosniff'),

  good('users', `basic_auth_users:\n  alice: ${SECRET_HASH}\n  bob: ${SECRET_HASH.replace('$2b', '$2y')}\n`),
  good('users and TLS', `${SERVER}basic_auth_users:\n  alice: ${SECRET_HASH}\n`),
  bad('a password that is no hash', 'basic_auth_users:\n  alice: secret\n', 'basic_auth_users.alice: is no bcrypt hash'),
  bad('an empty password', 'basic_auth_users:\n  alice:\n', 'is no bcrypt hash'),
  bad('a hash that was cut', `basic_auth_users:\n  alice: ${SECRET_HASH.slice(0, 50)}\n`, 'is no bcrypt hash'),
  bad('a hash of cost 3', `basic_auth_users:\n  alice: ${SECRET_HASH.replace('$04', '$03')}\n`, 'is no bcrypt hash'),
  bad('a hash of cost 32', `basic_auth_users:\n  alice: ${SECRET_HASH.replace('$04', '$32')}\n`, 'is no bcrypt hash'),
  bad('users as a list', 'basic_auth_users:\n  - alice\n', 'is not a mapping'),

  good('a rate limit', 'rate_limit:\n  interval: 1s\n  burst: 5\n'),
  good('a rate limit that is off', 'rate_limit:\n  interval: 0\n'),
  good('a rate limit with a compound duration', 'rate_limit:\n  interval: 1m30.5s\n  burst: 1\n'),
  bad('a rate limit without a unit', 'rate_limit:\n  interval: "1.5"\n', 'is no duration'),
  bad('a burst that is no number', 'rate_limit:\n  interval: 1s\n  burst: many\n', 'is not a whole number'),
];
