import type { IncomingMessage, OutgoingHttpHeaders } from 'node:http';
import { BlockList, isIP } from 'node:net';
import type { Socket } from 'node:net';
import type { Logger } from '../../src/log.ts';
import { shownUrl } from '../../src/shown-url.ts';

type Variables = Readonly<Record<string, string | undefined>>;

/** A forward proxy that requests go through. */
export interface Proxy {
  readonly url: URL;
  /** The proxy's credentials, if its URL has any. */
  readonly headers: OutgoingHttpHeaders;
}

/**
 * Returns the proxy for a destination as Go's `httpproxy` chooses it, which the Collector uses: `HTTPS_PROXY` or `HTTP_PROXY` by the
 * scheme of the destination, in upper or lower case, unless `NO_PROXY` names it. Loopback addresses never go through a proxy. gRPC
 * without TLS follows `HTTPS_PROXY` where `HTTP_PROXY` is not set.
 */
export function proxyFor(
  destination: URL,
  env: Variables,
  options: { readonly isGrpc?: boolean; readonly logger: Logger },
): Proxy | undefined {
  const variable = (name: string): string | undefined =>
    [env[name], env[name.toLowerCase()]].find((value) => value !== undefined && value !== '');
  const https = variable('HTTPS_PROXY');
  const text = destination.protocol === 'https:' ? https : (variable('HTTP_PROXY') ?? (options.isGrpc === true ? https : undefined));
  if (text === undefined || isLoopback(destination.hostname) || isExcepted(destination, variable('NO_PROXY') ?? '')) return undefined;
  const url = URL.parse(text.includes('://') ? text : `http://${text}`);
  if (url !== null && (url.protocol === 'http:' || url.protocol === 'https:')) return { url, headers: authorization(url) };
  options.logger.warn({ proxy: shownUrl(text) }, 'a proxy variable holds no http:// or https:// URL and is not followed');
  return undefined;
}

function authorization({ username, password }: URL): OutgoingHttpHeaders {
  if (username === '' && password === '') return {};
  const credentials = Buffer.from(`${decodeURIComponent(username)}:${decodeURIComponent(password)}`).toString('base64');
  return { 'proxy-authorization': `Basic ${credentials}` };
}

function isLoopback(hostname: string): boolean {
  const host = withoutBrackets(hostname);
  return host === 'localhost' || host === '::1' || (isIP(host) === 4 && host.startsWith('127.'));
}

/** Entries of `NO_PROXY`: `*`, host names with all their subdomains, `.suffix`, addresses, networks, each with a port if it has one. */
function isExcepted({ hostname, port, protocol }: URL, list: string): boolean {
  const host = withoutBrackets(hostname).toLowerCase();
  const ownPort = port === '' ? (protocol === 'https:' ? '443' : '80') : port;
  return list
    .split(',')
    .map((entry) => entry.trim().toLowerCase())
    .some((entry) => entry !== '' && matches(entry, host, ownPort));
}

function matches(entry: string, host: string, port: string): boolean {
  if (entry === '*') return true;
  if (entry.includes('/')) return isInNetwork(entry, host);
  const withPort = /^(.*[^:]|\[.*\]):(\d+)$/.exec(entry);
  const named = isIP(entry) === 6 ? undefined : withPort;
  if (named?.[2] !== undefined && named[2] !== port) return false;
  const name = withoutBrackets(named?.[1] ?? entry).replace(/^\*(?=\.)/, '');
  if (name.startsWith('.')) return host.endsWith(name);
  return host === name || (isIP(host) === 0 && host.endsWith(`.${name}`));
}

function isInNetwork(entry: string, host: string): boolean {
  const [network = '', bits = ''] = entry.split('/');
  const family = isIP(network) === 6 ? 'ipv6' : 'ipv4';
  const isNetwork = isIP(network) > 0 && /^\d+$/.test(bits) && Number(bits) <= (family === 'ipv6' ? 128 : 32);
  if (!isNetwork || isIP(host) === 0) return false;
  const list = new BlockList();
  list.addSubnet(network, Number(bits), family);
  return list.check(host, isIP(host) === 6 ? 'ipv6' : 'ipv4');
}

function withoutBrackets(hostname: string): string {
  return hostname.replace(/^\[(.*)\]$/, '$1');
}

/** Asks the proxy for a connection to a host and returns it, as for HTTPS and HTTP/2. Rejects with the proxy's answer. */
export function openTunnel(
  proxy: Proxy,
  destination: URL,
  options: { readonly signal?: AbortSignal; readonly timeoutMs: number },
): Promise<Socket> {
  const port = destination.port === '' ? (destination.protocol === 'https:' ? '443' : '80') : destination.port;
  const authority = `${destination.hostname}:${port}`;
  const { request } = process.getBuiltinModule(proxy.url.protocol === 'https:' ? 'node:https' : 'node:http');
  return new Promise((resolve, reject) => {
    const connecting = request({
      method: 'CONNECT',
      host: withoutBrackets(proxy.url.hostname),
      port: proxy.url.port === '' ? undefined : proxy.url.port,
      path: authority,
      headers: { host: authority, ...proxy.headers },
      agent: false,
      timeout: options.timeoutMs,
      ...(options.signal === undefined ? {} : { signal: options.signal }),
    });
    connecting.on('connect', (response: IncomingMessage, socket: Socket, head: Buffer) => {
      if (response.statusCode === 200) {
        // A server of HTTP/2 speaks first.
        if (head.length > 0) socket.unshift(head);
        resolve(socket);
        return;
      }
      socket.destroy();
      reject(new ProxyError(proxy, `HTTP ${response.statusCode} to CONNECT ${authority}`));
    });
    connecting.on('timeout', () => connecting.destroy(new ProxyError(proxy, `no answer to CONNECT ${authority}`)));
    connecting.on('response', (response) => {
      response.destroy();
      reject(new ProxyError(proxy, `HTTP ${response.statusCode} to CONNECT ${authority}`));
    });
    connecting.on('error', (error: NodeJS.ErrnoException) =>
      reject(error instanceof ProxyError ? error : new ProxyError(proxy, error.code ?? error.message)),
    );
    connecting.end();
  });
}

/** Names the proxy, so that nobody looks for the fault at the receiver. */
class ProxyError extends Error {
  constructor(proxy: Proxy, what: string) {
    super(`the proxy ${shownUrl(proxy.url)} answered: ${what}`);
  }
}
