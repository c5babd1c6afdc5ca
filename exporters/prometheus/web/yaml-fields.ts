import { isMap, isScalar, isSeq, parseAllDocuments } from 'yaml';
import type { Node } from 'yaml';

/** Collects what is wrong with a file, each with its path in it. */
export class Problems {
  readonly list: string[] = [];

  add(path: string, problem: string): undefined {
    this.list.push(path === '' ? problem : `${path}: ${problem}`);
    return undefined;
  }
}

/**
 * Reads the first YAML document of a text as exporter-toolkit's reader (yaml.v2, strict) does: YAML 1.1 words for booleans,
 * plain scalars of any kind where text is wanted, null as absent, unknown and repeated members refused.
 */
export function readYaml(text: string, problems: Problems): Node | undefined {
  const documents = parseAllDocuments(text, { version: '1.1', uniqueKeys: true });
  const [document] = 'empty' in documents ? [] : documents;
  for (const { message } of document?.errors ?? []) problems.add('', message.split('\n')[0] ?? message);
  return document?.contents ?? undefined;
}

/** Members of a mapping by name; undefined when it is absent or null, and when it is something else, which is a problem. */
export function membersOf(
  node: unknown,
  path: string,
  allowed: readonly string[] | undefined,
  problems: Problems,
): ReadonlyMap<string, unknown> | undefined {
  if (isAbsent(node)) return undefined;
  if (!isMap(node)) return problems.add(path, 'is not a mapping');
  const members = new Map<string, unknown>();
  for (const { key, value } of node.items) {
    const name = isScalar(key) ? String(key.value) : '';
    if (allowed?.includes(name) === false) problems.add(path, `unknown member ${JSON.stringify(name)}`);
    else members.set(name, value);
  }
  return members;
}

/** Text of a scalar as it stands in the file; undefined when absent. */
export function textOf(node: unknown, path: string, problems: Problems): string | undefined {
  if (isAbsent(node)) return undefined;
  if (!isScalar(node)) return problems.add(path, 'is not text');
  return typeof node.value === 'string' ? node.value : (node.source ?? String(node.value));
}

export function booleanOf(node: unknown, path: string, problems: Problems): boolean | undefined {
  if (isAbsent(node)) return undefined;
  if (isScalar(node) && typeof node.value === 'boolean') return node.value;
  return problems.add(path, 'is neither true nor false');
}

export function integerOf(node: unknown, path: string, problems: Problems): number | undefined {
  if (isAbsent(node)) return undefined;
  if (isScalar(node) && typeof node.value === 'number' && Number.isSafeInteger(node.value)) return node.value;
  return problems.add(path, 'is not a whole number');
}

/** Texts of a list; a single text stands for a list of one. */
export function textsOf(node: unknown, path: string, problems: Problems): readonly string[] | undefined {
  if (isAbsent(node)) return undefined;
  if (!isSeq(node)) {
    const text = textOf(node, path, problems);
    return text === undefined ? undefined : [text];
  }
  return node.items.flatMap((item, index) => textOf(item, `${path}[${index}]`, problems) ?? []);
}

function isAbsent(node: unknown): boolean {
  return node === undefined || node === null || (isScalar(node) && node.value === null);
}
