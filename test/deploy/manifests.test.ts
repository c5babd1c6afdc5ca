/** The Kubernetes manifests and the systemd files, held against nodes and rights. */
import { readFileSync } from 'node:fs';
import { resolve } from 'node:path';
import { describe, expect, it } from 'vitest';
import { parse, parseAllDocuments } from 'yaml';
import { NEURON_NODES, OTHER_NODES } from './node-labels.ts';
import type { NodeCase } from './node-labels.ts';

const ROOT = resolve(import.meta.dirname, '../..');

interface Expression {
  readonly key: string;
  readonly operator: string;
  readonly values?: readonly string[];
}

interface Toleration {
  readonly key?: string;
  readonly operator?: string;
  readonly value?: string;
  readonly effect?: string;
}

interface PodSpec {
  readonly affinity: {
    readonly nodeAffinity: {
      readonly requiredDuringSchedulingIgnoredDuringExecution: {
        readonly nodeSelectorTerms: readonly { readonly matchExpressions: readonly Expression[] }[];
      };
    };
  };
  readonly tolerations: readonly Toleration[];
  readonly securityContext: Readonly<Record<string, unknown>>;
  readonly containers: readonly { readonly securityContext: Readonly<Record<string, unknown>> }[];
}

interface DaemonSet {
  readonly kind: string;
  readonly spec: { readonly template: { readonly spec: PodSpec } };
}

function podOf(name: string): PodSpec {
  const documents = parseAllDocuments(read(`deploy/kubernetes/${name}`)).map((document): DaemonSet => document.toJS());
  const found = documents.find(({ kind }) => kind === 'DaemonSet');
  if (found === undefined) throw new Error(`${name} has no DaemonSet`);
  return found.spec.template.spec;
}

function read(path: string): string {
  return readFileSync(resolve(ROOT, path), 'utf8');
}

/** As the scheduler decides it: any term, all expressions of a term. */
function attracts({ affinity }: PodSpec, { labels }: NodeCase): boolean {
  const terms = affinity.nodeAffinity.requiredDuringSchedulingIgnoredDuringExecution.nodeSelectorTerms;
  return terms.some(({ matchExpressions }) => matchExpressions.every((expression) => matches(expression, labels)));
}

function matches({ key, operator, values }: Expression, labels: NodeCase['labels']): boolean {
  const label = labels[key];
  if (operator === 'Exists') return label !== undefined;
  if (operator === 'In') return label !== undefined && values?.includes(label) === true;
  throw new Error(`operator ${operator} is not known to this test`);
}

function tolerates({ tolerations }: PodSpec, taint: { readonly key: string; readonly value?: string; readonly effect: string }): boolean {
  return tolerations.some(
    ({ key, operator, value, effect }) =>
      (key === undefined || key === taint.key) &&
      (effect === undefined || effect === taint.effect) &&
      (operator === 'Exists' || value === taint.value),
  );
}

describe.each(['daemonset.yaml', 'daemonset-processes.yaml'])('%s', (name) => {
  const pod = podOf(name);

  it.each(NEURON_NODES)('is scheduled on $name', (node) => {
    expect(attracts(pod, node)).toBe(true);
  });

  it.each(NEURON_NODES.filter(({ taints }) => taints !== undefined))('tolerates the taints of $name', ({ taints = [] }) => {
    expect(taints.filter((taint) => !tolerates(pod, taint))).toEqual([]);
  });

  it.each(OTHER_NODES)('stays away from $name', (node) => {
    expect(attracts(pod, node)).toBe(false);
  });
});

describe('the rights of the manifests', () => {
  it('are none in daemonset.yaml', () => {
    expect(podOf('daemonset.yaml').containers[0]?.securityContext['capabilities']).toEqual({ drop: ['ALL'] });
  });

  it('are CAP_SYS_PTRACE of user 0 and nothing else in daemonset-processes.yaml', () => {
    expect(podOf('daemonset-processes.yaml').containers[0]?.securityContext['capabilities']).toEqual({
      drop: ['ALL'],
      add: ['SYS_PTRACE'],
    });
    expect(podOf('daemonset-processes.yaml').securityContext['runAsUser']).toBe(0);
  });

  it('are the only difference between the two manifests', () => {
    const [plain, processes] = [read('deploy/kubernetes/daemonset.yaml'), read('deploy/kubernetes/daemonset-processes.yaml')].map((text) =>
      withoutRights(text),
    );
    expect(processes).toEqual(plain);
  });

  it('are CAP_SYS_PTRACE and nothing else in the drop-in of the systemd unit', () => {
    const settings = read('deploy/systemd/processes.conf')
      .split('\n')
      .filter((line) => /^\w+=/.test(line));
    expect(settings).toEqual(['CapabilityBoundingSet=CAP_SYS_PTRACE', 'AmbientCapabilities=CAP_SYS_PTRACE']);
  });
});

function withoutRights(manifest: string): unknown {
  const text = manifest
    .replace(/ +runAsNonRoot: true\n/, '')
    .replace(/runAs(User|Group): \d+/g, 'runAs$1: 0')
    .replace(/ +add: \[SYS_PTRACE\]\n/, '');
  return text.split(/^---$/m).map((document): unknown => parse(document));
}
