import { mkdirSync, statSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { Backoff } from '../../../sources/neuron-monitor/child-source.ts';
import { childEnv } from '../../../sources/neuron-monitor/child.ts';
import { writeConfigFile } from '../../../sources/neuron-monitor/child.ts';
import { StderrLog } from '../../../sources/neuron-monitor/child-source.ts';
import { silentLogger } from '../../../src/log.ts';
import { fixtureHost, temporaryFolder } from '../../support/fixture-host.ts';
import { ManualClock } from '../../support/manual-clock.ts';

describe('delays between restarts', () => {
  it('stay within 20 % of their step and under the cap', () => {
    for (const random of [0, 0.25, 0.5, 0.75, 0.999]) {
      const backoff = new Backoff(() => random);
      for (const stepMs of [1_000, 2_000, 4_000, 8_000, 16_000, 32_000, 60_000, 60_000]) {
        const delayMs = backoff.next();
        expect(delayMs).toBeGreaterThanOrEqual(0.8 * stepMs);
        expect(delayMs).toBeLessThanOrEqual(Math.min(1.2 * stepMs, 60_000));
      }
    }
  });
});

function log(): { readonly stderr: StderrLog; readonly clock: ManualClock; readonly lines: unknown[] } {
  const clock = new ManualClock();
  const lines: unknown[] = [];
  const stderr = new StderrLog(clock, { ...silentLogger, warn: (fields) => void lines.push(fields['stderr']) });
  return { stderr, clock, lines };
}

describe('the log of stderr', () => {
  it('makes one line of what comes together', async () => {
    const { stderr, clock, lines } = log();
    stderr.push(Buffer.from('cannot open '));
    stderr.push(Buffer.from('device 3\nretrying\n'));
    await clock.advance(1_000);
    expect(lines).toEqual(['cannot open device 3\nretrying']);
  });

  it('does not repeat what differs in its numbers only', async () => {
    const { stderr, clock, lines } = log();
    for (let second = 0; second < 3600; second += 1) {
      stderr.push(Buffer.from(`12:00:${second} cannot open device ${second % 16}\n`));
      await clock.advance(1_000);
    }
    expect(lines).toHaveLength(1);
  });

  it('tells of a change, but not more often than every ten seconds', async () => {
    const { stderr, clock, lines } = log();
    for (let second = 0; second < 100; second += 1) {
      stderr.push(Buffer.from(second % 2 === 0 ? 'left\n' : 'right\n'));
      await clock.advance(1_000);
    }
    expect(lines.length).toBeGreaterThan(1);
    expect(lines.length).toBeLessThanOrEqual(11);
  });

  it('says nothing about nothing', async () => {
    const { stderr, clock, lines } = log();
    stderr.push(Buffer.from('\n \n'));
    await clock.advance(1_000);
    stderr.flush();
    expect(lines).toEqual([]);
  });
});

describe('the configuration file', () => {
  it('goes to the first folder that takes it', async () => {
    const folder = temporaryFolder();
    const taken = join(folder, 'taken');
    mkdirSync(taken);
    const host = fixtureHost(folder, { env: { TMPDIR: join(folder, 'missing'), RUNTIME_DIRECTORY: taken } });
    const file = await writeConfigFile(host, { period: '1s' });
    expect(dirname(dirname(file.path))).toBe(taken);
    expect(statSync(file.path).mode & 0o777).toBe(0o600);
    expect(statSync(dirname(file.path)).mode & 0o777).toBe(0o700);
    await file[Symbol.asyncDispose]();
    await file[Symbol.asyncDispose]();
    expect(() => statSync(dirname(file.path))).toThrow('ENOENT');
  });

  it('is not put through a file that stands in the way', async () => {
    const folder = temporaryFolder();
    writeFileSync(join(folder, 'file'), '');
    const host = fixtureHost(folder, { env: { TMPDIR: join(folder, 'file') } });
    await using file = await writeConfigFile(host, {});
    expect(file.path.startsWith(join(folder, 'file'))).toBe(false);
  });
});

it('passes on neither credentials nor proxies nor settings of the agent', () => {
  const env = {
    PATH: '/bin',
    HTTPS_PROXY: 'x',
    AWS_SESSION_TOKEN: 'x',
    OTEL_SERVICE_NAME: 'x',
    NEURON_OTEL_X: 'x',
    NEURON_RT_X: 'y',
    LANG: undefined,
  };
  expect(childEnv(env)).toEqual({ PATH: '/bin', NEURON_RT_X: 'y' });
});
