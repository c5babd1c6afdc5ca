import { execFileSync } from 'node:child_process';
import { readdirSync, readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { Ajv } from 'ajv';
import convict from 'convict';
import { describe, expect, it } from 'vitest';
import { parse } from 'yaml';
import { jsonSchema } from '../../config/json-schema.ts';
import { withKeyReference } from '../../config/key-reference.ts';
import { loadInput } from '../support/settings.ts';
import { DEFINITION } from '../../cli/config.ts';
import { AGENT_SECTION, GROUP_SECTION, ROOT_SECTION, RUNTIME_SECTION } from '../../config/schema.ts';
import { settingsOf } from '../../src/settings.ts';
import type { Section } from '../../src/settings.ts';
import { BAD_CONFIGS } from './bad-configs.ts';

const ROOT = new URL('../../', import.meta.url);
const EXAMPLES = new URL('config/examples/', ROOT);
const published: object = JSON.parse(readFileSync(new URL('config/neuron-otel.schema.json', ROOT), 'utf8'));
const fits = new Ajv({ allErrors: true, allowUnionTypes: true }).compile(published);

const GOOD_CONFIGS: readonly unknown[] = [
  {},
  { $schema: 'x', period: null, neuron_runtimes: null, system_metrics: null, exporters: null, source: null, metrics: null },
  { period: '1h30m', neuron_runtimes: [{}, { tag_filter: null, period: '1.5s', metrics: null }] },
  { system_metrics: [{ type: 'self_stats' }, { type: 'vcpu_usage', period: null }] },
  { source: 'virtual:trn2.48xlarge' },
  {
    source: { spec: '-', procfs: 'off', nds: { enabled: true }, imds: { budget: '2s' }, neuron_monitor: { path: '/x', stall_after: null } },
  },
  { exporters: [] },
  { exporters: { prometheus: { listen: [':9464', '[::1]:0', 'localhost:80', '${A:-:1}'], web_config_file: '/w.yaml' } } },
  { exporters: ['json_stdout', 'otlp/a', { 'otlp/b': null }, { prometheus: { resource_labels: ['host.*'] } }] },
  { exporters: { json_stdout: null, prometheus: { port: 0, host: '::1', legacy: { pod_labels: true } }, 'prometheus/b': { port: 1 } } },
  {
    exporters: {
      otlp: { headers: { a: 'b', c: { file: '/d' } }, queue: { max_bytes: 1_048_576, max_age: '48h' }, batch: { max_bytes: '1MB' } },
    },
  },
  {
    exporters: { otlp: { timeout: '${T:-5s}', tls: { insecure: '${I:-true}' }, batch: { max_points: '${N:-7}' }, protocol: '${P:-grpc}' } },
  },
  { resource: { attributes: { a: 'b', c: 1, d: true, 'e.f': '${G:-h}' } } },
  {
    telemetry: { log: { verbosity: 0, format: 'json' }, max_series: 100, self_metrics: false },
    metrics: { 'a.b': true },
    ecc_counts: 'tally',
  },
];

function complaints(config: unknown): readonly unknown[] {
  return fits(config) ? [] : (fits.errors ?? ['refused']);
}

function accepts(config: unknown): boolean {
  return loadInput({ text: JSON.stringify(config) }).ok;
}

describe('the published JSON Schema', () => {
  it('is fresh, and so is the key reference in docs/configuration.md', () => {
    expect(published).toEqual(jsonSchema(DEFINITION));
    const documentation = readFileSync(new URL('docs/configuration.md', ROOT), 'utf8');
    expect(withKeyReference(documentation, DEFINITION)).toBe(documentation);
  });

  it('--check says nothing when all is fresh', () => {
    const script = fileURLToPath(new URL('scripts/config-schema.ts', ROOT));
    expect(execFileSync(process.execPath, [script, '--check'], { encoding: 'utf8' })).toBe('');
  });

  it.each(readdirSync(EXAMPLES))('fits the example %s, as the agent does', (file) => {
    const text = readFileSync(new URL(file, EXAMPLES), 'utf8');
    expect(complaints(parse(text))).toEqual([]);
    expect(loadInput({ text })).toMatchObject({ ok: true, warnings: [] });
  });

  it.each(GOOD_CONFIGS.map((config) => [JSON.stringify(config), config]))('fits what the agent accepts: %s', (_, config) => {
    expect(accepts(config)).toBe(true);
    expect(complaints(config)).toEqual([]);
  });

  it.each(BAD_CONFIGS.filter(({ schemaSees }) => schemaSees))('refuses what the agent refuses: $name', ({ text }) => {
    expect(fits(JSON.parse(text))).toBe(false);
  });

  it.each(BAD_CONFIGS.filter(({ schemaSees }) => !schemaSees))('cannot see: $name', ({ text }) => {
    expect(fits(JSON.parse(text))).toBe(true);
  });
});

describe('the convict schemas', () => {
  const { source, exporters } = DEFINITION;
  const schemas: Readonly<Record<string, Section>> = {
    root: ROOT_SECTION,
    runtime: RUNTIME_SECTION,
    group: GROUP_SECTION,
    agent: AGENT_SECTION,
    source,
    prometheus: exporters.prometheus.section,
    otlp: exporters.otlp.section,
  };

  it.each(Object.entries(schemas))('%s: defaults fit their own formats', (_, schema) => {
    expect(() => convict<object>(schema, { env: {}, args: [] }).validate({ allowed: 'strict' })).not.toThrow();
  });

  it.each(Object.entries(schemas))('%s: every key says what it is for', (_, schema) => {
    const undocumented = [...settingsOf(schema)].filter(([, setting]) => !/^\S.*\.$/.test(setting.doc));
    expect(undocumented).toEqual([]);
  });

  it('no variable and no flag is claimed twice in one schema', () => {
    for (const schema of Object.values(schemas)) {
      const names = [...settingsOf(schema)].flatMap(([, setting]) => [setting.env ?? [], setting.envAlso ?? [], setting.flag ?? []].flat());
      expect(new Set(names).size).toBe(names.length);
    }
  });
});
