import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import { certificatePath } from '../support/web-configs.ts';
import { cli } from '../support/cli.ts';
import { scratchDirectory } from '../support/scratch.ts';

const folder = scratchDirectory();
afterAll(() => folder[Symbol.dispose]());

let files = 0;

function file(content: string): string {
  files += 1;
  const path = join(folder.path, `file-${files}`);
  writeFileSync(path, content);
  return path;
}

function configured(config: object): readonly string[] {
  return ['-c', file(JSON.stringify(config))];
}

const otlp = (body: object): object => ({ exporters: { otlp: body } });
const prometheus = (body: object): object => ({ exporters: { prometheus: body } });

/** Configurations that name something that is not there, or is not what it should be. */
const MISSING: readonly (readonly [name: string, config: object, message: RegExp])[] = [
  ['a web configuration that is missing', prometheus({ web_config_file: '/nonexistent/web.yml' }), /web_config_file: .*ENOENT/],
  ['a web configuration that is a device', prometheus({ web_config_file: '/dev/zero' }), /web_config_file: .*a device/],
  ['a web configuration with an error', prometheus({ web_config_file: file('tls_server: {}\n') }), /web_config_file: .*tls_server/],
  [
    'a web configuration whose certificate is missing',
    prometheus({ web_config_file: file('tls_server_config: {cert_file: none.crt, key_file: none.key}\n') }),
    /web_config_file: .*none\.crt/,
  ],
  ['authorities that are missing', otlp({ tls: { ca_file: '/nonexistent/ca.pem' } }), /otlp\.tls\.ca_file: .*ENOENT/],
  ['authorities that are a folder', otlp({ tls: { ca_file: '/tmp' } }), /otlp\.tls\.ca_file: .*a folder/],
  [
    'a key that belongs to another certificate',
    otlp({ tls: { cert_file: certificatePath('client.crt'), key_file: certificatePath('stranger.key') } }),
    /otlp\.tls: has certificates that cannot be used/,
  ],
  ['a token that is missing', otlp({ headers: { authorization: { file: '/nonexistent/token' } } }), /headers: authorization: .*ENOENT/],
  ['a token without an end', otlp({ headers: { authorization: { file: '/dev/zero' } } }), /headers: authorization: .*a device/],
  ['a recording that is missing', { source: 'file:/nonexistent/x.ndjson' }, /source\.spec: names a file that does not exist/],
  ['an instance type that cannot be simulated', { source: 'virtual:trn9.large' }, /source\.spec: names an instance type/],
  ['a metadata service with TLS', { source: { imds: { endpoint: 'https://x' } } }, /source\.imds\.endpoint: .*begins with http:/],
  ['a page in the place of the health check', prometheus({ telemetry_path: '/-/healthy' }), /telemetry_path: .*answers itself/],
  ['a binary without an absolute path', { source: 'neuron-monitor:bin/x' }, /source\.spec: .*absolute path/],
];

describe('a configuration that names', () => {
  it.each(MISSING)('%s is refused by validate with 78', async (_name, config, message) => {
    const { exitCode, stderr } = await cli(['validate', ...configured(config)]);
    expect(exitCode).toBe(78);
    expect(stderr).toMatch(message);
    expect(stderr).not.toMatch(/\n\s+at /);
  });

  it.each(MISSING)('%s does not start, with 78', async (_name, config, message) => {
    const { exitCode, stderr } = await cli(['run', ...configured(config)]);
    expect(exitCode).toBe(78);
    expect(stderr).toMatch(message);
  });

  it('several of them is told all at once, with line and column', async () => {
    const config = file('exporters:\n  prometheus: {web_config_file: /none}\n  otlp: {tls: {ca_file: /none}}\n');
    const { stderr } = await cli(['validate', '-c', config]);
    expect(stderr).toContain(`${config}:2:33: exporters.prometheus.web_config_file`);
    expect(stderr).toContain(`${config}:3:25: exporters.otlp.tls.ca_file`);
  });

  it('a missing file of an exporter that is not in use is accepted', async () => {
    const args = configured({ exporters: { prometheus: { web_config_file: '/none' }, json_stdout: {} } });
    expect(await cli(['validate', ...args, '--exporter', 'json_stdout'])).toMatchObject({ exitCode: 0 });
  });

  it('a bad metadata service in a variable is refused under its name', async () => {
    const { exitCode, stderr } = await cli(['validate'], { env: { AWS_EC2_METADATA_SERVICE_ENDPOINT: 'https://x' } });
    expect(exitCode).toBe(78);
    expect(stderr).toContain('AWS_EC2_METADATA_SERVICE_ENDPOINT: "https://x"');
  });
});

describe('validate warns of', () => {
  it.each([[':9464'], ['0.0.0.0:9464'], ['[::]:9464'], ['192.0.2.7:80']])('a page for other machines on %s', async (listen) => {
    const { exitCode, stderr } = await cli(['validate', ...configured(prometheus({ listen: [listen, '127.0.0.1:1'] }))]);
    expect(exitCode).toBe(0);
    expect(stderr).toContain(`prometheus would serve metrics to other machines on ${listen} without TLS and authentication`);
  });

  it('no page of this machine alone', async () => {
    const { stderr } = await cli(['validate', ...configured(prometheus({ listen: ['127.0.0.1:1', '[::1]:2', 'localhost:3'] }))]);
    expect(stderr).toBe('');
  });

  it('no page with TLS and users', async () => {
    const tls = `{cert_file: ${certificatePath('server.crt')}, key_file: ${certificatePath('server.key')}}`;
    const hash = '$2y$04$4Tj5JQeVYQqP6QrYx8uY6.7BX9kS6C6KX0H3TnIhT2JvZl1n1v1aW';
    const web = file(`tls_server_config: ${tls}\nbasic_auth_users: {a: "${hash}"}\n`);
    const { exitCode, stderr } = await cli(['validate', ...configured(prometheus({ listen: [':1'], web_config_file: web }))]);
    expect(exitCode).toBe(0);
    expect(stderr).toBe('');
  });

  it('a queue that cannot be written', async () => {
    const { exitCode, stderr } = await cli(['validate', ...configured(otlp({ queue: { directory: `${file('')}/queue` } }))]);
    expect(exitCode).toBe(0);
    expect(stderr).toContain('requests are kept in memory until it can');
  });

  it('no queue whose folders can be made', async () => {
    mkdirSync(join(folder.path, 'spool'));
    const { stderr } = await cli(['validate', ...configured(otlp({ queue: { directory: join(folder.path, 'spool/a/b') } }))]);
    expect(stderr).toBe('');
  });

  it.each([
    [{ source: 'neuron-monitor' }],
    [{ source: 'neuron-monitor:/nonexistent/x' }],
    [{ source: { neuron_monitor: { path: '/tmp' } } }],
  ])('a neuron-monitor that cannot be started: %j', async (config) => {
    const { exitCode, stderr } = await cli(['validate', ...configured(config)]);
    expect(exitCode).toBe(0);
    expect(stderr).toContain('neuron-monitor cannot be started, native sources serve instead');
  });

  it.each([
    ['http://user:S3CRET@h:1', 78],
    ['http://h/?token=S3CRET', 0],
    ['S3CRET@h:4318', 78],
    ['https://h/x?a=b&key=S3CRET', 0],
  ])('no secret in the address %s', async (endpoint, code) => {
    const { exitCode, stdout, stderr } = await cli(['validate', ...configured(otlp({ endpoint, metrics_endpoint: endpoint }))]);
    expect(exitCode).toBe(code);
    expect(stdout + stderr).not.toContain('S3CRET');
  });
});
