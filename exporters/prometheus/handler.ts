import { AgentError } from '../../src/errors.ts';
import { refuse, send } from './answers.ts';
import type { Request, Response } from './answers.ts';
import { GroupSelectionError, parseGroupSelection } from './group-selection.ts';
import { negotiateEncoding, negotiateFormat } from './negotiation.ts';
import type { Pages } from './pages.ts';
import type { EscapingScheme } from './escaping.ts';

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

/** Answers what the endpoint serves: metrics, health, readiness, and a page for people. GET and HEAD only, no bodies, no files. */
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
    const page = await this.#options.pages.page({ format, escaping: this.#options.pageEscaping(escaping), selection });
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
