import { existsSync, readFileSync, readdirSync } from 'node:fs';
import { resolve } from 'node:path';
import { describe, expect, it } from 'vitest';
import { ALL_METRICS, RECEIVERS } from '../../receivers/index.ts';
import { SELF_METRICS } from '../../src/self-metrics.ts';
import { replayFixture } from '../support/replay.ts';

const FOLDER = resolve(import.meta.dirname, '../../receivers');
const HEADINGS = ['What', 'Source', 'Metrics', 'Not exported and why', 'Degradation'];
const NAMESPACES = /^(?:neuron|system|process|hw|host|cloud|k8s|ec2)\.[\w.]+$/;

describe.each(RECEIVERS.map(({ group, metrics }) => [group, metrics] as const))('receivers/%s', (group, metrics) => {
  const text = readFileSync(resolve(FOLDER, group, 'README.md'), 'utf8');

  it('is a folder of three files', () => {
    expect(readdirSync(resolve(FOLDER, group)).toSorted()).toEqual(['README.md', 'metrics.ts', 'receiver.ts']);
  });

  it('has the five headings', () => {
    expect(text.split('\n')[0]).toBe(`# ${group}`);
    expect([...text.matchAll(/^## (.*)$/gm)].map(([, heading]) => heading)).toEqual(HEADINGS);
  });

  it('names every row', () => {
    for (const { name, toggle } of Object.values(metrics)) expect(text).toContain(`\`${toggle ?? name}\``);
  });

  it('names only what exists', async () => {
    const known = await knownNames();
    const named = [...text.matchAll(/`([^`]+)`/g)].map(([, name = '']) => name).filter((name) => NAMESPACES.test(name));
    expect(named.filter((name) => !known.has(name))).toEqual([]);
  });
});

it('every receiver folder is registered', () => {
  const folders = readdirSync(FOLDER).filter((name) => existsSync(resolve(FOLDER, name, 'metrics.ts')));
  expect(folders.toSorted()).toEqual(RECEIVERS.map(({ group }) => group).toSorted());
});

/** Names of rows, toggles, attributes, self-metrics, and resource attributes that fixtures produce. */
async function knownNames(): Promise<ReadonlySet<string>> {
  const names = new Set(['host.name', 'neuron.device', 'neuron.driver.version']);
  for (const { name, toggle, attributeNames } of ALL_METRICS)
    for (const known of [name, toggle ?? name, ...attributeNames]) names.add(known);
  for (const { name } of Object.values(SELF_METRICS)) names.add(name);
  for (const fixture of ['k8s', 'trn2-lnc2']) {
    for (const { resource } of (await replayFixture(fixture)).store.collect())
      for (const name of Object.keys(resource.attributes)) names.add(name);
  }
  return names;
}
