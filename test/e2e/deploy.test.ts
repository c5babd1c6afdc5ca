import { spawnSync } from 'node:child_process';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { parseAllDocuments } from 'yaml';
import { AgentProcess, projectRoot } from './support/agent.ts';
import { TemporaryFolder } from './support/folder.ts';
import { asObject, asObjects, asText } from './support/json.ts';
import type { JsonObject } from './support/json.ts';
import { peerPath } from '../../scripts/peers.ts';

const unit = join(projectRoot, 'deploy/systemd/neuron-otel.service');
const manifest = join(projectRoot, 'deploy/kubernetes/daemonset.yaml');

/** systemd counts tenths: 20 is an exposure of 2.0 of 10. */
const MAX_EXPOSURE = 20;

describe('the systemd unit', () => {
  it('is rated as hardened by systemd itself', () => {
    const args = ['security', '--offline=yes', '--no-pager', `--threshold=${MAX_EXPOSURE}`, unit];
    const rating = spawnSync(peerPath('systemd-analyze'), args, { encoding: 'utf8' });
    expect(rating.stdout).toMatch(/Overall exposure level for neuron-otel\.service: \d/);
    expect(rating.status).toBe(0);
  });

  it('comes with a configuration that the agent accepts', async () => {
    await using agent = new AgentProcess(['validate', '-c', join(projectRoot, 'deploy/systemd/neuron-otel.yaml')]);
    await agent.process.endsWith(0);
    expect(agent.process.stdout.toString('utf8')).toContain('prometheus');
  });
});

describe('the Kubernetes manifest', () => {
  const documents = parseAllDocuments(readFileSync(manifest, 'utf8')).map((document) => asObject(document.toJS(), 'document'));
  const pod = member(member(member(kind('DaemonSet'), 'spec'), 'template'), 'spec');
  const [container = {}] = asObjects(pod['containers'], 'containers');

  it('asks for no privilege: the "restricted" level of the Pod Security Standards, but for read-only hostPath volumes', () => {
    expect(pod).toMatchObject({
      automountServiceAccountToken: false,
      securityContext: { runAsNonRoot: true, seccompProfile: { type: 'RuntimeDefault' } },
    });
    for (const key of ['hostPID', 'hostNetwork', 'hostIPC', 'initContainers']) expect(pod).not.toHaveProperty(key);
    expect(container['securityContext']).toEqual({
      allowPrivilegeEscalation: false,
      readOnlyRootFilesystem: true,
      capabilities: { drop: ['ALL'] },
    });
    expect(container).not.toHaveProperty('hostPort');
    for (const mount of asObjects(container['volumeMounts'], 'volumeMounts')) expect(mount).toMatchObject({ readOnly: true });
    expect(asObjects(pod['volumes'], 'volumes').map(({ name }) => name)).toEqual(['config', 'proc', 'sys']);
  });

  it('selects the pods it makes', () => {
    const spec = member(kind('DaemonSet'), 'spec');
    const labels = member(member(spec, 'template'), 'metadata')['labels'];
    expect(member(spec, 'selector')['matchLabels']).toEqual(labels);
  });

  it('comes with a configuration that the agent accepts, on the port of its probes', async () => {
    using folder = new TemporaryFolder();
    const text = asText(member(kind('ConfigMap'), 'data')['neuron-otel.yaml'], 'neuron-otel.yaml');
    writeFileSync(folder.file('neuron-otel.yaml'), text);
    const args = asTexts(container['args']).map((arg) => (arg.endsWith('.yaml') ? folder.file('neuron-otel.yaml') : arg));
    await using agent = new AgentProcess(['validate', ...args]);
    await agent.process.endsWith(0);
    const [port = {}] = asObjects(container['ports'], 'ports');
    expect(agent.process.stdout.toString('utf8')).toContain(String(port['containerPort']));
    expect(agent.process.stdout.toString('utf8')).toContain('0.0.0.0');
  });

  function kind(name: string): JsonObject {
    return asObject(
      documents.find((document) => document['kind'] === name),
      name,
    );
  }
});

function member(object: JsonObject, key: string): JsonObject {
  return asObject(object[key], key);
}

function asTexts(value: unknown): string[] {
  return Array.isArray(value) ? value.map(String) : [];
}
