import { describe, expect, it } from 'vitest';
import type { LoadInput } from '../../config/load.ts';
import { sourceSpecOf } from '../../sources/settings.ts';
import { formatProblem } from '../../config/problems.ts';
import { BAD_CONFIGS, BROKEN_FILES } from './bad-configs.ts';
import { loaded, problemsOf } from './support.ts';

describe('what is refused', () => {
  it.each(BAD_CONFIGS)('$name', ({ text, path, message }) => {
    const problems = problemsOf({ text });
    expect(problems.map((problem) => problem.path)).toContain(path);
    expect(problems.find((problem) => problem.path === path)?.message).toMatch(message);
    expect(problems).toHaveLength(1);
  });

  it.each(BROKEN_FILES)('a file with broken syntax: $name', ({ text, message }) => {
    const problems = problemsOf({ text });
    expect(problems.some((problem) => message.test(problem.message))).toBe(true);
  });

  it('reports everything at once, in the order of the file, with line and column', () => {
    const text = [
      'period: 5',
      'neuron_runtimes:',
      '  - tag_filter: "("',
      '    metrics: [{type: memory}]',
      'exporters: {otlp: {timeout: 1}}',
    ].join('\n');
    expect(problemsOf({ text }).map((problem) => formatProblem(problem, 'agent.yaml'))).toEqual([
      'agent.yaml:1:9: period: 5 has no unit; write "5s"',
      'agent.yaml:3:17: neuron_runtimes[0].tag_filter: "(" is not a regular expression in RE2 syntax: missing closing )',
      'agent.yaml:4:22: neuron_runtimes[0].metrics[0].type: "memory" is the old name of "memory_used", which belongs to neuron_runtimes[].metrics',
      'agent.yaml:5:29: exporters.otlp.timeout: 1 has no unit; write "1s"',
    ]);
  });

  it('lists two hundred problems and says that there are more', () => {
    const text = JSON.stringify(Object.fromEntries(Array.from({ length: 500 }, (_, index) => [`key_${index}`, 1])));
    const problems = problemsOf({ text });
    expect(problems).toHaveLength(201);
    expect(problems[0]?.message).toBe('there is more; only the first 200 are listed');
  });

  it.each<[string, LoadInput['flags'], string, RegExp]>([
    ['an unknown exporter', { '--exporter': ['otpl'] }, '--exporter', /did you mean "otlp"\?/],
    ['an exporter that the file does not name', { '--exporter': ['otlp/b'] }, '--exporter', /"otlp\/b" is not in the file/],
    ['a bad source', { '--source': 'sysfs' }, '--source', /"sysfs" is not a source/],
    ['a bad port', { '--exporter': ['prometheus'], '--port': 70_000 }, '--port', /70000 is above the maximum/],
  ])('blames the flag for %s', (_, flags, path, message) => {
    expect(problemsOf({ flags })).toEqual([{ path, message: expect.stringMatching(message) }]);
  });
});

/** A file on a disk of the test's own. */
function file(content: string | Error): LoadInput {
  const readFile = (): string => {
    if (typeof content === 'string') return content;
    throw content;
  };
  return { path: '/etc/agent.json', flags: {}, env: {}, readFile };
}

describe('the file', () => {
  it('is read from its path', () => {
    expect(loaded(file('{"period": "3s"}')).periodMs).toBe(3_000);
  });

  it('that cannot be read is a problem of --config-file', () => {
    const missing = Object.assign(new Error('no such file'), { code: 'ENOENT' });
    expect(problemsOf(file(missing))).toEqual([{ path: '--config-file', message: '"/etc/agent.json" cannot be read: ENOENT' }]);
    expect(problemsOf({ path: '/' })[0]?.message).toMatch(/it is a folder, not a regular file/);
    expect(problemsOf({ path: '/nonexistent/agent.yaml' })[0]?.message).toMatch(/ENOENT/);
  });

  it.each([
    ['JSON', '{"period": "3s"}'],
    ['JSON with tabs, CRLF and a byte order mark', '\uFEFF{\r\n\t"period": "3s"\r\n}\r\n'],
    ['YAML', 'period: 3s\n'],
    ['YAML with a document marker and comments', '%YAML 1.2\n---\n# every three seconds\nperiod: "3s" # really\n'],
    ['YAML with an alias', 'period: &p 3s\nsystem_metrics:\n  - {type: vcpu_usage, period: *p}\n'],
    ['JSON with a $schema for editors', '{"$schema": "./neuron-otel.schema.json", "period": "3s"}'],
  ])('may be %s', (_, text) => {
    expect(loaded({ text }).periodMs).toBe(3_000);
  });
});

describe('precedence', () => {
  const text = JSON.stringify({
    source: 'native',
    exporters: { prometheus: { port: 1001, host: '10.0.0.1', naming: 'legacy' } },
    telemetry: { log: { verbosity: 1 } },
  });
  const env = { OTEL_EXPORTER_PROMETHEUS_PORT: '1002', OTEL_LOG_LEVEL: 'WARN' };

  it('takes defaults where nobody says anything', () => {
    const config = loaded({});
    expect(config.source.spec).toBe('auto');
    expect(config.telemetry).toEqual({ log: { verbosity: 3, format: 'text' }, max_series: 50_000, self_metrics: true });
    expect(config.exporters).toEqual([{ type: 'json_stdout', id: 'json_stdout', settings: {} }]);
    expect(config.ecc_counts).toBe('cumulative');
  });

  it('puts the file over defaults', () => {
    const config = loaded({ text });
    expect(config.source.spec).toBe('native');
    expect(config.telemetry.log.verbosity).toBe(1);
    expect(config.exporters).toMatchObject([{ id: 'prometheus', settings: { port: 1001, host: '10.0.0.1', naming: 'legacy' } }]);
  });

  it('puts the environment over the file', () => {
    const config = loaded({ text, env });
    expect(config.telemetry.log.verbosity).toBe(2);
    expect(config.exporters).toMatchObject([{ settings: { port: 1002, host: '10.0.0.1' } }]);
  });

  it('puts flags over the environment', () => {
    const config = loaded({
      text,
      env,
      flags: { '--verbose': 4, '--port': 1003, '--naming': 'both', '--source': '-', '--log-format': 'json' },
    });
    expect(config.source.spec).toBe('-');
    expect(config.telemetry.log).toEqual({ verbosity: 4, format: 'json' });
    expect(config.exporters).toMatchObject([{ settings: { port: 1003, naming: 'both' } }]);
  });
});

describe('the agent’s own keys', () => {
  it.each([
    ['auto', { kind: 'auto' }],
    ['native', { kind: 'native' }],
    ['-', { kind: 'stdin' }],
    ['neuron-monitor', { kind: 'neuron-monitor' }],
    ['neuron-monitor:/opt/x', { kind: 'neuron-monitor', path: '/opt/x' }],
    ['file:records.ndjson', { kind: 'file', path: 'records.ndjson' }],
    ['file:C:/a:b', { kind: 'file', path: 'C:/a:b' }],
    ['virtual', { kind: 'virtual' }],
    ['virtual:trn2.48xlarge', { kind: 'virtual', instanceType: 'trn2.48xlarge' }],
  ])('source %s', (spec, expected) => {
    expect(sourceSpecOf(loaded({ text: JSON.stringify({ source: spec }) }).source)).toEqual(expected);
    expect(sourceSpecOf(loaded({ text: JSON.stringify({ source: { spec } }) }).source)).toEqual(expected);
    expect(sourceSpecOf(loaded({ flags: { '--source': spec } }).source)).toEqual(expected);
  });

  it('reads sections that are there but empty, as YAML writes them', () => {
    expect(loaded({ text: 'source:\ntelemetry:\nresource:\n  attributes:\nexporters:\n  prometheus:\n' }).exporters).toHaveLength(1);
  });

  it('switches single metrics, and knows their names', () => {
    const knownMetrics = new Set(['system.cpu.utilization', 'system.cpu.time']);
    const text = 'metrics: {system.cpu.utilization: false}';
    expect(loaded({ text, knownMetrics }).metrics).toEqual([['system.cpu.utilization', false]]);
    expect(problemsOf({ text: 'metrics: {system.cpu.utilisation: false}', knownMetrics })).toEqual([
      {
        path: 'metrics["system.cpu.utilisation"]',
        message: 'is not a metric of this agent; did you mean "system.cpu.utilization"?',
        line: 1,
        column: 11,
      },
    ]);
  });

  it('keeps attribute values as they are', () => {
    const text = 'resource: {attributes: {a: text, b: 3, c: true, d.e: "4"}}';
    expect(loaded({ text }).resource.attributes).toEqual([
      ['a', 'text'],
      ['b', 3],
      ['c', true],
      ['d.e', '4'],
    ]);
  });

  it('gives a plain copy to each caller', () => {
    const first = loaded({ text: 'resource: {attributes: {a: b}}' });
    const second = loaded({ text: 'resource: {attributes: {a: c}}' });
    expect(first.resource.attributes).toEqual([['a', 'b']]);
    expect(second.resource.attributes).toEqual([['a', 'c']]);
  });
});
