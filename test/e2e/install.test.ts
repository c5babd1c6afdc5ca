import { spawnSync } from 'node:child_process';
import { existsSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { projectRoot } from './support/agent.ts';
import { TemporaryFolder } from './support/folder.ts';

const UNIT = 'etc/systemd/system/neuron-otel.service';
const CONFIGURATION = 'etc/neuron-otel/neuron-otel.yaml';

function install(folder: TemporaryFolder): string {
  const { status, stdout, stderr } = spawnSync(join(projectRoot, 'deploy/systemd/install.sh'), {
    env: { ...process.env, DESTDIR: folder.path },
    encoding: 'utf8',
  });
  if (status !== 0) throw new Error(`install.sh ended with ${status}: ${stderr}`);
  return stdout;
}

describe('deploy/systemd/install.sh', () => {
  it('installs a program that runs and that the unit starts', () => {
    using folder = new TemporaryFolder();
    install(folder);
    const [, program = ''] = /^ExecStart=(\S+)/m.exec(readFileSync(folder.file(UNIT), 'utf8')) ?? [];
    const { stdout } = spawnSync(join(folder.path, program), ['--version'], {
      encoding: 'utf8',
      env: { ...process.env, PATH: `${join(projectRoot, 'node_modules/.bin')}:${process.env['PATH']}` },
    });
    expect(stdout).toMatch(/^neuron-otel \d/);
  });

  it('installs the configuration that the unit names', () => {
    using folder = new TemporaryFolder();
    install(folder);
    expect(readFileSync(folder.file(UNIT), 'utf8')).toContain(`--config-file /${CONFIGURATION}`);
    expect(existsSync(folder.file(CONFIGURATION))).toBe(true);
  });

  it('keeps a configuration that is there already', () => {
    using folder = new TemporaryFolder();
    install(folder);
    writeFileSync(folder.file(CONFIGURATION), 'period: 7s\n');
    expect(install(folder)).toContain('kept');
    expect(readFileSync(folder.file(CONFIGURATION), 'utf8')).toBe('period: 7s\n');
  });

  it('installs nothing that others than root may write', () => {
    using folder = new TemporaryFolder();
    install(folder);
    for (const path of ['usr/lib/neuron-otel/neuron-otel.cjs', UNIT, CONFIGURATION])
      expect(statSync(folder.file(path)).mode & 0o022).toBe(0);
  });
});
