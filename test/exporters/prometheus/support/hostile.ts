import { metrics as executionMetrics } from '../../../../receivers/execution_stats/metrics.ts';
import { metrics as memoryMetrics } from '../../../../receivers/memory_used/metrics.ts';
import { cycle, runtime, testStore } from '../../../support/metrics.ts';
import type { TestStore } from '../../../support/metrics.ts';

/** What a workload may put into a tag, a model's name or a pod's name. */
export function hostileValues(): readonly (readonly [name: string, value: string])[] {
  return [
    ['quotes', 'a"b""c"'],
    ['backslashes', String.raw`\a\\b\n\"`],
    ['a backslash at the end', 'end\\'],
    ['line ends', 'a\nb\r\nc\u2028d'],
    ['NUL', 'a\u0000b'],
    ['ANSI escapes', '\u001b[31mred\u001b[0m'],
    ['right-to-left marks', 'abc\u202edef\u200f'],
    ['braces and commas', 'a="b"} 1\n# TYPE x gauge\nx{a="b",c="'],
    ['emoji', '🔥 training 火'],
    ['a lone surrogate', 'a\ud800b'],
    ['a megabyte', 'm"\n\\é'.repeat(200_000)],
    ['nothing', ''],
  ];
}

/** A process whose tag, pod, model and outcome are called so, on a host that is called so. */
export function hostileStore(value: string): TestStore {
  const store = testStore({ resource: { 'ec2.tag.Name': value }, isEnabled: () => true });
  const pod = { 'k8s.pod.name': value, 'k8s.namespace.name': value, 'k8s.container.name': value };
  const entity = runtime('1', { 'process.pid': 1, 'neuron.runtime.tag': value, ...pod });
  store.apply(cycle(1, entity, { group: 'execution_stats' }), (recorder) => {
    recorder.add(executionMetrics.executions, 1, { 'neuron.execution.outcome': value });
  });
  store.apply(cycle(1, entity, { group: 'memory_used' }), (recorder) => {
    recorder.set(memoryMetrics.modelMemory, 5, {
      'neuron.device.index': 0,
      'neuron.core.index': 0,
      'neuron.memory.location': 'host',
      'neuron.memory.category': undefined,
      'neuron.model.name': value,
      'neuron.model.uuid': undefined,
      'neuron.model.id': 1,
      'neuron.model.subgraph.name': value,
    });
  });
  return store;
}
