import { prometheusServices } from '../exporters/index.ts';
import { createLegacyEndpoint } from '../exporters/prometheus/index.ts';
import { loadCertificate } from '../exporters/prometheus/web/web-policy.ts';
import { streamOnly } from '../sources/index.ts';
import type { SourceSet } from '../sources/index.ts';
import { createNeuronMonitorSource } from '../sources/neuron-monitor/source.ts';
import { EXIT } from '../src/errors.ts';
import type { Logger } from '../src/log.ts';
import { failureText } from '../src/regular-file.ts';
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
  /** Configuration of a neuron-monitor that the agent starts, instead of a stream on stdin. */
  readonly neuronMonitorConfig?: string;
}

/**
 * Serves the page of neuron-monitor-prometheus.py: of neuron-monitor's stream on stdin until the stream ends, as that script does, or of a
 * neuron-monitor that it starts itself with a configuration, as the entry point of AWS's image does. Where neuron-monitor is not
 * installed, native sources serve the groups of that configuration.
 */
export async function prometheus(input: PrometheusInput, io: CliIo): Promise<number> {
  const { port, keyFile, certFile, enableK8sInfo, neuronMonitorConfig } = input;
  if ((keyFile === undefined) !== (certFile === undefined)) {
    io.stderr.write('neuron-otel: --key-file and --cert-file go together\n');
    return EXIT.usage;
  }
  const certificate = keyFile === undefined || certFile === undefined ? undefined : { keyFile, certFile };
  const refusal = certificate === undefined ? undefined : certificateRefusal(certificate);
  if (refusal !== undefined) {
    io.stderr.write(`neuron-otel: --cert-file, --key-file: ${refusal}\n`);
    return EXIT.config;
  }
  const flags = { ...input.flags, '--exporter': ['prometheus'] };
  const loaded =
    neuronMonitorConfig === undefined
      ? load({ flags: { ...flags, '--source': '-' } }, io)
      : load({ flags, configFile: neuronMonitorConfig, configFlag: '--neuron-monitor-config' }, io);
  if (typeof loaded === 'number') return loaded;
  const { config, logger } = loaded;
  const options = { port, enableK8sInfo: enableK8sInfo === true, ...certificate };
  const assembly = await assemble({
    config,
    io,
    logger,
    ...(neuronMonitorConfig === undefined ? { sources: stdinAlone(io, logger) } : {}),
    exporters: (services) => [createLegacyEndpoint(options, prometheusServices(services, 'prometheus'))],
  });
  return runAssembly(assembly, io, logger);
}

/** The stream of a neuron-monitor that may run elsewhere: nothing of this host is mixed in. */
function stdinAlone({ host, stdin }: CliIo, logger: Logger): SourceSet {
  return streamOnly(host, createNeuronMonitorSource({ mode: 'stdin', host, logger, input: stdin }));
}

function certificateRefusal(files: { readonly keyFile: string; readonly certFile: string }): string | undefined {
  try {
    loadCertificate(files);
    return undefined;
  } catch (thrown) {
    return failureText(thrown);
  }
}
