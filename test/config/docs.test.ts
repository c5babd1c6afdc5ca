import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { LEGACY_GROUPS, LEGACY_KEYS } from '../../config/neuron-monitor.ts';
import { DEFINITION } from '../../cli/config.ts';
import { sectionsOf } from '../../config/schema.ts';
import { readEnvironment } from '../../config/environment.ts';
import { Problems } from '../../config/problems.ts';
import { loadInput } from '../support/settings.ts';

const text = readFileSync(new URL('../../docs/configuration.md', import.meta.url), 'utf8');

describe('docs/configuration.md', () => {
  const snippets = [...text.matchAll(/```(?:yaml|json)\n(.*?)```/gs)].map(([, snippet = '']) => snippet);

  it.each(snippets)('this snippet is accepted without a warning:\n%s', (snippet) => {
    expect(loadInput({ text: snippet })).toMatchObject({ ok: true, warnings: [] });
  });

  it('names every old name with its successor', () => {
    for (const [old, successor] of [...LEGACY_KEYS, ...LEGACY_GROUPS])
      expect(text).toMatch(new RegExp(`\\| \`${old}\`\\s+\\| \`${successor}\``));
  });

  it('names every variable that is honoured', () => {
    const asked = new Set<string>();
    const env = new Proxy<Record<string, string>>({}, { get: (_, name) => void asked.add(String(name)) });
    readEnvironment(env, sectionsOf(DEFINITION), new Problems());
    const written = [...text.matchAll(/`((?:OTEL_|AWS_)[A-Z0-9_]+|…_[A-Z_]+)`/g)].map(([, name = '']) =>
      name.replace('…_METRICS_…', '').replace('…_', ''),
    );
    asked.delete('OTEL_EXPERIMENTAL_CONFIG_FILE');
    // `…_METRICS_TIMEOUT` in the table stands for the whole name.
    const isWritten = (name: string): boolean =>
      written.some((word) => name.replace('_METRICS_', '_').endsWith(word.replace(/^METRICS_/, '').replace('_METRICS_', '_')));
    expect([...asked].filter((name) => !isWritten(name))).toEqual([]);
    expect(asked.size).toBeGreaterThan(25);
  });
});
