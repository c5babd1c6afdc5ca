import { Buffer } from 'node:buffer';
import type { IncomingMessage, ServerResponse } from 'node:http';
import type { Http2ServerRequest, Http2ServerResponse } from 'node:http2';
import { AgentError } from '../../src/errors.ts';
import { METRIC_GROUPS } from '../../src/readings.ts';
import type { EscapingScheme } from './naming.ts';
import { negotiateEncoding, negotiateFormat } from './negotiation.ts';
import type { PageRequest, Pages } from './page.ts';

export type Request = IncomingMessage | Http2ServerRequest;
export type Response = ServerResponse | Http2ServerResponse;

/** How one scrape ended, for self-metrics. */
export type ScrapeOutcome =
  | { readonly outcome: 'served'; readonly bytes: number }
  | { readonly outcome: 'failed'; readonly error: AgentError }
  | { readonly outcome: 'refused'; readonly status: number };

export interface HandlerOptions {
  readonly pages: Pages;
  readonly telemetry_path: string;
  /** The page of metrics answers on every path, as the AWS script's does. */
  readonly anyPath: boolean;
  readonly max_requests: number;
  readonly isReady: () => boolean;
  readonly landingPage: () => string;
  /** Escaping schemes that give the same names are one page. */
  readonly pageEscaping: (asked: EscapingScheme) => EscapingScheme;
  readonly onScrape: (outcome: ScrapeOutcome) => void;
}

/** Bytes of a query string; `?collect[]=` for every group needs a quarter of it. */
const MAX_QUERY_BYTES = 2048;
/** Header fields of one request. */
const MAX_HEADER_FIELDS = 64;

/** Answers requests for metrics, health, readiness, and a page for people. GET and HEAD only, no bodies, no files. */
export class Handler {
  readonly #options: HandlerOptions;
  #inFlight = 0;

  constructor(options: HandlerOptions) {
    this.#options = options;
  }

  async handle(request: Request, response: Response): Promise<void> {
    const refusal = refusalOf(request);
    if (refusal !== undefined) {
      this.#refuse(response, refusal.status, refusal.reason);
      return;
    }
    const [path, query] = splitOnce(request.url ?? '', '?');
    if (path === this.#options.telemetry_path || this.#options.anyPath) {
      await this.#metrics(request, response, query);
      return;
    }
    switch (path) {
      case '/-/healthy':
        send(request, response, 200, 'Healthy.\n');
        return;
      case '/-/ready':
        if (this.#options.isReady()) send(request, response, 200, 'Ready.\n');
        else send(request, response, 503, 'Not ready.\n');
        return;
      case '/':
        response.setHeader('Content-Security-Policy', "default-src 'none'; style-src 'unsafe-inline'");
        send(request, response, 200, this.#options.landingPage(), 'text/html; charset=utf-8');
        return;
      default:
        this.#refuse(response, 404, 'Not found.');
    }
  }

  async #metrics(request: Request, response: Response, query: string): Promise<void> {
    if (this.#inFlight >= this.#options.max_requests) {
      this.#refuse(response, 503, `Limit of concurrent requests reached (${this.#options.max_requests}), try again later.`);
      return;
    }
    this.#inFlight += 1;
    response.once('close', () => {
      this.#inFlight -= 1;
    });
    try {
      await this.#serve(request, response, query);
    } catch (thrown) {
      if (thrown instanceof GroupSelectionError) {
        this.#refuse(response, 400, thrown.message);
        return;
      }
      this.#options.onScrape({ outcome: 'failed', error: AgentError.from(thrown, 'internal', 'prometheus') });
      if (response.headersSent) response.destroy();
      else send(request, response, 500, 'Collecting or encoding the metrics failed; see the log of the agent.\n');
    }
  }

  async #serve(request: Request, response: Response, query: string): Promise<void> {
    const { format, escaping, contentType } = negotiateFormat(request.headers.accept);
    const encoding = negotiateEncoding(headerText(request.headers['accept-encoding']));
    const selection = parseGroupSelection(query);
    const page = this.#options.pages.page({ format, escaping: this.#options.pageEscaping(escaping), selection });
    const release = page.hold();
    response.once('close', release);
    if (response.closed) release();
    const body = await page.encoded(encoding);
    response.setHeader('Content-Type', contentType);
    response.setHeader('Vary', 'Accept, Accept-Encoding');
    if (encoding !== 'identity') response.setHeader('Content-Encoding', encoding);
    response.setHeader('Content-Length', body.length);
    response.statusCode = 200;
    if (request.method === 'HEAD') response.end();
    else response.end(body);
    this.#options.onScrape({ outcome: 'served', bytes: body.length });
  }

  #refuse(response: Response, status: number, reason: string): void {
    this.#options.onScrape({ outcome: 'refused', status });
    refuse(response, status, reason);
  }
}

function refusalOf(request: Request): { readonly status: number; readonly reason: string } | undefined {
  if (request.method !== 'GET' && request.method !== 'HEAD') return { status: 405, reason: 'Only GET and HEAD are served.' };
  if (hasBody(request)) return { status: 413, reason: 'Requests with a body are not served.' };
  if (request.rawHeaders.length > MAX_HEADER_FIELDS * 2) return { status: 431, reason: `More than ${MAX_HEADER_FIELDS} header fields.` };
  const url = request.url ?? '';
  if (!url.startsWith('/')) return { status: 400, reason: 'The request target is not a path.' };
  if (url.length > MAX_QUERY_BYTES) return { status: 414, reason: 'The request target is too long.' };
  return undefined;
}

function hasBody({ headers }: Request): boolean {
  if (headers['transfer-encoding'] !== undefined) return true;
  const length = headers['content-length'];
  return length !== undefined && Number(length) !== 0;
}

function headerText(header: string | string[] | undefined): string | undefined {
  return typeof header === 'string' ? header : header?.join(',');
}

function splitOnce(text: string, separator: string): readonly [string, string] {
  const at = text.indexOf(separator);
  return at === -1 ? [text, ''] : [text.slice(0, at), text.slice(at + 1)];
}

/** A small answer. */
export function send(request: Request, response: Response, status: number, body: string, contentType = 'text/plain; charset=utf-8'): void {
  response.setHeader('Content-Type', contentType);
  response.setHeader('X-Content-Type-Options', 'nosniff');
  response.setHeader('Content-Length', Buffer.byteLength(body));
  response.statusCode = status;
  if (request.method === 'HEAD') response.end();
  else response.end(body);
}

/** Ends a request that is not served, and its connection where the client may still be sending. */
export function refuse(response: Response, status: number, reason: string): void {
  if (status === 405) response.setHeader('Allow', 'GET, HEAD');
  if (!('stream' in response) && CLOSING_STATUS.has(status)) response.setHeader('Connection', 'close');
  response.setHeader('Content-Type', 'text/plain; charset=utf-8');
  response.setHeader('X-Content-Type-Options', 'nosniff');
  response.statusCode = status;
  response.end(`${reason}\n`);
}

const CLOSING_STATUS: ReadonlySet<number> = new Set([405, 413, 414, 431, 503]);

/** The query asks for an unknown group, or for two things at once; the message is for the client. */
export class GroupSelectionError extends Error {
  override readonly name = 'GroupSelectionError';
}

/**
 * Reads `?collect[]=GROUP` (only these metric groups) or `?exclude[]=GROUP` (all but these), as node_exporter takes them; other
 * parameters are ignored. Undefined when the query selects nothing.
 */
export function parseGroupSelection(query: string): PageRequest['selection'] {
  if (query === '') return undefined;
  const parameters = new URLSearchParams(query);
  const collect = groupsOf(parameters.getAll('collect[]'));
  const exclude = groupsOf(parameters.getAll('exclude[]'));
  if (collect.size > 0 && exclude.size > 0) throw new GroupSelectionError('Combined collect and exclude queries are not allowed.');
  if (collect.size > 0) return { key: `collect ${[...collect].toSorted().join(' ')}`, shows: (scope) => collect.has(scope) };
  if (exclude.size > 0) return { key: `exclude ${[...exclude].toSorted().join(' ')}`, shows: (scope) => !exclude.has(scope) };
  return undefined;
}

function groupsOf(names: readonly string[]): ReadonlySet<string> {
  const known: readonly string[] = METRIC_GROUPS;
  for (const name of names) {
    if (!known.includes(name))
      throw new GroupSelectionError(`Unknown metric group ${JSON.stringify(name.slice(0, 64))}; known: ${known.join(', ')}.`);
  }
  return new Set(names);
}

/** The facts on the landing page. */
export interface LandingInfo {
  readonly version: string;
  readonly path: string;
  readonly isReady: boolean;
  /** Returns the source of each metric group, now. */
  readonly sources: Iterable<readonly [group: string, source: string]>;
}

/** A small page for people who open the endpoint in a browser. */
export function landingPage({ version, path, isReady, sources }: LandingInfo): string {
  const rows = [...sources].map(([group, source]) => `<tr><td>${escapeHtml(group)}</td><td>${escapeHtml(source)}</td></tr>`);
  const table =
    rows.length === 0
      ? '<p>No metric group has delivered data yet.</p>'
      : `<table><tr><th>Metric group</th><th>Source</th></tr>${rows.join('')}</table>`;
  return `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>neuron-otel</title>
<style>body{font:16px/1.5 system-ui,sans-serif;margin:2rem auto;max-width:46rem;padding:0 1rem}td,th{padding:.1rem 1.5rem .1rem 0;text-align:left}</style>
</head>
<body>
<h1>neuron-otel ${escapeHtml(version)}</h1>
<p>OpenTelemetry agent for AWS Neuron hosts.</p>
<ul>
<li><a href="${escapeHtml(path)}">Metrics</a></li>
<li><a href="/-/healthy">Health</a></li>
<li><a href="/-/ready">Readiness</a>: ${isReady ? 'ready' : 'not ready'}</li>
</ul>
${table}
</body>
</html>
`;
}

const ENTITIES: ReadonlyMap<string, string> = new Map([
  ['&', '&amp;'],
  ['<', '&lt;'],
  ['>', '&gt;'],
  ['"', '&quot;'],
  ["'", '&#39;'],
]);

function escapeHtml(text: string): string {
  return text.replaceAll(/[&<>"']/g, (character) => ENTITIES.get(character) ?? '');
}
