import { VIRTUAL_INSTANCE_TYPES } from '../../simulator/instances.ts';
import { describeOutputs } from './support/outputs.ts';

// The smallest host is compared by `npm test`.
const others = VIRTUAL_INSTANCE_TYPES.filter((instanceType) => instanceType !== 'trn2.3xlarge');

describeOutputs(others.map((instanceType) => ({ instanceType, periodMs: 5_000, stepMs: 1_000 })));
