import { describe, expect, it } from 'vitest';
import { runtimeResource } from '../../receivers/index.ts';
import { podOfCores } from '../../receivers/placement.ts';
import type { HostFacts, NeuronCoreCounters, NeuronK8sInfo } from '../../src/readings.ts';
import { GroupTest } from '../support/receive.ts';

const pod = (name: string, containers: readonly string[] = ['main'], namespace = 'ml') => ({
  pod_name: name,
  namespace,
  container_names: containers,
});
const A = { 'k8s.pod.name': 'a', 'k8s.namespace.name': 'ml', 'k8s.container.name': 'main' };

function facts(neuron_k8s_info: NeuronK8sInfo): HostFacts {
  return { neuron_k8s_info, neuron_hardware_info: { neuroncore_per_device_count: 2 } };
}

describe('the pod of a set of cores', () => {
  it('is the pod that holds all of them', () => {
    const known = facts({ neuroncores_k8s_info: { '0': pod('a'), '1': pod('a'), '2': pod('b') } });
    expect(podOfCores([0, 1], known)).toEqual(A);
    expect(podOfCores([2], known)).toEqual({ ...A, 'k8s.pod.name': 'b' });
  });

  it('is found by device where pods are given devices, unless a core is given by itself', () => {
    const known = facts({ neurondevices_k8s_info: { '1': pod('a') }, neuroncores_k8s_info: { '3': pod('b') } });
    expect(podOfCores([2], known)).toEqual(A);
    expect(podOfCores([3], known)).toEqual({ ...A, 'k8s.pod.name': 'b' });
    expect(podOfCores([2], { neuron_k8s_info: { neurondevices_k8s_info: { '1': pod('a') } } })).toBeUndefined();
  });

  it('is no pod where the cores disagree, and unknown where no pod holds one of them', () => {
    const known = facts({ neuroncores_k8s_info: { '0': pod('a'), '1': pod('b'), '2': pod('a', ['main'], 'other') } });
    expect(podOfCores([0, 1], known)).toEqual({});
    expect(podOfCores([0, 2], known)).toEqual({});
    expect(podOfCores([0, 7], known)).toBeUndefined();
  });

  it('names a container only where every core agrees on one', () => {
    const known = facts({
      neuroncores_k8s_info: { '0': pod('a', ['x']), '1': pod('a', ['y']), '2': pod('a', ['x', 'y']), '3': pod('a', []) },
    });
    expect(podOfCores([0], known)).toEqual({ ...A, 'k8s.container.name': 'x' });
    for (const cores of [[0, 1], [2], [3]]) expect(podOfCores(cores, known)).toEqual({ 'k8s.pod.name': 'a', 'k8s.namespace.name': 'ml' });
  });

  it('is unknown without placements or without cores in use', () => {
    expect(podOfCores([0], {})).toBeUndefined();
    expect(podOfCores([0], facts({ neuroncores_k8s_info: {} }))).toBeUndefined();
    expect(podOfCores([], facts({ neuroncores_k8s_info: { '0': pod('a') } }))).toBeUndefined();
  });
});

function using(zero: number, one: number): { readonly data: NeuronCoreCounters } {
  return { data: { neuroncores_in_use: { '0': { neuroncore_utilization: zero }, '1': { neuroncore_utilization: one } } } };
}

describe('the resource of a process', () => {
  const known = { facts: facts({ neuroncores_k8s_info: { '0': pod('a'), '1': pod('b') } }) };

  it('names the pod of the cores it uses, not of those it lists, and keeps it while idle', () => {
    const counters = new GroupTest('neuroncore_counters', { context: { ...known, ratesAreMeaningful: true, eccCounts: 'cumulative' } });
    expect(counters.receive(using(0, 0)).resource).not.toHaveProperty('k8s.pod.name');
    expect(counters.receive(using(30, 0)).resource).toMatchObject(A);
    expect(counters.receive(using(0, 0)).resource).toMatchObject(A);
    expect(counters.receive(using(30, 5)).resource).not.toHaveProperty('k8s.pod.name');
  });

  it.each([
    ['one core is missing', facts({ neuroncores_k8s_info: { '1': pod('b') } })],
    ['no pod holds anything', facts({ neuroncores_k8s_info: {} })],
    ['there are no placements at all', {}],
    ['the core has moved to the map of devices, which names no pod for it', facts({ neurondevices_k8s_info: { '5': pod('b') } })],
  ])('keeps the pod of a living process through a reading in which %s', (_name, later) => {
    const counters = new GroupTest('neuroncore_counters', { context: { ...known, ratesAreMeaningful: true, eccCounts: 'cumulative' } });
    counters.receive(using(30, 0));
    expect(counters.receive(using(30, 0), { facts: later }).resource).toMatchObject(A);
    expect(counters.receive(using(30, 0)).resource).toMatchObject(A);
  });

  it('names the pod from memory in use as well', () => {
    const memory = new GroupTest('memory_used', { context: { ...known, ratesAreMeaningful: true, eccCounts: 'cumulative' } });
    const { resource } = memory.receive({ data: { neuroncore_memory_usage: { '0': { tensors: 0 }, '1': { tensors: 1 } } } });
    expect(resource).toMatchObject({ 'k8s.pod.name': 'b' });
  });

  it('identifies the process by pid and creation time, and carries its tag', () => {
    expect(runtimeResource({ pid: 12, tag: 'trainer', startTimeMs: Date.UTC(2026, 0, 2, 3, 4, 5, 678) })).toEqual({
      'process.pid': 12,
      'process.creation.time': '2026-01-02T03:04:05.678Z',
      'neuron.runtime.tag': 'trainer',
    });
  });

  it('leaves out unknown attributes and adds those of the host', () => {
    expect(runtimeResource({ pid: 12, tag: '', attributes: { 'container.id': 'c0ffee' } })).toEqual({
      'process.pid': 12,
      'container.id': 'c0ffee',
    });
  });
});
