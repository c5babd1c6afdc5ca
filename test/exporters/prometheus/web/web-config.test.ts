import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { parseWebConfig } from '../../../../exporters/prometheus/web/web-config.ts';
import { loadWebConfig } from '../../../../exporters/prometheus/web/web-policy.ts';
import { AgentError } from '../../../../src/errors.ts';
import { SECRET_HASH, WEB_CONFIG_CASES } from '../../../support/web-configs.ts';

let folder = '';
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'web-config-'));
});
afterAll(() => rmSync(folder, { recursive: true }));

/** Undefined when the file is good. */
function problemOf(yaml: string): string | undefined {
  const file = join(folder, 'web.yml');
  writeFileSync(file, yaml);
  try {
    loadWebConfig(file);
    return undefined;
  } catch (thrown) {
    return thrown instanceof AgentError && thrown.code === 'config_invalid' ? thrown.message : 'not an AgentError';
  }
}

function intervalOf(text: string): number | undefined {
  return parseWebConfig(`rate_limit:\n  interval: ${text}\n`, folder).rateLimit?.intervalMs;
}

describe('web configuration files', () => {
  it.each(WEB_CONFIG_CASES.filter(({ isGood }) => isGood).map(({ name, yaml }) => [name, yaml]))('good: %s', (_name, yaml) => {
    expect(problemOf(yaml)).toBeUndefined();
  });

  it.each(WEB_CONFIG_CASES.filter(({ isGood }) => !isGood).map(({ name, yaml, problem }) => [name, yaml, problem ?? '']))(
    'bad: %s',
    (_name, yaml, problem) => {
      expect(problemOf(yaml)).toContain(problem);
    },
  );

  it('are enough to mean something', () => {
    expect(WEB_CONFIG_CASES.length).toBeGreaterThanOrEqual(60);
  });

  it('tell every problem at once, and no secret', () => {
    const problem = problemOf(`basic_auth_users:\n  alice: hunter2\nhttp_server_config:\n  http2: perhaps\nother: 1\n`);
    expect(problem).toContain('unknown member "other"');
    expect(problem).toContain('http_server_config.http2');
    expect(problem).toContain('basic_auth_users.alice');
    expect(problem).not.toContain('hunter2');
  });

  it('may not hold aliases, nor names that reach into prototypes', () => {
    expect(problemOf('basic_auth_users: &a {}\nhttp_server_config: *a\n')).toContain('aliases');
    expect(problemOf('__proto__: {}\n')).toContain('unknown member "__proto__"');
    const { users } = parseWebConfig(`basic_auth_users:\n  __proto__: ${SECRET_HASH}\n`, folder);
    expect([...users.keys()]).toEqual(['__proto__']);
  });

  it('read durations as Go does', () => {
    expect(intervalOf('1m30.5s')).toBe(90_500);
    expect(intervalOf('250ms')).toBe(250);
    expect(intervalOf('1000000')).toBe(1);
  });
});
