import { settingsOf } from '../src/settings.ts';
import type { Section, Setting } from '../src/settings.ts';
import { defaultText } from './json-schema.ts';
import { AGENT_SECTION } from './schema.ts';
import type { Definition } from './schema.ts';

/** Replaces each block between `<!-- keys: NAME -->` and `<!-- /keys -->` by the keys of that section: `agent`, or a type of exporter. */
export function withKeyReference<Source extends Section, Exporters>(
  markdown: string,
  { source, exporters }: Definition<Source, Exporters>,
): string {
  const types: readonly (readonly [string, { readonly section: Section }])[] = Object.entries(exporters);
  const sections = new Map<string, Section>(types.map(([name, type]) => [name, type.section]));
  sections.set('agent', { source, ...AGENT_SECTION });
  return markdown.replaceAll(/<!-- keys: (\w+) -->\n.*?<!-- \/keys -->/gs, (block, name: string) => {
    const section = sections.get(name);
    return section === undefined
      ? block
      : `<!-- keys: ${name} -->\n\n${[...settingsOf(section)].map((entry) => line(entry, name === 'agent')).join('\n')}\n\n<!-- /keys -->`;
  });
}

/** Flags of the Prometheus page belong to commands of their own, whose help explains them. */
function line([path, setting]: readonly [string, Setting], withFlags: boolean): string {
  const facts = [
    typeText(setting),
    defaultOf(setting),
    ...(setting.flag === undefined || !withFlags ? [] : [`flag \`${setting.flag}\``]),
    ...(setting.env === undefined ? [] : [`variable \`${setting.env}\``]),
  ];
  return `- \`${path}\` — ${setting.doc} _(${facts.join('; ')})_`;
}

function defaultOf(setting: Setting): string {
  const text = defaultText(setting);
  return text === undefined ? 'no default' : `default \`${String(text)}\``;
}

function typeText(setting: Setting): string {
  switch (setting.format) {
    case 'choice':
      return (setting.values ?? []).map((value) => `\`${value}\``).join(', ');
    case 'integer':
      return `whole number${setting.min === undefined ? '' : ` from ${setting.min}`}${setting.max === undefined ? '' : ` to ${setting.max}`}`;
    case 'boolean':
      return '`true`, `false`';
    case 'bytes':
      return 'size';
    case 'absolute_path':
      return 'absolute path';
    case 'tag_filter':
      return 'RE2';
    case 'url':
      return 'URL';
    case 'endpoint':
      return 'URL';
    case 'headers':
    case 'attributes':
    case 'toggles':
      return 'map';
    case 'list':
      return 'list';
    case 'text':
    case 'duration':
    case 'path':
      return setting.format;
  }
}
