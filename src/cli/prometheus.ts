import { streamOnly } from '../../sources/index.ts';
import { createNeuronMonitorSource } from '../../sources/neuron-monitor/source.ts';
import { assemble } from './assemble.ts';
import { load } from './config-command.ts';
import type { CliIo } from './io.ts';
import { runAssembly } from './run.ts';

export interface PrometheusFlags {
  readonly port: number;
  readonly keyFile?: string;
  readonly certFile?: string;
  readonly enableK8sInfo?: boolean;
  readonly verbose?: 0 | 1 | 2 | 3 | 4;
  readonly logFormat?: 'text' | 'json';
}

/** Reads neuron-monitor's stream on stdin and serves the page of neuron-monitor-prometheus.py. */
export async function prometheus(flags: PrometheusFlags, io: CliIo): Promise<number> {
  const loaded = load({ ...flags, exporter: ['prometheus'], source: '-' }, io, {
    prometheusPort: flags.port,
    prometheusHost: '0.0.0.0',
    naming: 'legacy',
  });
  if (typeof loaded === 'number') return loaded;
  const { config, logger } = loaded;
  const stream = createNeuronMonitorSource({ mode: 'stdin', host: io.host, logger, input: io.stdin });
  const sources = streamOnly(io.host, stream);
  return runAssembly(await assemble({ config, io, logger, sources }), io, logger);
}
