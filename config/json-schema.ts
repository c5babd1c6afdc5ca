import { RUNTIME_GROUPS, SYSTEM_GROUPS } from '../src/readings.ts';
import { formatByteSize } from './byte-size.ts';
import { formatDuration } from './duration.ts';
import { EXPORTER_ID_PATTERN } from './exporters.ts';
import { formatOf } from './formats.ts';
import { isLeaf } from './leaf.ts';
import type { JsonSchema, Leaf } from './leaf.ts';
import { agentSchema, groupSchema, rootSchema, runtimeSchema } from './schema.ts';
import { otlpSchema, prometheusSchema } from './schema-exporters.ts';

/** Text with a `${…}`: what it stands for is not known before the agent starts. */
const REFERENCE = { $ref: '#/definitions/reference' } as const;

/**
 * JSON Schema (draft 7, which editors know) of the configuration file, from the same definitions as convict's. It is a little wider
 * than the agent: ranges of durations, regular expressions and what depends on several keys are beyond it.
 */
export function jsonSchema(): JsonSchema {
  return {
    $schema: 'http://json-schema.org/draft-07/schema#',
    title: 'neuron-otel configuration',
    description: "neuron-monitor's configuration file, and the keys of neuron-otel beside it. JSON or YAML.",
    type: 'object',
    additionalProperties: false,
    properties: {
      $schema: { type: 'string' },
      ...neuronMonitorProperties(),
      exporters: exportersSchema(),
      ...agentProperties(),
    },
    definitions: {
      reference: {
        description: 'A text with ${env:NAME}, ${NAME:-default} or ${file:/path}.',
        type: 'string',
        pattern: '\\$\\{[^}]+\\}',
      },
      json_stdout: {
        description: "neuron-monitor's JSON, one line per report, on stdout.",
        type: ['object', 'null'],
        additionalProperties: false,
      },
      prometheus: section(prometheusSchema, "Prometheus endpoint of the agent's own.", ownKey),
      otlp: section(otlpSchema, 'One OTLP destination.', ownKey),
    },
  };
}

function neuronMonitorProperties(): JsonSchema {
  const groups = (names: readonly string[], description: string): JsonSchema => ({
    description,
    type: ['array', 'null'],
    items: {
      type: 'object',
      required: ['type'],
      additionalProperties: false,
      properties: { type: { enum: names }, ...properties(groupSchema, key) },
    },
  });
  return {
    ...properties(rootSchema, key),
    neuron_runtimes: {
      description: 'What is collected of which Neuron processes. Left out beside system_metrics: nothing; both left out: everything.',
      type: ['array', 'null'],
      items: {
        type: 'object',
        additionalProperties: false,
        properties: { ...properties(runtimeSchema, key), metrics: groups(RUNTIME_GROUPS, 'Metric groups of each process.') },
      },
    },
    // neuron-monitor takes self_stats; the agent warns that its own metrics take that place.
    system_metrics: groups([...SYSTEM_GROUPS, 'self_stats'], 'Metric groups of the host.'),
  };
}

function agentProperties(): JsonSchema {
  const { source, ...others } = agentSchema;
  const spec: unknown = 'spec' in source ? source.spec : undefined;
  return {
    source: { anyOf: [...(isLeaf(spec) ? [ownKey(spec)] : []), section(source, 'Where data come from.', ownKey)] },
    ...properties(others, ownKey),
  };
}

function exportersSchema(): JsonSchema {
  const members = {
    properties: { json_stdout: { $ref: '#/definitions/json_stdout' } },
    patternProperties: {
      '^prometheus(/[A-Za-z0-9_.-]{1,64})?$': { $ref: '#/definitions/prometheus' },
      '^otlp(/[A-Za-z0-9_.-]{1,64})?$': { $ref: '#/definitions/otlp' },
    },
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
            { type: 'string', pattern: EXPORTER_ID_PATTERN },
            { type: 'object', minProperties: 1, maxProperties: 1, ...members },
          ],
        },
      },
    ],
  };
}

function section(schema: object, description: string | undefined, describe: (leaf: Leaf) => JsonSchema): JsonSchema {
  return {
    ...(description === undefined ? {} : { description }),
    type: ['object', 'null'],
    additionalProperties: false,
    properties: properties(schema, describe),
  };
}

function properties(schema: object, describe: (leaf: Leaf) => JsonSchema): JsonSchema {
  const described: Record<string, JsonSchema> = {};
  for (const [name, definition] of Object.entries(schema)) {
    described[name] = isLeaf(definition) ? describe(definition) : section(definition, undefined, describe);
  }
  return described;
}

/** A key of neuron-monitor's: taken literally. */
function key(leaf: Leaf): JsonSchema {
  return { ...annotations(leaf), ...either([formatOf(leaf).jsonSchema(leaf), ...(leaf.nullable === true ? [{ type: 'null' }] : [])]) };
}

/** A key of the agent's own: any text in it may refer to a variable or a file. */
function ownKey(leaf: Leaf): JsonSchema {
  const format = formatOf(leaf);
  const isMap = format.literals.includes('map') || format.literals.includes('list');
  const alternatives = [format.jsonSchema(leaf), ...(isMap ? [] : [REFERENCE]), ...(leaf.nullable === true ? [{ type: 'null' }] : [])];
  return { ...annotations(leaf), ...either(alternatives) };
}

function either(alternatives: readonly JsonSchema[]): JsonSchema {
  const [only] = alternatives;
  return alternatives.length === 1 && only !== undefined ? only : { anyOf: alternatives };
}

function annotations(leaf: Leaf): JsonSchema {
  const value = defaultText(leaf);
  return { description: leaf.doc, ...(value === undefined ? {} : { default: value }) };
}

/** The default as a file would say it; undefined where there is none. */
export function defaultText(leaf: Leaf): string | number | boolean | undefined {
  const value = leaf.default;
  if (typeof value === 'number' && leaf.format === 'duration') return formatDuration(value);
  if (typeof value === 'number' && leaf.format === 'bytes') return formatByteSize(value);
  return typeof value === 'string' || typeof value === 'number' || typeof value === 'boolean' ? value : undefined;
}
