import { describe, expect, it } from 'vitest';
import type { AgentConfig } from '../../cli/config.ts';
import type { OtlpSettings } from '../../exporters/otlp/settings.ts';
import { Secret } from '../../src/secret.ts';
import { loaded, problemsOf, warningsOf } from './support.ts';

type Env = Readonly<Record<string, string>>;

function otlp(config: AgentConfig): OtlpSettings {
  const found = config.exporters.find((exporter) => exporter.type === 'otlp');
  if (found?.type !== 'otlp') throw new Error('no otlp exporter');
  return found.settings;
}

function otlpWith(env: Env, body: object = {}): OtlpSettings {
  return otlp(loaded({ env, text: JSON.stringify({ exporters: { otlp: body } }) }));
}

function headersOf(settings: OtlpSettings): Record<string, string> {
  return Object.fromEntries(
    settings.headers.map(([name, value]) => [name, value instanceof Secret ? value.reveal() : `file ${value.file}`]),
  );
}

describe('OTLP endpoint', () => {
  it.each<[string, Env, object, string]>([
    ['default', {}, {}, 'http://localhost:4318/v1/metrics'],
    ['default of gRPC', {}, { protocol: 'grpc' }, 'http://localhost:4317'],
    ['general, of the file', {}, { endpoint: 'http://c:4318' }, 'http://c:4318/v1/metrics'],
    ['general, with a slash', {}, { endpoint: 'http://c:4318/' }, 'http://c:4318/v1/metrics'],
    ['general, with a path', {}, { endpoint: 'https://c/otlp/?a=b' }, 'https://c/otlp/v1/metrics?a=b'],
    ['general, already complete', {}, { endpoint: 'http://c:4318/v1/metrics' }, 'http://c:4318/v1/metrics'],
    ['for metrics, of the file', {}, { metrics_endpoint: 'http://c/x', endpoint: 'http://d' }, 'http://c/x'],
    ['general variable', { OTEL_EXPORTER_OTLP_ENDPOINT: 'http://v:1' }, { endpoint: 'http://c' }, 'http://v:1/v1/metrics'],
    [
      'general variable, as the specification says',
      { OTEL_EXPORTER_OTLP_ENDPOINT: 'http://v/v1/metrics' },
      {},
      'http://v/v1/metrics/v1/metrics',
    ],
    [
      'general variable over the metrics key',
      { OTEL_EXPORTER_OTLP_ENDPOINT: 'http://v' },
      { metrics_endpoint: 'http://c/x' },
      'http://v/v1/metrics',
    ],
    ['metrics variable', { OTEL_EXPORTER_OTLP_METRICS_ENDPOINT: 'http://m/x' }, { endpoint: 'http://c' }, 'http://m/x'],
    [
      'metrics variable over the general one',
      { OTEL_EXPORTER_OTLP_METRICS_ENDPOINT: 'http://m/', OTEL_EXPORTER_OTLP_ENDPOINT: 'http://v' },
      {},
      'http://m/',
    ],
    ['gRPC with a scheme', {}, { protocol: 'grpc', endpoint: 'http://c:4317/' }, 'http://c:4317'],
    ['gRPC without a scheme', {}, { protocol: 'grpc', endpoint: 'c:4317' }, 'https://c:4317'],
    ['gRPC without a scheme, insecure', {}, { protocol: 'grpc', endpoint: 'c:4317', tls: { insecure: true } }, 'http://c:4317'],
    [
      'gRPC by variables',
      { OTEL_EXPORTER_OTLP_PROTOCOL: 'grpc', OTEL_EXPORTER_OTLP_ENDPOINT: 'c:4317', OTEL_EXPORTER_OTLP_INSECURE: 'True' },
      {},
      'http://c:4317',
    ],
  ])('%s', (_, env, body, expected) => {
    expect(otlpWith(env, body).endpoint).toBe(expected);
  });

  it.each([
    ['OTEL_EXPORTER_OTLP_ENDPOINT', 'c:4318'],
    ['OTEL_EXPORTER_OTLP_ENDPOINT', 'http://user:password@c'],
    ['OTEL_EXPORTER_OTLP_METRICS_ENDPOINT', 'gopher://c'],
    ['OTEL_EXPORTER_OTLP_METRICS_ENDPOINT', 'http://'],
  ])('a bad %s is an error with its name: data must not go elsewhere', (name, value) => {
    const problems = problemsOf({ env: { [name]: value }, text: '{"exporters": ["otlp"]}' });
    expect(problems.map((problem) => problem.path)).toEqual([name]);
  });
});

describe('OTLP settings', () => {
  it('come from the generic variables', () => {
    const env = {
      OTEL_EXPORTER_OTLP_PROTOCOL: 'HTTP/JSON',
      OTEL_EXPORTER_OTLP_COMPRESSION: 'GZIP',
      OTEL_EXPORTER_OTLP_TIMEOUT: '2500',
      OTEL_EXPORTER_OTLP_CERTIFICATE: 'ca.pem',
      OTEL_EXPORTER_OTLP_CLIENT_CERTIFICATE: '/c.pem',
      OTEL_EXPORTER_OTLP_CLIENT_KEY: '/k.pem',
      OTEL_EXPORTER_OTLP_METRICS_TEMPORALITY_PREFERENCE: 'Delta',
      OTEL_EXPORTER_OTLP_METRICS_DEFAULT_HISTOGRAM_AGGREGATION: 'explicit_bucket_histogram',
    };
    expect(otlpWith(env, { protocol: 'grpc', timeout: '7s', temporality: 'lowmemory' })).toMatchObject({
      protocol: 'http/json',
      compression: 'gzip',
      timeout: 2_500,
      tls: { ca_file: 'ca.pem', cert_file: '/c.pem', key_file: '/k.pem' },
      temporality: 'delta',
      histogram: 'explicit',
    });
  });

  it('come from the metrics variables first', () => {
    const env = {
      OTEL_EXPORTER_OTLP_TIMEOUT: '2500',
      OTEL_EXPORTER_OTLP_METRICS_TIMEOUT: '3000',
      OTEL_EXPORTER_OTLP_COMPRESSION: 'gzip',
      OTEL_EXPORTER_OTLP_METRICS_COMPRESSION: 'none',
      OTEL_EXPORTER_OTLP_METRICS_DEFAULT_HISTOGRAM_AGGREGATION: 'base2_exponential_bucket_histogram',
    };
    expect(otlpWith(env)).toMatchObject({ timeout: 3_000, compression: 'none', histogram: 'exponential' });
  });

  it('that are empty are not set', () => {
    const env = { OTEL_EXPORTER_OTLP_ENDPOINT: '', OTEL_EXPORTER_OTLP_TIMEOUT: '  ', OTEL_METRICS_EXPORTER: '' };
    expect(otlpWith(env, { timeout: '7s' })).toMatchObject({ endpoint: 'http://localhost:4318/v1/metrics', timeout: 7_000 });
  });

  it.each([
    ['OTEL_EXPORTER_OTLP_TIMEOUT', 'soon'],
    ['OTEL_EXPORTER_OTLP_TIMEOUT', '-1'],
    ['OTEL_EXPORTER_OTLP_TIMEOUT', '99999999999999999999'],
    ['OTEL_EXPORTER_OTLP_TIMEOUT', '1.5'],
    ['OTEL_EXPORTER_OTLP_METRICS_TIMEOUT', '1e4'],
    ['OTEL_EXPORTER_OTLP_PROTOCOL', 'udp'],
    ['OTEL_EXPORTER_OTLP_COMPRESSION', 'deflate'],
    ['OTEL_EXPORTER_OTLP_INSECURE', '1'],
    ['OTEL_EXPORTER_OTLP_METRICS_TEMPORALITY_PREFERENCE', 'low'],
    ['OTEL_EXPORTER_OTLP_METRICS_DEFAULT_HISTOGRAM_AGGREGATION', 'none'],
    ['OTEL_METRIC_EXPORT_INTERVAL', '5s'],
    ['OTEL_METRIC_EXPORT_INTERVAL', '0'],
    ['OTEL_METRIC_EXPORT_TIMEOUT', 'x'],
    ['OTEL_EXPORTER_PROMETHEUS_PORT', '70000'],
    ['OTEL_LOG_LEVEL', 'loud'],
    ['OTEL_METRICS_EXPORTER', 'zipkin'],
    ['OTEL_SDK_DISABLED', '1'],
    ['AWS_EC2_METADATA_DISABLED', 'yes'],
    ['OTEL_RESOURCE_ATTRIBUTES', 'a=%zz'],
    ['OTEL_RESOURCE_ATTRIBUTES', 'nonsense'],
    ['OTEL_EXPORTER_OTLP_HEADERS', 'nonsense'],
  ])('%s=%s is ignored with a warning', (name, value) => {
    const text = '{"exporters": ["otlp", "prometheus"]}';
    const warnings = warningsOf({ env: { [name]: value }, text });
    expect(warnings.map((warning) => warning.path)).toEqual([name]);
    expect(loaded({ env: { [name]: value }, text })).toEqual(loaded({ text }));
  });

  it('an invalid metrics variable leaves the word to the generic one', () => {
    expect(otlpWith({ OTEL_EXPORTER_OTLP_METRICS_TIMEOUT: 'x', OTEL_EXPORTER_OTLP_TIMEOUT: '3000' }).timeout).toBe(3_000);
  });

  it('OTEL_METRIC_EXPORT_TIMEOUT stands in where nothing nearer says a timeout', () => {
    const env = { OTEL_METRIC_EXPORT_TIMEOUT: '4000' };
    expect(otlpWith(env).timeout).toBe(4_000);
    expect(otlpWith(env, { timeout: '7s' }).timeout).toBe(7_000);
    expect(otlpWith({ ...env, OTEL_EXPORTER_OTLP_TIMEOUT: '5000' }).timeout).toBe(5_000);
  });

  it('speak about the exporter called otlp alone', () => {
    const text = '{"exporters": {"otlp/a": {}, "otlp": {}}}';
    const env = { OTEL_EXPORTER_OTLP_TIMEOUT: '2500', OTEL_EXPORTER_OTLP_HEADERS: 'a=b' };
    const [named, plain] = loaded({ text, env }).exporters;
    expect(named).toMatchObject({ id: 'otlp/a', settings: { timeout: 10_000, headers: [] } });
    expect(plain).toMatchObject({ id: 'otlp', settings: { timeout: 2_500 } });
  });

  it('without an exporter called otlp have no effect, which is said', () => {
    expect(warningsOf({ env: { OTEL_EXPORTER_OTLP_ENDPOINT: 'http://x' } })).toMatchObject([
      { path: 'OTEL_EXPORTER_OTLP_ENDPOINT', message: expect.stringMatching(/has no effect: no exporter called otlp/) },
    ]);
  });
});

describe('headers', () => {
  it('are percent-decoded, merged, and win over those of the file', () => {
    const env = {
      OTEL_EXPORTER_OTLP_HEADERS: 'Authorization=Bearer%20abc%3D, x-a = 1 ,,x-b=2',
      OTEL_EXPORTER_OTLP_METRICS_HEADERS: 'X-B=3',
    };
    const headers = headersOf(otlpWith(env, { headers: { authorization: 'from the file', 'x-c': '4', 'x-d': { file: '/d' } } }));
    expect(headers).toEqual({ Authorization: 'Bearer abc=', 'x-a': '1', 'X-B': '3', 'x-c': '4', 'x-d': 'file /d' });
  });

  it('that are invalid are left out one by one, and never shown', () => {
    const env = { OTEL_EXPORTER_OTLP_HEADERS: 'ok=1,bad name=CANARY,x=CANARY%0Ay,=CANARY' };
    expect(headersOf(otlpWith(env))).toEqual({ ok: '1' });
    const warnings = warningsOf({ env, text: '{"exporters": ["otlp"]}' });
    expect(warnings).toHaveLength(3);
    expect(JSON.stringify(warnings)).not.toContain('CANARY');
  });
});

describe('resource', () => {
  it('merges file, OTEL_RESOURCE_ATTRIBUTES and OTEL_SERVICE_NAME, each over the one before', () => {
    const env = { OTEL_RESOURCE_ATTRIBUTES: 'a=from%20env, service.name=b,c=d=e', OTEL_SERVICE_NAME: 'name' };
    const text = 'resource: {attributes: {a: file, f: 1}}';
    expect(Object.fromEntries(loaded({ env, text }).resource.attributes)).toEqual({
      a: 'from env',
      f: 1,
      'service.name': 'name',
      c: 'd=e',
    });
  });

  it('discards the whole variable when a part of it is wrong', () => {
    expect(loaded({ env: { OTEL_RESOURCE_ATTRIBUTES: 'a=b,%zz=c', OTEL_SERVICE_NAME: 'n' } }).resource.attributes).toEqual([
      ['service.name', 'n'],
    ]);
  });
});

describe('choice of exporters', () => {
  const ids = (env: Env, text = '{}', flags?: readonly string[]): readonly string[] =>
    loaded({ env, text, flags: flags === undefined ? {} : { '--exporter': flags } }).exporters.map(({ id }) => id);
  const three = '{"exporters": {"otlp/a": {}, "otlp/b": {}, "prometheus": {}}}';

  it.each<[string, Env, string, readonly string[] | undefined, readonly string[]]>([
    ['default', {}, '{}', undefined, ['json_stdout']],
    ['file, a map', {}, three, undefined, ['otlp/a', 'otlp/b', 'prometheus']],
    ['file, a list', {}, '{"exporters": ["json_stdout", {"prometheus/x": {"port": 1}}]}', undefined, ['json_stdout', 'prometheus/x']],
    ['variable', { OTEL_METRICS_EXPORTER: 'otlp, Prometheus' }, '{}', undefined, ['otlp', 'prometheus']],
    ['variable: console is stdout', { OTEL_METRICS_EXPORTER: 'console' }, '{}', undefined, ['json_stdout']],
    ['variable: none', { OTEL_METRICS_EXPORTER: 'none' }, three, undefined, []],
    ['variable over the file', { OTEL_METRICS_EXPORTER: 'prometheus' }, three, undefined, ['prometheus']],
    ['a type stands for all of that type', { OTEL_METRICS_EXPORTER: 'otlp' }, three, undefined, ['otlp/a', 'otlp/b']],
    ['variable with nothing valid', { OTEL_METRICS_EXPORTER: 'zipkin' }, three, undefined, ['otlp/a', 'otlp/b', 'prometheus']],
    ['flag over all', { OTEL_METRICS_EXPORTER: 'otlp' }, three, ['json_stdout', 'otlp/b'], ['json_stdout', 'otlp/b']],
    ['flag: none', {}, three, ['none'], []],
    ['disabled SDK leaves stdout', { OTEL_SDK_DISABLED: 'TRUE', OTEL_METRICS_EXPORTER: 'otlp,console' }, '{}', undefined, ['json_stdout']],
    ['disabled SDK without stdout', { OTEL_SDK_DISABLED: 'true' }, three, undefined, []],
  ])('%s', (_, env, text, flags, expected) => {
    expect(ids(env, text, flags)).toEqual(expected);
  });

  it('checks exporters of the file that are not chosen', () => {
    const text = '{"exporters": {"otlp": {"timeout": 1}, "prometheus": {}}}';
    expect(problemsOf({ text, flags: { '--exporter': ['prometheus'] } })).toMatchObject([{ path: 'exporters.otlp.timeout' }]);
  });

  it('two on one port are no problem when one is not chosen', () => {
    const text = '{"exporters": {"prometheus": {}, "prometheus/b": {}}}';
    expect(loaded({ text, flags: { '--exporter': ['prometheus/b'] } }).exporters).toHaveLength(1);
  });

  it('says when nothing is exported', () => {
    expect(warningsOf({ text: '{"exporters": {}}' })).toMatchObject([{ path: 'exporters', message: 'is empty: nothing is exported' }]);
  });
});

describe('the rest', () => {
  it.each([
    ['none', 0],
    ['ERROR', 1],
    ['warn', 2],
    ['info', 3],
    ['debug', 4],
    ['verbose', 4],
    ['all', 4],
  ])('OTEL_LOG_LEVEL=%s', (level, verbosity) => {
    expect(loaded({ env: { OTEL_LOG_LEVEL: level } }).telemetry.log.verbosity).toBe(verbosity);
  });

  it.each(['OTEL_CONFIG_FILE', 'OTEL_EXPERIMENTAL_CONFIG_FILE'])('%s is refused, not half honoured', (name) => {
    expect(problemsOf({ env: { [name]: '/etc/otel.yaml' } })).toMatchObject([
      { path: name, message: expect.stringMatching(/not supported/) },
    ]);
    expect(loaded({ env: { [name]: '' } }).periodMs).toBe(5_000);
  });

  it('the AWS SDKs’ variables for the instance metadata service hold', () => {
    const env = { AWS_EC2_METADATA_DISABLED: 'true', AWS_EC2_METADATA_SERVICE_ENDPOINT: 'http://[fd00:ec2::254]' };
    expect(loaded({ env }).source.imds).toEqual({ enabled: false, endpoint: 'http://[fd00:ec2::254]', budget: 1_000 });
    expect(problemsOf({ env: { AWS_EC2_METADATA_SERVICE_ENDPOINT: 'x' } })).toMatchObject([{ path: 'AWS_EC2_METADATA_SERVICE_ENDPOINT' }]);
  });

  it('OTEL_METRICS_EXEMPLAR_FILTER is accepted and does nothing', () => {
    expect(warningsOf({ env: { OTEL_METRICS_EXEMPLAR_FILTER: 'always_on' } })).toEqual([]);
  });

  it('OTEL_EXPORTER_PROMETHEUS_HOST that is no host is an error', () => {
    const env = { OTEL_EXPORTER_PROMETHEUS_HOST: 'a b' };
    expect(problemsOf({ env, text: '{"exporters": ["prometheus"]}' })).toMatchObject([{ path: 'OTEL_EXPORTER_PROMETHEUS_HOST' }]);
  });

  it('variables named like parts of every object are nothing special', () => {
    expect(warningsOf({ env: { constructor: 'x', toString: 'y', ['__proto__']: 'z' } })).toEqual([]);
  });
});
