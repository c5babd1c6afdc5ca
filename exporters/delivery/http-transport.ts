import { Agent as HttpAgent, request as httpRequest } from 'node:http';
import type { IncomingHttpHeaders, IncomingMessage, OutgoingHttpHeaders } from 'node:http';
import type { Agent as HttpsAgent } from 'node:https';
import { Socket } from 'node:net';
import type { Clock } from '../../src/host.ts';
import { shownUrl } from '../../src/shown-url.ts';
import type { RequestHeaders, TlsContext, TlsSource } from './credentials.ts';
import { attempt, noReceiver, unlessAborted } from './outcome.ts';
import type { SendOutcome, Transport } from './outcome.ts';
import { openTunnel } from './proxy.ts';
import type { Proxy } from './proxy.ts';
import type { DeliveryRequest } from './request.ts';
import { MAX_RESPONSE_BYTES, readResponseBody } from './response-body.ts';
import type { ResponseBody } from './response-body.ts';

/** The facts by which a response is classified. */
export interface HttpResponse {
  readonly status: number;
  readonly headers: IncomingHttpHeaders;
  readonly body: ResponseBody;
  /** The URL to which the request was sent. */
  readonly url: URL;
  /** Data points of the request. */
  readonly points: number;
  readonly nowMs: number;
}

export interface TransportOptions {
  readonly endpoint: string;
  readonly headers: RequestHeaders;
  readonly tls: TlsSource;
  /** For one attempt, from connecting to the end of the response. */
  readonly timeoutMs: number;
  readonly userAgent: string;
  readonly clock: Clock;
  readonly proxy?: Proxy;
  /** Adds a remedy to a failed connection; undefined when none is known. */
  readonly remedy?: (code: string, url: URL) => string | undefined;
}

export interface HttpTransportOptions extends TransportOptions {
  readonly classify: (response: HttpResponse) => SendOutcome;
}

/**
 * POSTs requests over HTTP/1.1: one connection, kept alive, one request at a time. Redirects are not followed: they would carry the
 * headers elsewhere.
 */
export class HttpTransport implements Transport {
  readonly #options: HttpTransportOptions;
  readonly #url: URL;
  #agent: HttpAgent | HttpsAgent | undefined;
  #context: TlsContext | undefined;

  constructor(options: HttpTransportOptions) {
    this.#options = options;
    this.#url = new URL(options.endpoint);
  }

  send(request: DeliveryRequest, signal: AbortSignal): Promise<SendOutcome> {
    const { timeoutMs, clock } = this.#options;
    const options = { signal, timeoutMs, clock, target: this.#target, remedy: (code: string) => this.#remedy(code) };
    return attempt(options, async (ending) => {
      try {
        return await this.#once(request, ending);
      } catch (thrown) {
        if (!this.#options.tls.addSystemRoots(thrown)) throw thrown;
        return await this.#once(request, ending);
      }
    });
  }

  async #once(request: DeliveryRequest, signal: AbortSignal): Promise<SendOutcome> {
    const [headers, agent] = await unlessAborted(Promise.all([this.#headers(request), this.#freshAgent()]), signal);
    return await this.#post({ request, headers, agent, signal });
  }

  get #target(): string {
    const { proxy } = this.#options;
    return `${shownUrl(this.#url)}${proxy === undefined ? '' : ` through the proxy ${shownUrl(proxy.url)}`}`;
  }

  /** Without TLS only the proxy is connected to: what happens to the connection is the proxy's doing. */
  #remedy(code: string): string | undefined {
    const { proxy, remedy } = this.#options;
    if (proxy !== undefined && this.#url.protocol === 'http:') return 'check the proxy and HTTP_PROXY';
    return remedy?.(code, this.#url);
  }

  async close(): Promise<void> {
    this.#agent?.destroy();
  }

  async #headers(request: DeliveryRequest): Promise<OutgoingHttpHeaders> {
    return {
      ...(await this.#options.headers.current(request)),
      'user-agent': this.#options.userAgent,
      'content-type': request.contentType,
      'content-length': request.body.length,
      ...(request.contentEncoding === 'none' ? {} : { 'content-encoding': request.contentEncoding }),
    };
  }

  /** The kept connection, or a new one when the TLS files changed. */
  async #freshAgent(): Promise<HttpAgent | HttpsAgent> {
    if (this.#url.protocol !== 'https:') return (this.#agent ??= this.#plainAgent());
    const context = await this.#options.tls.current();
    if (this.#agent === undefined || context !== this.#context) {
      this.#agent?.destroy();
      this.#agent = this.#tlsAgent(context);
      this.#context = context;
    }
    return this.#agent;
  }

  /** Without TLS a proxy takes whole requests: only the connection to the proxy itself may be encrypted. */
  #plainAgent(): HttpAgent | HttpsAgent {
    const { Agent } = this.#options.proxy?.url.protocol === 'https:' ? process.getBuiltinModule('node:https') : { Agent: HttpAgent };
    return new Agent({ keepAlive: true, maxSockets: 1 });
  }

  #tlsAgent(context: TlsContext): HttpsAgent {
    const { Agent } = process.getBuiltinModule('node:https');
    const agent = new Agent({ ...context, keepAlive: true, maxSockets: 1 });
    const { proxy, timeoutMs } = this.#options;
    if (proxy === undefined) return agent;
    const url = this.#url;
    const { connect } = process.getBuiltinModule('node:tls');
    agent.createConnection = (_options, created) => {
      openTunnel(proxy, url, { timeoutMs }).then(
        (socket) => created?.(null, connect({ servername: url.hostname, ...context, socket })),
        // A socket is demanded besides the error, and not looked at.
        (error: Error) => created?.(error, new Socket()),
      );
      return undefined;
    };
    return agent;
  }

  async #post(message: Omit<Exchange, 'url' | 'proxy'>): Promise<SendOutcome> {
    const exchanged = { ...message, url: this.#url, proxy: this.#options.proxy };
    const first = await exchange(exchanged);
    // A server may close an idle connection at the moment it is used again: the request itself is not the reason.
    const response = first === 'stale_connection' ? await exchange(exchanged) : first;
    if (response === 'stale_connection') return noReceiver(`${shownUrl(this.#url)} closed the connection before a response`);
    const body = await readResponseBody(response, MAX_RESPONSE_BYTES, message.signal);
    const { points } = message.request;
    const nowMs = this.#options.clock.nowMs();
    return this.#options.classify({ status: response.statusCode ?? 0, headers: response.headers, body, url: this.#url, points, nowMs });
  }
}

interface Exchange {
  readonly url: URL;
  readonly proxy: Proxy | undefined;
  readonly request: DeliveryRequest;
  readonly headers: OutgoingHttpHeaders;
  readonly agent: HttpAgent | HttpsAgent;
  readonly signal: AbortSignal;
}

/** Sends the request and waits for the head of the response. Rejects when there is none. */
function exchange({ url, proxy, request, headers, agent, signal }: Exchange): Promise<IncomingMessage | 'stale_connection'> {
  return new Promise((resolve, reject) => {
    const options = { method: 'POST', headers, agent, signal };
    const viaProxy = url.protocol === 'http:' ? proxy : undefined;
    const target = viaProxy?.url ?? url;
    const send = target.protocol === 'https:' ? process.getBuiltinModule('node:https').request : httpRequest;
    // A proxy is given the whole URL instead of a path.
    const outgoing =
      viaProxy === undefined
        ? send(url, options)
        : send({
            ...options,
            host: viaProxy.url.hostname,
            port: viaProxy.url.port === '' ? undefined : viaProxy.url.port,
            path: url.href,
            headers: { ...headers, host: url.host, ...viaProxy.headers },
          });
    outgoing.on('response', resolve);
    outgoing.on('error', (error: NodeJS.ErrnoException) => {
      const isReset = error.code === 'ECONNRESET' || error.code === 'EPIPE';
      if (outgoing.reusedSocket && isReset) resolve('stale_connection');
      else reject(error);
    });
    outgoing.end(request.body);
  });
}
