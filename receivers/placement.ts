import type { Recorder } from '../src/receiver.ts';
import type { HostFacts, NeuronK8sInfo, PodPlacement } from '../src/readings.ts';
import { deviceOfCore } from './core-index.ts';

/** Resource attributes of the pod a Neuron process runs in; a container only where the placement names exactly one. */
export interface PodAttributes {
  readonly 'k8s.pod.name'?: string;
  readonly 'k8s.namespace.name'?: string;
  readonly 'k8s.container.name'?: string;
}

/**
 * Returns the pod that holds every one of these cores. Undefined when the placements do not answer: none is known, no core is in use, or a
 * core is missing from them; a living process then keeps the pod it had, since a process does not move between pods. Empty when the
 * placements contradict each other: cores of several pods.
 */
export function podOfCores(cores: Iterable<number>, facts: HostFacts): PodAttributes | undefined {
  const placements = facts.neuron_k8s_info;
  if (placements === undefined || !hasPlacements(placements)) return undefined;
  let pod: PodPlacement | undefined;
  const containers = new Set<string>();
  for (const core of cores) {
    const placement = placementOf(core, placements, facts);
    if (placement === undefined) return undefined;
    if (pod !== undefined && !isSamePod(pod, placement)) return {};
    pod = placement;
    for (const name of placement.container_names) containers.add(name);
  }
  return pod === undefined ? undefined : podAttributes(pod, containers);
}

/** Adds the pod to the resource of a process that uses these cores; leaves the resource as it is while the placements do not answer. */
export function contributePod(recorder: Recorder, usedCores: Iterable<number>, facts: HostFacts): void {
  const pod = podOfCores(usedCores, facts);
  if (pod !== undefined) recorder.resource({ ...pod });
}

/** Attributes of one placement. Several containers share one placement when init containers run before the others. */
export function podAttributes(placement: PodPlacement, containers: Iterable<string> = placement.container_names): PodAttributes {
  const [container, ...others] = containers;
  return {
    'k8s.pod.name': placement.pod_name,
    ...(placement.namespace === '' ? {} : { 'k8s.namespace.name': placement.namespace }),
    ...(container === undefined || others.length > 0 ? {} : { 'k8s.container.name': container }),
  };
}

/** Pods are given cores or whole devices, by the resource they ask for; the finer statement wins. */
function placementOf(core: number, placements: NeuronK8sInfo, facts: HostFacts): PodPlacement | undefined {
  const byCore = placements.neuroncores_k8s_info?.[String(core)];
  if (byCore !== undefined) return byCore;
  const device = deviceOfCore(core, facts);
  return device === undefined ? undefined : placements.neurondevices_k8s_info?.[String(device)];
}

function hasPlacements(placements: NeuronK8sInfo): boolean {
  return [placements.neuroncores_k8s_info, placements.neurondevices_k8s_info].some((map) => Object.keys(map ?? {}).length > 0);
}

function isSamePod(a: PodPlacement, b: PodPlacement): boolean {
  return a.pod_name === b.pod_name && a.namespace === b.namespace;
}
