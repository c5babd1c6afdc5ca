import { describeOutputs } from './support/outputs.ts';

describeOutputs([
  { instanceType: 'trn2.3xlarge', periodMs: 5_000, stepMs: 1_000 },
  // Executions of a batch job last longer than two of these periods.
  { instanceType: 'inf1.6xlarge', periodMs: 1_000, stepMs: 250 },
]);
