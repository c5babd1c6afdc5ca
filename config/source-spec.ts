import type { Parsed } from './parsed.ts';
import { didYouMean } from './suggest.ts';

/** Where data come from, as `--source` and `source.spec` say it. */
export type SourceSpec =
  | { readonly kind: 'auto' }
  /** AWS's binary as a child process; without a path it is looked up. */
  | { readonly kind: 'neuron-monitor'; readonly path?: string }
  | { readonly kind: 'native' }
  | { readonly kind: 'stdin' }
  | { readonly kind: 'file'; readonly path: string }
  | { readonly kind: 'virtual'; readonly instanceType?: string };

export const SOURCE_SPEC_PATTERN =
  '^(auto|native|-|neuron-monitor(:[^\\u0000]+)?|file:[^\\u0000]+|virtual(:[a-z][a-z0-9-]{0,31}\\.[a-z0-9-]{1,31})?)$';

const WHOLE = new RegExp(SOURCE_SPEC_PATTERN);

/** Reads `auto`, `native`, `-`, `neuron-monitor[:PATH]`, `file:PATH` or `virtual[:INSTANCE_TYPE]`. */
export function parseSourceSpec(text: string): Parsed<SourceSpec> {
  if (!WHOLE.test(text) || text.length > 4096) return { ok: false, reason: reasonFor(text) };
  const colon = text.indexOf(':');
  const kind = colon < 0 ? text : text.slice(0, colon);
  const rest = colon < 0 ? undefined : text.slice(colon + 1);
  switch (kind) {
    case 'native':
      return { ok: true, value: { kind } };
    case '-':
      return { ok: true, value: { kind: 'stdin' } };
    case 'neuron-monitor':
      return { ok: true, value: rest === undefined ? { kind } : { kind, path: rest } };
    case 'file':
      return { ok: true, value: { kind, path: rest ?? '' } };
    case 'virtual':
      return { ok: true, value: rest === undefined ? { kind } : { kind, instanceType: rest } };
    default:
      return { ok: true, value: { kind: 'auto' } };
  }
}

function reasonFor(text: string): string {
  if (/^(neuron-monitor|file|virtual):$/.test(text)) return 'says nothing after the colon';
  if (text === 'file') return 'names no file; write "file:PATH"';
  if (text.startsWith('virtual:')) return 'does not name an instance type such as "virtual:trn2.48xlarge"';
  const [word = ''] = text.split(':', 1);
  const kinds = 'auto, native, - (stdin), neuron-monitor[:PATH], file:PATH or virtual[:INSTANCE_TYPE]';
  return `is not a source: ${kinds}${didYouMean(word, ['auto', 'native', 'neuron-monitor', 'file', 'virtual'])}`;
}
