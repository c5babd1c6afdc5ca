import { isAlias, isMap, isScalar, isSeq, LineCounter, parseDocument } from 'yaml';
import type { Document, Node, Pair, YAMLError, YAMLMap } from 'yaml';
import { itemPath, memberPath, quote, ROOT } from './problems.ts';
import type { Position, Problems } from './problems.ts';

export type ScalarValue = string | number | boolean | null;

export interface ScalarNode {
  readonly kind: 'scalar';
  readonly value: ScalarValue;
  readonly at: Position;
  /** The text of the file before `${…}` was replaced to give `value`: the value itself may be a secret. */
  readonly expression?: string;
}

export interface ListNode {
  readonly kind: 'list';
  /** `undefined` where an item was refused, so that the others keep their index. */
  readonly items: readonly (DocumentNode | undefined)[];
  readonly at: Position;
}

export interface MapNode {
  readonly kind: 'map';
  readonly entries: ReadonlyMap<string, DocumentNode>;
  readonly keyPositions: ReadonlyMap<string, Position>;
  readonly at: Position;
}

/** A configuration file as a tree that remembers where everything stands. Keys that reach prototypes never get in. */
export type DocumentNode = ScalarNode | ListNode | MapNode;

export const MAX_FILE_BYTES = 1024 * 1024;
const MAX_DEPTH = 32;
const MAX_ALIASES = 100;
const MAX_NODES = 20_000;
const FORBIDDEN_KEYS: ReadonlySet<string> = new Set(['__proto__', 'prototype', 'constructor']);

/** Reads JSON or YAML 1.2, of which JSON is a part. Returns undefined when the syntax is broken; what is wrong goes to `problems`. */
export function readDocument(text: string, problems: Problems): DocumentNode | undefined {
  const lines = new LineCounter();
  let document: Document.Parsed;
  try {
    // The library's own check for duplicate keys takes quadratic time; ours is below.
    const options = { uniqueKeys: false, prettyErrors: false, lineCounter: lines, stringKeys: false } as const;
    document = parseDocument(text.replace(/^\uFEFF/, ''), options);
  } catch (thrown) {
    if (!(thrown instanceof RangeError)) throw thrown;
    problems.error(ROOT, 'is nested too deeply');
    return undefined;
  }
  const broken = [...document.errors, ...document.warnings];
  if (broken.length > 0) {
    reportSyntax(broken, lines, problems);
    return undefined;
  }
  if (document.contents === null) {
    problems.error(ROOT, 'is empty; an empty configuration is written {}');
    return undefined;
  }
  const reader = new TreeReader(document, lines, problems);
  const root = reader.read(document.contents, ROOT, 0);
  if (reader.nodes <= MAX_NODES) return root;
  problems.error(ROOT, `has more than ${MAX_NODES} values`);
  return undefined;
}

class TreeReader {
  readonly #document: Document.Parsed;
  readonly #lines: LineCounter;
  readonly #problems: Problems;
  #aliases = 0;
  /** Values read so far; nothing is read beyond the limit. */
  nodes = 0;

  constructor(document: Document.Parsed, lines: LineCounter, problems: Problems) {
    this.#document = document;
    this.#lines = lines;
    this.#problems = problems;
  }

  read(node: unknown, path: string, depth: number): DocumentNode | undefined {
    this.nodes += 1;
    if (this.nodes > MAX_NODES) return undefined;
    const at = this.#position(node);
    if (depth > MAX_DEPTH) return this.#refuse(path, 'is nested too deeply', at);
    if (node === null || node === undefined) return { kind: 'scalar', value: null, at };
    if (isAlias(node)) {
      this.#aliases += 1;
      if (this.#aliases > MAX_ALIASES) return this.#refuse(path, `is one alias too many; at most ${MAX_ALIASES} are followed`, at);
      const target = node.resolve(this.#document);
      if (target === undefined) return this.#refuse(path, `refers to an anchor that is not set: ${quote(node.source)}`, at);
      return this.read(target, path, depth + 1);
    }
    if (isMap(node)) return this.#readMap(node, path, depth, at);
    if (isSeq(node)) {
      const items = node.items.map((item, index) => this.read(item, itemPath(path, index), depth + 1));
      return { kind: 'list', items, at };
    }
    if (isScalar(node) && isScalarValue(node.value)) return { kind: 'scalar', value: node.value, at };
    return this.#refuse(path, 'is neither a text, a number, true, false, null, a list nor a map', at);
  }

  #readMap(map: YAMLMap, path: string, depth: number, at: Position): MapNode {
    const entries = new Map<string, DocumentNode>();
    const keyPositions = new Map<string, Position>();
    for (const pair of map.items) {
      const key = this.#readKey(pair, path, at);
      if (key === undefined) continue;
      const keyPath = memberPath(path, key);
      if (keyPositions.has(key)) {
        this.#problems.error(keyPath, 'is there twice', this.#position(pair.key));
        continue;
      }
      keyPositions.set(key, this.#position(pair.key));
      const value = this.read(pair.value, keyPath, depth + 1);
      if (value !== undefined) entries.set(key, value);
    }
    return { kind: 'map', entries, keyPositions, at };
  }

  #readKey(pair: Pair, path: string, mapAt: Position): string | undefined {
    const { key } = pair;
    const at = key === null ? mapAt : this.#position(key);
    if (!isScalar(key) || typeof key.value !== 'string') {
      this.#problems.error(path, 'has a key that is not a text; put it in quotes', at);
      return undefined;
    }
    if (FORBIDDEN_KEYS.has(key.value)) {
      this.#problems.error(memberPath(path, key.value), 'is not allowed as a key', at);
      return undefined;
    }
    return key.value;
  }

  #refuse(path: string, message: string, at: Position): undefined {
    this.#problems.error(path, message, at);
  }

  #position(node: unknown): Position {
    const range = isNode(node) ? node.range : undefined;
    return range === undefined || range === null ? NOWHERE : positionOf(range[0], this.#lines);
  }
}

const NOWHERE: Position = { line: 1, column: 1 };

function isNode(node: unknown): node is Node {
  return isScalar(node) || isMap(node) || isSeq(node) || isAlias(node);
}

function isScalarValue(value: unknown): value is ScalarValue {
  return value === null || typeof value === 'string' || typeof value === 'number' || typeof value === 'boolean';
}

function positionOf(offset: number, lines: LineCounter): Position {
  const { line, col } = lines.linePos(offset);
  return { line, column: col };
}

export function isNull(node: DocumentNode): boolean {
  return node.kind === 'scalar' && node.value === null;
}

/** Plain data of a node, for checks that take whole values. Objects have no prototype. */
export function plainValue(node: DocumentNode | undefined): unknown {
  if (node === undefined) return undefined;
  if (node.kind === 'scalar') return node.value;
  if (node.kind === 'list') return node.items.map(plainValue);
  const plain: Record<string, unknown> = Object.create(null);
  for (const [key, value] of node.entries) plain[key] = plainValue(value);
  return plain;
}

/** Reports each syntax error once. Deep nesting makes the library report hundreds, and its own limits among them. */
function reportSyntax(errors: readonly YAMLError[], lines: LineCounter, problems: Problems): void {
  if (errors.some(({ message }) => /call stack|invalid regular expression/i.test(message))) {
    problems.error(ROOT, 'is nested too deeply');
    return;
  }
  const reported = new Set<string>();
  for (const error of errors) {
    const message = syntaxMessage(error);
    const key = `${error.pos[0]} ${message}`;
    if (!reported.has(key)) problems.error(ROOT, message, positionOf(error.pos[0], lines));
    reported.add(key);
  }
}

/** The library's words, except where they quote the file: that may be a header with a token. */
function syntaxMessage(error: YAMLError): string {
  if (error.code === 'UNEXPECTED_TOKEN') return 'is not valid JSON or YAML: something unexpected stands here';
  if (error.code === 'MULTIPLE_DOCS') return 'holds several YAML documents; one is expected';
  if (error.message.startsWith('Missing closing')) return 'is not valid JSON or YAML: a quote is not closed';
  const [words = ''] = error.message.split(/[:`"]/, 1);
  return `is not valid JSON or YAML: ${words.trim().toLowerCase()}`;
}
