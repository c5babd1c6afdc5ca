import { inspect } from 'node:util';
import { describe, expect, it } from 'vitest';
import type { LoadInput } from '../../config/load.ts';
import { shownConfig } from '../../cli/validate.ts';
import { Secret } from '../../src/secret.ts';
import { loaded, problemsOf } from './support.ts';

const ENV = { NAME: 'trainer', EMPTY: '', PORT: '8000', ON: 'true', DOLLAR: '${NAME}$$' };
const FILES: Readonly<Record<string, string>> = { '/run/token': 'from-file\n', '/run/two': 'a\nb\r\n', '/run/empty': '' };

function input(text: string): Partial<LoadInput> {
  return {
    text,
    env: ENV,
    readFile: (path) => {
      const content = FILES[path];
      if (content === undefined) throw Object.assign(new Error('x'), { code: 'ENOENT' });
      return content;
    },
  };
}

function attribute(value: string): unknown {
  return loaded(input(JSON.stringify({ resource: { attributes: { a: value } } }))).resource.attributes.find(([name]) => name === 'a')?.[1];
}

describe('substitution', () => {
  it.each([
    ['${env:NAME}', 'trainer'],
    ['${NAME}', 'trainer'],
    ['a-${NAME}-${NAME}', 'a-trainer-trainer'],
    ['${MISSING:-x}', 'x'],
    ['${env:MISSING:-x:-y}', 'x:-y'],
    ['${MISSING:-}', ''],
    ['${EMPTY:-x}', 'x'],
    ['${EMPTY}', ''],
    ['${NAME:-x}', 'trainer'],
    ['$$', '$'],
    ['$${NAME}', '${NAME}'],
    ['$$$${NAME}', '$${NAME}'],
    ['$$${NAME}', '$trainer'],
    ['$NAME costs 5$', '$NAME costs 5$'],
    ['${DOLLAR}', '${NAME}$$'],
    ['${file:/run/token}', 'from-file'],
    ['Bearer ${file:/run/token}!', 'Bearer from-file!'],
    ['${file:/run/two}', 'a\nb'],
    ['${file:/run/empty}', ''],
  ])('%s', (text, expected) => {
    expect(attribute(text)).toBe(expected);
  });

  it.each([
    ['${MISSING}', /variable MISSING, which is not set/],
    ['${env:MISSING}', /variable MISSING, which is not set/],
    ['${NAME', /\$\{ without a \}/],
    ['${}', /none of/],
    ['${1X}', /none of/],
    ['${NAME:default}', /none of/],
    ['${env:A-B}', /none of/],
    [`\${${'A'.repeat(201)}}`, /none of/],
    ['${yaml:x}', /none of/],
    ['${file:token}', /without an absolute path/],
    ['${file:/nope}', /cannot be read: ENOENT/],
  ])('%s is a problem', (text, message) => {
    const problems = problemsOf(input(JSON.stringify({ resource: { attributes: { a: text } } })));
    expect(problems).toMatchObject([{ path: 'resource.attributes.a', message: expect.stringMatching(message), line: 1 }]);
  });

  it('gives numbers, words and switches their value', () => {
    const config = loaded(
      input(
        '{"exporters": {"prometheus": {"port": "${PORT}", "target_info": "${ON}"}, "otlp": {"timeout": "${T:-3s}", "queue": {"max_bytes": "${B:-2MiB}"}}}}',
      ),
    );
    expect(config.exporters).toMatchObject([
      { settings: { port: 8_000, target_info: true } },
      { settings: { timeout: 3_000, queue: { max_bytes: 2_097_152 } } },
    ]);
  });

  it.each([
    ['{"exporters": {"prometheus": {"port": "${NAME}"}}}', 'exporters.prometheus.port'],
    ['{"exporters": {"prometheus": {"port": "${PORT}0"}}}', 'exporters.prometheus.port'],
    ['{"exporters": {"otlp": {"timeout": "${NAME}"}}}', 'exporters.otlp.timeout'],
    ['{"exporters": {"otlp": {"endpoint": "${NAME}"}}}', 'exporters.otlp.endpoint'],
    ['{"source": "${NAME}"}', 'source.spec'],
  ])('a value that does not fit is a problem, and is not shown: %s', (text, path) => {
    const problems = problemsOf(input(text));
    expect(problems.map((problem) => problem.path)).toEqual([path]);
    expect(problems[0]?.message).not.toContain('trainer');
  });

  it("leaves neuron-monitor's keys alone: a dollar ends a pattern there", () => {
    const text = '{"neuron_runtimes": [{"tag_filter": "^${NAME}$", "metrics": []}]}';
    expect(problemsOf(input('{"period": "${T:-3s}"}'))).toMatchObject([{ path: 'period' }]);
    expect(loaded(input(text)).runtimes[0]?.tagFilter).toBe('^${NAME}$');
  });
});

describe('secrets', () => {
  const CANARY = 'CANARY-4711';
  const text = JSON.stringify({
    exporters: {
      otlp: {
        endpoint: `https://h/x?key=${CANARY}`,
        headers: { authorization: `Bearer ${CANARY}`, 'x-key': '${KEY}', 'x-file': { file: '/k' } },
      },
    },
  });
  const env = { KEY: CANARY, OTEL_EXPORTER_OTLP_HEADERS: `x-env=${CANARY}` };

  it('are shown by nothing but reveal', () => {
    const config = loaded({ text, env });
    const [exporter] = config.exporters;
    if (exporter?.type !== 'otlp') throw new Error('no otlp exporter');
    const values = exporter.settings.headers.map(([, value]) => value).filter((value) => value instanceof Secret);
    expect(values.map((secret) => secret.reveal())).toEqual([`Bearer ${CANARY}`, CANARY, CANARY]);
    for (const secret of values) {
      const shown = [
        JSON.stringify(secret),
        String(secret),
        inspect(secret, { depth: 9, showHidden: true }),
        inspect(exporter.settings.headers, { depth: 9 }),
      ];
      expect(shown.join()).not.toContain(CANARY);
    }
    expect(JSON.stringify(Object.fromEntries(exporter.settings.headers))).toBe(
      '{"authorization":"[redacted]","x-key":"[redacted]","x-file":{"file":"/k"},"x-env":"[redacted]"}',
    );
  });

  it('are not in the configuration that validate shows', () => {
    const shown = shownConfig(loaded({ text, env }));
    expect(shown).not.toContain(CANARY);
    expect(JSON.parse(shown)).toMatchObject({ exporters: [{ settings: { endpoint: 'https://h/x/v1/metrics?[redacted]' } }] });
    expect(shown).toContain('[redacted]');
  });

  it.each([
    `{"exporters": {"otlp": {"headers": {"a": "\\u0000${CANARY}"}}}}`,
    `{"exporters": {"otlp": {"headers": {"a": ["${CANARY}"]}}}}`,
    `{"exporters": {"otlp": {"headers": "${CANARY}"}}}`,
    `{"exporters": {"otlp": {"headers": ["${CANARY}"]}}}`,
    `exporters:\n  otlp:\n    headers:\n      authorization: "Bearer ${CANARY}\n`,
    `exporters:\n  otlp:\n    headers:\n      authorization: Bearer: ${CANARY}: x\n`,
    `exporters:\n  otlp:\n    headers:\n      authorization: 'a' ${CANARY}\n`,
    `exporters:\n  otlp:\n    headers: {authorization: [a] ${CANARY}}\n`,
    `exporters:\n  otlp:\n    headers:\n      authorization: @${CANARY}\n`,
    `exporters:\n  otlp:\n    headers:\n      authorization: |${CANARY}\n        x\n`,
    `exporters:\n  otlp:\n    headers:\n\tauthorization: ${CANARY}\n`,
    `exporters:\n  otlp:\n    headers:\n      - ${CANARY}\n`,
  ])('do not stand in problems: %j', (broken) => {
    expect(JSON.stringify(problemsOf({ text: broken }))).not.toContain(CANARY);
  });
});
