import { flagName } from './flags.ts';
import { defaultText } from './json-schema.ts';
import { leavesOf } from './leaf.ts';
import type { Leaf } from './leaf.ts';
import { agentSchema } from './schema.ts';
import { otlpSchema, prometheusSchema } from './schema-exporters.ts';

const SECTIONS: ReadonlyMap<string, object> = new Map<string, object>([
  ['agent', agentSchema],
  ['prometheus', prometheusSchema],
  ['otlp', otlpSchema],
]);

/** Replaces each block between `<!-- keys: NAME -->` and `<!-- /keys -->` by the keys of that schema. */
export function withKeyReference(markdown: string): string {
  return markdown.replaceAll(/<!-- keys: (\w+) -->\n.*?<!-- \/keys -->/gs, (block, name: string) => {
    const schema = SECTIONS.get(name);
    return schema === undefined
      ? block
      : `<!-- keys: ${name} -->\n\n${[...leavesOf(schema)].map((entry) => line(entry, name === 'agent')).join('\n')}\n\n<!-- /keys -->`;
  });
}

/** Flags of the Prometheus page belong to commands of their own, whose help explains them. */
function line([path, leaf]: readonly [string, Leaf], withFlags: boolean): string {
  const facts = [
    typeText(leaf),
    defaultOf(leaf),
    ...(leaf.arg === undefined || !withFlags ? [] : [`flag \`${flagName(leaf.arg)}\``]),
    ...(leaf.env === undefined ? [] : [`variable \`${leaf.env}\``]),
  ];
  return `- \`${path}\` — ${leaf.doc} _(${facts.join('; ')})_`;
}

function defaultOf(leaf: Leaf): string {
  const text = defaultText(leaf);
  return text === undefined ? 'no default' : `default \`${String(text)}\``;
}

function typeText(leaf: Leaf): string {
  switch (leaf.format) {
    case 'choice':
      return (leaf.values ?? []).map((value) => `\`${value}\``).join(', ');
    case 'integer':
      return `whole number${leaf.min === undefined ? '' : ` from ${leaf.min}`}${leaf.max === undefined ? '' : ` to ${leaf.max}`}`;
    case 'flag':
      return '`true`, `false`';
    case 'bytes':
      return 'size';
    case 'absolute_path':
      return 'absolute path';
    case 'tag_filter':
      return 'RE2';
    case 'source_spec':
      return 'source';
    case 'url':
      return 'URL';
    case 'endpoint':
      return 'URL';
    case 'headers':
    case 'attributes':
    case 'toggles':
      return 'map';
    case 'names':
    case 'listen_addresses':
      return 'list';
    case 'text':
    case 'duration':
    case 'path':
      return leaf.format;
  }
}
