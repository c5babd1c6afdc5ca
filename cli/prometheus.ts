import { prometheusServices } from '../exporters/index.ts';
import { createLegacyEndpoint } from '../exporters/prometheus/index.ts';
import { streamOnly } from '../sources/index.ts';
import { createNeuronMonitorSource } from '../sources/neuron-monitor/source.ts';
import { EXIT } from '../src/errors.ts';
import { assemble } from './assemble.ts';
import { load } from './config.ts';
import type { ConfigInput } from './config.ts';
import type { CliIo } from './io.ts';
import { runAssembly } from './run.ts';

export interface PrometheusInput extends ConfigInput {
  readonly port: number;
  readonly keyFile?: string;
  readonly certFile?: string;
  readonly enableK8sInfo?: boolean;
}

/** Reads neuron-monitor's stream on stdin and serves the page of neuron-monitor-prometheus.py, until the stream ends. */
export async function prometheus(input: PrometheusInput, io: CliIo): Promise<number> {
  const { port, keyFile, certFile, enableK8sInfo } = input;
  if ((keyFile === undefined) !== (certFile === undefined)) {
    io.stderr.write('neuron-otel: --key-file and --cert-file go together\n');
    return EXIT.usage;
  }
  const loaded = load({ flags: { ...input.flags, '--exporter': ['prometheus'], '--source': '-' } }, io);
  if (typeof loaded === 'number') return loaded;
  const { config, logger } = loaded;
  const stream = createNeuronMonitorSource({ mode: 'stdin', host: io.host, logger, input: io.stdin });
  const options = {
    port,
    enableK8sInfo: enableK8sInfo === true,
    ...(keyFile === undefined ? {} : { keyFile }),
    ...(certFile === undefined ? {} : { certFile }),
  };
  const assembly = await assemble({
    config,
    io,
    logger,
    sources: streamOnly(io.host, stream),
    exporters: (services) => [createLegacyEndpoint(options, prometheusServices(services, 'prometheus'))],
  });
  return runAssembly(assembly, io, logger);
}
