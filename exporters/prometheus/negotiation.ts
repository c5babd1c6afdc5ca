import { ESCAPING_SCHEMES } from './naming.ts';
import type { EscapingScheme } from './naming.ts';

/** The format of a page; `text` is shared by versions 0.0.4 and 1.0.0, which differ in the names that a client has promised to take. */
export type PageFormat = 'text' | 'openmetrics' | 'protobuf';

export interface NegotiatedFormat {
  readonly format: PageFormat;
  readonly escaping: EscapingScheme;
  readonly contentType: string;
}

export type ContentEncoding = 'identity' | 'gzip' | 'zstd';

interface Clause {
  readonly type: string;
  readonly quality: number;
  readonly parameters: ReadonlyMap<string, string>;
}

const DEFAULT_FORMAT: NegotiatedFormat = {
  format: 'text',
  escaping: 'underscores',
  contentType: 'text/plain; version=0.0.4; charset=utf-8',
};

/** Headers are small; a client that lists more than this is not negotiating. */
const MAX_CLAUSES = 32;

/** Picks the page's format by `Accept`, the client's preference first; text 0.0.4 with legacy names when nothing fits or nothing is said. */
export function negotiateFormat(accept: string | undefined): NegotiatedFormat {
  for (const clause of clausesOf(accept)) {
    const format = formatOf(clause);
    if (format !== undefined) return format;
  }
  return DEFAULT_FORMAT;
}

/** Picks the content encoding by `Accept-Encoding`; zstd before gzip where the client likes both the same. */
export function negotiateEncoding(acceptEncoding: string | undefined): ContentEncoding {
  const clauses = clausesOf(acceptEncoding);
  const qualityOf = (name: string): number => clauses.find(({ type }) => type === name)?.quality ?? 0;
  const zstd = qualityOf('zstd');
  const gzip = qualityOf('gzip');
  if (zstd === 0 && gzip === 0) return 'identity';
  return zstd >= gzip ? 'zstd' : 'gzip';
}

function formatOf(clause: Clause): NegotiatedFormat | undefined {
  const version = clause.parameters.get('version');
  switch (clause.type) {
    case 'application/openmetrics-text':
      // A client that names no version, or 0.0.1, takes OpenMetrics as it was before 1.0; the page is the same.
      if (version !== undefined && version !== '1.0.0' && version !== '0.0.1') return undefined;
      return escaped('openmetrics', `application/openmetrics-text; version=${version ?? '0.0.1'}; charset=utf-8`, clause);
    case 'application/vnd.google.protobuf':
      if (clause.parameters.get('proto') !== 'io.prometheus.client.MetricFamily') return undefined;
      if (clause.parameters.get('encoding') !== 'delimited') return undefined;
      return escaped('protobuf', 'application/vnd.google.protobuf; proto=io.prometheus.client.MetricFamily; encoding=delimited', clause);
    case 'text/plain':
      if (version !== undefined && version !== '0.0.4' && version !== '1.0.0') return undefined;
      return escaped('text', `text/plain; version=${version ?? '0.0.4'}; charset=utf-8`, clause);
    case 'text/*':
    case '*/*':
      return DEFAULT_FORMAT;
    default:
      return undefined;
  }
}

function escaped(format: PageFormat, contentType: string, { parameters }: Clause): NegotiatedFormat {
  const asked = parameters.get('escaping');
  const escaping = ESCAPING_SCHEMES.find((scheme) => scheme === asked);
  if (escaping === undefined) return { format, escaping: 'underscores', contentType };
  return { format, escaping, contentType: `${contentType}; escaping=${escaping}` };
}

/** Clauses of an `Accept`-like header, best first; those with quality 0 left out. */
function clausesOf(header: string | undefined): readonly Clause[] {
  if (header === undefined) return [];
  return header
    .split(',', MAX_CLAUSES)
    .map((text) => clauseOf(text))
    .filter(({ quality }) => quality > 0)
    .toSorted((a, b) => b.quality - a.quality);
}

function clauseOf(text: string): Clause {
  const [type = '', ...rest] = text.split(';');
  const parameters = new Map<string, string>();
  for (const parameter of rest) {
    const [name = '', value = ''] = parameter.split('=', 2);
    parameters.set(name.trim().toLowerCase(), value.trim().replaceAll('"', ''));
  }
  const quality = Number(parameters.get('q') ?? '1');
  return { type: type.trim().toLowerCase(), quality: Number.isFinite(quality) ? quality : 0, parameters };
}
