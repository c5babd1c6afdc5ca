import { isSetting } from '../src/settings.ts';
import type { Section, Setting } from '../src/settings.ts';
import { RUNTIME_GROUPS, SYSTEM_GROUPS } from '../src/readings.ts';
import { idPattern } from './exporters.ts';
import { formatOf } from './formats.ts';
import { REFERENCE } from './map-formats.ts';
import type { JsonSchema } from './map-formats.ts';
import { AGENT_SECTION, GROUP_SECTION, ROOT_SECTION, RUNTIME_SECTION } from './schema.ts';
import type { Definition } from './schema.ts';
import { formatByteSize, formatDuration } from './units.ts';

/**
 * JSON Schema (draft 7, which editors know) of the configuration file, from the same sections as convict's. It is a little wider
 * than the agent: ranges of durations, regular expressions and rules about several keys are beyond it.
 */
export function jsonSchema<Source extends Section, Exporters>(definition: Definition<Source, Exporters>): JsonSchema {
  const types: readonly ExporterEntry[] = Object.entries(definition.exporters);
  return {
    $schema: 'http://json-schema.org/draft-07/schema#',
    title: 'neuron-otel configuration',
    description: "neuron-monitor's configuration file, and the keys of neuron-otel beside it. JSON or YAML.",
    type: 'object',
    additionalProperties: false,
    properties: {
      $schema: { type: 'string' },
      ...neuronMonitorProperties(),
      exporters: exportersSchema(types),
      ...agentProperties(definition.source),
    },
    definitions: {
      reference: {
        description: 'A text with ${env:NAME}, ${NAME:-default} or ${file:/path}.',
        type: 'string',
        pattern: '\\$\\{[^}]+\\}',
      },
      ...Object.fromEntries(types.map(([name, type]) => [name, section(type.section, type.description, ownKey)])),
    },
  };
}

type ExporterEntry = readonly [name: string, type: { readonly section: Section; readonly description: string; readonly isNamed: boolean }];

function neuronMonitorProperties(): JsonSchema {
  const groups = (names: readonly string[], description: string): JsonSchema => ({
    description,
    type: ['array', 'null'],
    items: {
      type: 'object',
      required: ['type'],
      additionalProperties: false,
      properties: { type: { enum: names }, ...properties(GROUP_SECTION, key) },
    },
  });
  return {
    ...properties(ROOT_SECTION, key),
    neuron_runtimes: {
      description: 'What is collected of which Neuron processes. Left out beside system_metrics: nothing; both left out: everything.',
      type: ['array', 'null'],
      items: {
        type: 'object',
        additionalProperties: false,
        properties: { ...properties(RUNTIME_SECTION, key), metrics: groups(RUNTIME_GROUPS, 'Metric groups of each process.') },
      },
    },
    // neuron-monitor takes self_stats; the agent warns that its own metrics take that place.
    system_metrics: groups([...SYSTEM_GROUPS, 'self_stats'], 'Metric groups of the host.'),
  };
}

function agentProperties(source: Section): JsonSchema {
  const { spec } = source;
  const short = spec !== undefined && isSetting(spec) ? [ownKey(spec)] : [];
  return {
    source: { anyOf: [...short, section(source, 'Where data come from.', ownKey)] },
    ...properties(AGENT_SECTION, ownKey),
  };
}

function exportersSchema(types: readonly ExporterEntry[]): JsonSchema {
  const reference = ([name]: ExporterEntry) => ({ $ref: `#/definitions/${name}` });
  const members = {
    properties: Object.fromEntries(types.filter(([, { isNamed }]) => !isNamed).map((type) => [type[0], reference(type)])),
    patternProperties: Object.fromEntries(
      types.filter(([, { isNamed }]) => isNamed).map((type) => [idPattern(type[0], true), reference(type)]),
    ),
    additionalProperties: false,
  };
  return {
    description: 'Where data go: a map of exporters, or a list of their names. json_stdout when left out.',
    anyOf: [
      { type: ['object', 'null'], ...members },
      {
        type: 'array',
        items: {
          anyOf: [
            ...types.map(([name, { isNamed }]) => ({ type: 'string', pattern: idPattern(name, isNamed) })),
            { type: 'object', minProperties: 1, maxProperties: 1, ...members },
          ],
        },
      },
    ],
  };
}

function section(schema: Section, description: string | undefined, describe: (setting: Setting) => JsonSchema): JsonSchema {
  return {
    ...(description === undefined ? {} : { description }),
    type: ['object', 'null'],
    additionalProperties: false,
    properties: properties(schema, describe),
  };
}

function properties(schema: Section, describe: (setting: Setting) => JsonSchema): JsonSchema {
  const described: Record<string, JsonSchema> = {};
  for (const [name, definition] of Object.entries(schema)) {
    described[name] = isSetting(definition) ? describe(definition) : section(definition, undefined, describe);
  }
  return described;
}

/** A key of neuron-monitor's: taken literally. */
function key(setting: Setting): JsonSchema {
  return {
    ...annotations(setting),
    ...either([formatOf(setting).jsonSchema(setting), ...(setting.nullable === true ? [{ type: 'null' }] : [])]),
  };
}

/** A key of the agent's own: any text in it may refer to a variable or a file. */
function ownKey(setting: Setting): JsonSchema {
  const format = formatOf(setting);
  const isMap = format.literals.includes('map') || format.literals.includes('list');
  const alternatives = [
    format.jsonSchema(setting),
    ...(isMap ? [] : [REFERENCE]),
    ...(setting.nullable === true ? [{ type: 'null' }] : []),
  ];
  return { ...annotations(setting), ...either(alternatives) };
}

function either(alternatives: readonly JsonSchema[]): JsonSchema {
  const [only] = alternatives;
  return alternatives.length === 1 && only !== undefined ? only : { anyOf: alternatives };
}

function annotations(setting: Setting): JsonSchema {
  const value = defaultText(setting);
  return { description: setting.doc, ...(value === undefined ? {} : { default: value }) };
}

/** The default as a file would hold it; undefined where there is none. */
export function defaultText(setting: Setting): string | number | boolean | undefined {
  const value = setting.default;
  if (typeof value === 'number' && setting.format === 'duration') return formatDuration(value);
  if (typeof value === 'number' && setting.format === 'bytes') return formatByteSize(value);
  return typeof value === 'string' || typeof value === 'number' || typeof value === 'boolean' ? value : undefined;
}
