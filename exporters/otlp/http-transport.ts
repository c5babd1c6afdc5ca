import { Agent as HttpAgent, request as httpRequest } from 'node:http';
import type { IncomingMessage, OutgoingHttpHeaders } from 'node:http';
import type { Agent as HttpsAgent } from 'node:https';
import type { Clock } from '../../src/host.ts';
import type { HeaderSource, TlsContext, TlsSource } from './credentials.ts';
import type { OtlpRequest } from './record.ts';
import { MAX_RESPONSE_BYTES, readResponseBody } from './response-body.ts';
import { acceptedVerdict, attempt, refusedVerdict, retryAfterMs, retryVerdict, statusMessage } from './verdict.ts';
import type { Transport, Verdict } from './verdict.ts';

export interface HttpTransportOptions {
  readonly endpoint: string;
  readonly headers: HeaderSource;
  readonly tls: TlsSource;
  /** For one attempt, from connecting to the end of the response. */
  readonly timeoutMs: number;
  readonly userAgent: string;
  readonly clock: Clock;
}

/** OTLP specification, "Retryable Response Codes": these and no others. */
const RETRYABLE_STATUS: ReadonlySet<number | undefined> = new Set([429, 502, 503, 504]);
/** Receivers that do not know a compression answer with one of these. */
const DOUBTFUL_ENCODING_STATUS: ReadonlySet<number | undefined> = new Set([400, 415]);

/** OTLP/HTTP: one connection, kept alive, one request at a time. Redirects are not followed: they would carry the headers elsewhere. */
export class HttpTransport implements Transport {
  readonly #options: HttpTransportOptions;
  readonly #url: URL;
  #agent: HttpAgent | HttpsAgent | undefined;
  #context: TlsContext | undefined;

  constructor(options: HttpTransportOptions) {
    this.#options = options;
    this.#url = new URL(options.endpoint);
  }

  send(request: OtlpRequest, signal: AbortSignal): Promise<Verdict> {
    const { timeoutMs, clock } = this.#options;
    return attempt({ signal, timeoutMs, clock }, async (ending) => {
      const headers = await this.#headers(request);
      return await this.#post(request, headers, await this.#freshAgent(), ending);
    });
  }

  async close(): Promise<void> {
    this.#agent?.destroy();
  }

  async #headers(request: OtlpRequest): Promise<OutgoingHttpHeaders> {
    return {
      ...(await this.#options.headers.current()),
      'user-agent': this.#options.userAgent,
      'content-type': request.contentType,
      'content-length': request.body.length,
      ...(request.contentEncoding === 'none' ? {} : { 'content-encoding': request.contentEncoding }),
    };
  }

  /** The kept connection, or a new one when the TLS files changed. */
  async #freshAgent(): Promise<HttpAgent | HttpsAgent> {
    if (this.#url.protocol !== 'https:') return (this.#agent ??= new HttpAgent({ keepAlive: true, maxSockets: 1 }));
    const context = await this.#options.tls.current();
    if (this.#agent === undefined || context !== this.#context) {
      this.#agent?.destroy();
      const { Agent: Https } = process.getBuiltinModule('node:https');
      this.#agent = new Https({ ...context, keepAlive: true, maxSockets: 1 });
      this.#context = context;
    }
    return this.#agent;
  }

  async #post(request: OtlpRequest, headers: OutgoingHttpHeaders, agent: HttpAgent | HttpsAgent, signal: AbortSignal): Promise<Verdict> {
    const message = { url: this.#url, headers, agent, body: request.body, signal };
    const first = await exchange(message);
    // A server may close an idle connection at the moment it is used again: that says nothing about the request.
    const response = first === 'stale_connection' ? await exchange(message) : first;
    if (response === 'stale_connection') return retryVerdict('connection closed before a response');
    return await this.#judge(response, request, signal);
  }

  async #judge(response: IncomingMessage, request: OtlpRequest, signal: AbortSignal): Promise<Verdict> {
    const { statusCode = 0, headers } = response;
    const body = await readResponseBody(response, MAX_RESPONSE_BYTES, signal);
    const bytes = body.kind === 'whole' ? body.bytes : Buffer.alloc(0);
    if (statusCode >= 200 && statusCode < 300) {
      if (body.kind === 'too_large') return refusedVerdict(`HTTP ${statusCode} with a response above ${MAX_RESPONSE_BYTES} bytes`);
      // The status was the verdict; what a cut-off body would have added is lost.
      return acceptedVerdict(bytes, headers['content-type'], request.points);
    }
    const message = `HTTP ${statusCode} ${statusMessage(bytes, headers['content-type'])}`.trimEnd();
    if (!RETRYABLE_STATUS.has(statusCode)) return refusedVerdict(message, DOUBTFUL_ENCODING_STATUS.has(statusCode));
    const waitMs = retryAfterMs(headers['retry-after'], headers.date, this.#options.clock.nowMs());
    return retryVerdict(message, waitMs === undefined ? {} : { retryAfterMs: waitMs });
  }
}

interface Exchange {
  readonly url: URL;
  readonly headers: OutgoingHttpHeaders;
  readonly agent: HttpAgent | HttpsAgent;
  readonly body: Buffer;
  readonly signal: AbortSignal;
}

/** Sends the request and waits for the head of the response. Rejects when there is none. */
function exchange({ url, headers, agent, body, signal }: Exchange): Promise<IncomingMessage | 'stale_connection'> {
  return new Promise((resolve, reject) => {
    const send = url.protocol === 'https:' ? process.getBuiltinModule('node:https').request : httpRequest;
    const outgoing = send(url, { method: 'POST', headers, agent, signal });
    outgoing.on('response', resolve);
    outgoing.on('error', (error: NodeJS.ErrnoException) => {
      const isReset = error.code === 'ECONNRESET' || error.code === 'EPIPE';
      if (outgoing.reusedSocket && isReset) resolve('stale_connection');
      else reject(error);
    });
    outgoing.end(body);
  });
}
