import { defineMetrics } from '../../src/metric-table.ts';

export const metrics = defineMetrics('instance_info', {
  legacyInfo: {
    name: 'neuron.instance.info',
    legacyOnly: true,
    unit: '1',
    instrument: 'gauge',
    valueType: 'int',
    attributes: {},
    description: 'Is 1 on every host; its labels, which every legacy family has, come from the resource.',
    enabled: true,
    source: { path: 'instance_info' },
    legacy: [{ name: 'instance_info', help: 'EC2 instance information', isInfo: true }],
  },
});
