import type { Readable } from 'node:stream';
import type { AgentConfig } from '../config/agent-config.ts';
import { neuronMonitorFile } from '../config/groups.ts';
import type { Host } from '../src/host.ts';
import type { Logger } from '../src/log.ts';
import type { RuntimeRef } from '../src/report.ts';
import type { PullSource, StreamSource } from '../src/source.ts';
import { findBinary } from './neuron-monitor/binary.ts';
import { createNeuronMonitorSource } from './neuron-monitor/source.ts';
import { createProcfsSource } from './procfs/source.ts';

export interface SourceServices {
  readonly host: Host;
  readonly logger: Logger;
  readonly stdin: Readable;
  /** Neuron processes that are known now. */
  readonly runtimes: () => readonly RuntimeRef[];
}

/** What serves this run: a stream at most, and native sources in order of preference. */
export interface SourceSet {
  readonly stream?: StreamSource;
  readonly pullSources: readonly PullSource[];
  /** The stream comes from this very host, so its pids can be looked up in `/proc`. */
  readonly pidsAreLocal: boolean;
}

/** Which source serves which group begins here: the stream first for what it delivers, then the native ones in this order. */
export async function createSources(config: AgentConfig, services: SourceServices): Promise<SourceSet> {
  const stream = await createStream(config, services);
  const isRecording = config.source.spec.kind === 'file';
  const procfs = config.source.procfs === 'on' || (config.source.procfs === 'auto' && !isRecording);
  const pullSources = procfs ? [createProcfsSource({ host: services.host, runtimes: services.runtimes })] : [];
  const pidsAreLocal = stream !== undefined && config.source.spec.kind !== 'file' && config.source.spec.kind !== 'stdin';
  return { pullSources, pidsAreLocal, ...(stream === undefined ? {} : { stream }) };
}

async function createStream(config: AgentConfig, { host, logger, stdin }: SourceServices): Promise<StreamSource | undefined> {
  const { spec, speed } = config.source;
  const common = { host, logger: logger.child({ component: 'neuron-monitor' }) };
  switch (spec.kind) {
    case 'stdin':
      return createNeuronMonitorSource({ mode: 'stdin', ...common, input: stdin });
    case 'file':
      return createNeuronMonitorSource({ mode: 'file', ...common, path: spec.path, speed });
    case 'neuron-monitor':
      return child(config, common, spec.path ?? config.source.neuronMonitor.path);
    case 'auto':
      return (await isInstalled(host, config.source.neuronMonitor.path))
        ? child(config, common, config.source.neuronMonitor.path)
        : undefined;
    case 'native':
    case 'virtual':
      return undefined;
  }
}

function child(config: AgentConfig, common: { readonly host: Host; readonly logger: Logger }, binary: string | undefined): StreamSource {
  return createNeuronMonitorSource({
    mode: 'child',
    ...common,
    config: neuronMonitorFile(config),
    ...(binary === undefined ? {} : { binary }),
  });
}

/** Without the binary a host is served natively. */
async function isInstalled(host: Host, path: string | undefined): Promise<boolean> {
  try {
    await findBinary(host, path);
    return true;
  } catch {
    return false;
  }
}
