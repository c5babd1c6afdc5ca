import { failureText } from '../src/regular-file.ts';
import type { DocumentNode } from './document.ts';
import { itemPath, memberPath, quote } from './problems.ts';
import type { Problems } from './problems.ts';

export interface SubstitutionOptions {
  readonly env: Readonly<Record<string, string | undefined>>;
  /** Reads a whole file as text, or throws. */
  readonly readFile: (path: string) => string;
  readonly problems: Problems;
}

const VARIABLE = /^(?:env:)?([A-Za-z_][A-Za-z0-9_]{0,199})(?::-(.*))?$/s;
const MAX_RESULT_LENGTH = 65_536;

/**
 * Replaces `${env:NAME}`, `${NAME}`, `${NAME:-default}` and `${file:/path}` in every text below a node; `$$` stands for one `$`.
 * A replacement is never searched for `${…}` again.
 */
export function substitute(node: DocumentNode, path: string, options: SubstitutionOptions): DocumentNode {
  switch (node.kind) {
    case 'map':
      return {
        ...node,
        entries: new Map([...node.entries].map(([key, value]) => [key, substitute(value, memberPath(path, key), options)])),
      };
    case 'list':
      return {
        ...node,
        items: node.items.map((item, index) => (item === undefined ? undefined : substitute(item, itemPath(path, index), options))),
      };
    case 'scalar': {
      if (typeof node.value !== 'string' || !node.value.includes('$')) return node;
      const fail = (message: string): undefined => {
        options.problems.error(path, message, node.at);
      };
      const expanded = expand(node.value, options, fail);
      if (expanded.replaced && expanded.text.length > MAX_RESULT_LENGTH) fail('is too long after substitution');
      return expanded.replaced ? { ...node, value: expanded.text, expression: node.value } : { ...node, value: expanded.text };
    }
  }
}

function expand(text: string, options: SubstitutionOptions, fail: (message: string) => undefined): { text: string; replaced: boolean } {
  let result = '';
  let replaced = false;
  for (let index = 0; index < text.length;) {
    const dollar = text.indexOf('$', index);
    if (dollar < 0) return { text: result + text.slice(index), replaced };
    result += text.slice(index, dollar);
    const next = text[dollar + 1];
    if (next !== '{') {
      result += '$';
      index = dollar + (next === '$' ? 2 : 1);
      continue;
    }
    const end = text.indexOf('}', dollar);
    if (end < 0) {
      fail('has a ${ without a }; write $${ for the characters themselves');
      return { text: result, replaced };
    }
    result += reference(text.slice(dollar + 2, end), options, fail) ?? '';
    replaced = true;
    index = end + 1;
  }
  return { text: result, replaced };
}

function reference(body: string, options: SubstitutionOptions, fail: (message: string) => undefined): string | undefined {
  if (body.startsWith('file:')) return fileText(body.slice('file:'.length), options, fail);
  const match = VARIABLE.exec(body);
  if (match === null)
    return fail(`has a reference that is none of \${env:NAME}, \${NAME:-default}, \${file:/path}: ${quote(`\${${body}}`)}`);
  const [, name = '', otherwise] = match;
  const value = options.env[name];
  if (otherwise !== undefined) return value === undefined || value === '' ? otherwise : value;
  return value ?? fail(`refers to the variable ${name}, which is not set; \${${name}:-default} gives it a default`);
}

function fileText(path: string, options: SubstitutionOptions, fail: (message: string) => undefined): string | undefined {
  if (!path.startsWith('/') || path.includes('\0')) return fail(`refers to a file without an absolute path: ${quote(path)}`);
  try {
    return options.readFile(path).replace(/\r?\n$/, '');
  } catch (thrown) {
    return fail(`refers to the file ${quote(path)}, which cannot be read: ${failureText(thrown)}`);
  }
}
