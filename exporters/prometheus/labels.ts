import type { Attributes } from '@opentelemetry/api';
import { MAX_ATTRIBUTE_LENGTH } from '../../src/series.ts';
import { isLegacyLabelName, isLegacyMetricName } from './naming.ts';

export interface Label {
  readonly name: string;
  readonly value: string;
}

/**
 * Returns the labels of one series as text, without the braces around it. Of two sources with the same attribute the first wins; different
 * attributes whose label names clash have their values joined with `;`, in the order of their keys.
 */
export function labelText(sources: readonly Attributes[], labelName: (attribute: string) => string): string {
  const names: string[] = [];
  const rendered: string[] = [];
  for (const attributes of sources) {
    for (const key of Object.keys(attributes)) {
      const value = attributes[key];
      if (value === undefined || value === null) continue;
      const name = labelName(key);
      if (names.includes(name)) return renderLabels(joinedLabels(sources, labelName));
      names.push(name);
      rendered.push(renderLabel(name, stringOf(value)));
    }
  }
  return flat(rendered);
}

/** As `labelText`, of labels with their names. */
export function renderLabels(labels: Iterable<Label>): string {
  const rendered: string[] = [];
  for (const { name, value } of labels) rendered.push(renderLabel(name, stringOf(value)));
  return flat(rendered);
}

/** Reads back what `renderLabels` wrote. */
export function parseLabels(text: string): readonly Label[] {
  const labels: Label[] = [];
  for (const [, bare, quotedName, value = ''] of text.matchAll(
    /(?:([a-zA-Z_][a-zA-Z0-9_]*)|"((?:[^"\\]|\\.)*)")="((?:[^"\\]|\\.)*)",?/gs,
  )) {
    labels.push({ name: bare ?? unescape(quotedName ?? ''), value: unescape(value) });
  }
  return labels;
}

/** The beginning of a sample line. */
export interface SampleName {
  /** Up to the labels; `} ` follows them. */
  readonly beforeLabels: string;
  /** Up to the value, when there are no labels. */
  readonly alone: string;
}

/** Names outside the legacy alphabet move into the braces, quoted. */
export function sampleName(name: string): SampleName {
  if (isLegacyMetricName(name)) return { beforeLabels: `${name}{`, alone: `${name} ` };
  return { beforeLabels: `{${quoted(name)},`, alone: `{${quoted(name)}} ` };
}

/** A name as HELP and TYPE lines have it. */
export function metadataName(name: string): string {
  return isLegacyMetricName(name) ? name : quoted(name);
}

/** HELP text of text 0.0.4; OpenMetrics escapes quotes as well. */
export function escapeHelp(help: string, quotesToo: boolean): string {
  return help.replaceAll(quotesToo ? /["\\\n]/g : /[\\\n]/g, escapeCharacter);
}

function renderLabel(name: string, value: string): string {
  return `${isLegacyLabelName(name) ? name : quoted(name)}=${quoted(value)}`;
}

/** One flat string: it is kept for as long as its series lives, and a concatenation would keep all its parts as well. */
function flat(rendered: readonly string[]): string {
  return rendered.join(',');
}

function joinedLabels(sources: readonly Attributes[], labelName: (attribute: string) => string): readonly Label[] {
  const merged: Attributes = {};
  for (const attributes of sources.toReversed()) Object.assign(merged, attributes);
  const values = new Map<string, string>();
  for (const key of Object.keys(merged).toSorted()) {
    const value = merged[key];
    if (value === undefined || value === null) continue;
    const name = labelName(key);
    const other = values.get(name);
    values.set(name, other === undefined ? stringOf(value) : `${other};${stringOf(value)}`);
  }
  return [...values].map(([name, value]) => ({ name, value }));
}

function quoted(value: string): string {
  return `"${/["\\\n]/.test(value) ? value.replaceAll(/["\\\n]/g, escapeCharacter) : value}"`;
}

function escapeCharacter(character: string): string {
  return character === '\n' ? String.raw`\n` : `\\${character}`;
}

function unescape(text: string): string {
  return text.includes('\\') ? text.replaceAll(/\\(.)/gs, (_, character: string) => (character === 'n' ? '\n' : character)) : text;
}

/** Workloads choose tags and names; what is longer than an attribute may be is cut, so that no label can blow up the page. */
function stringOf(value: unknown): string {
  const text = typeof value === 'string' ? value : JSON.stringify(value);
  return text.length > MAX_ATTRIBUTE_LENGTH ? text.slice(0, MAX_ATTRIBUTE_LENGTH) : text;
}
