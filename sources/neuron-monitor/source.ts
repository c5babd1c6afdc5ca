import type { StreamSource } from '../../src/source.ts';
import { ChildSource } from './child-source.ts';
import type { ChildOptions } from './child-source.ts';
import { FileSource } from './file.ts';
import type { FileOptions } from './file.ts';
import { StdinSource } from './stdin.ts';
import type { StdinOptions } from './stdin.ts';

/** Where the records come from: a child process of ours, a pipe on stdin, or a file. */
export type NeuronMonitorOptions =
  | ({ readonly mode: 'child' } & ChildOptions)
  | ({ readonly mode: 'stdin' } & StdinOptions)
  | ({ readonly mode: 'file' } & FileOptions);

/** A stream of neuron-monitor's records. All three speak the same format and differ only in where the bytes come from. */
export function createNeuronMonitorSource(options: NeuronMonitorOptions): StreamSource {
  switch (options.mode) {
    case 'child':
      return new ChildSource(options);
    case 'stdin':
      return new StdinSource(options);
    case 'file':
      return new FileSource(options);
  }
}
