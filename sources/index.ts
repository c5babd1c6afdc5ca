import type { Readable } from 'node:stream';
import type { AgentConfig } from '../config/agent-config.ts';
import { neuronMonitorFile } from '../config/groups.ts';
import type { Host } from '../src/host.ts';
import type { Logger } from '../src/log.ts';
import type { RuntimeRef } from '../src/report.ts';
import type { PullSource, StreamSource } from '../src/source.ts';
import { findBinary } from './neuron-monitor/binary.ts';
import { createNeuronMonitorSource } from './neuron-monitor/source.ts';
import { createProcessInspector } from './processes/inspector.ts';
import { createProcfsSource } from './procfs/source.ts';
import { createSysfsSource } from './sysfs/source.ts';

export interface SourceServices {
  readonly host: Host;
  readonly logger: Logger;
  readonly stdin: Readable;
  /** Neuron processes that the stream named last. */
  readonly runtimes: () => readonly RuntimeRef[];
}

/** What serves this run: a stream at most, and native sources in order of preference. */
export interface SourceSet {
  readonly stream?: StreamSource;
  readonly pullSources: readonly PullSource[];
  /** Adds what this host knows about a process; the process itself where its pid is not this host's. */
  readonly identify: (runtime: RuntimeRef) => RuntimeRef;
  [Symbol.asyncDispose](): Promise<void>;
}

/** Which source serves which group begins here: the stream first for what it delivers, then the native ones in this order. */
export async function createSources(config: AgentConfig, services: SourceServices): Promise<SourceSet> {
  const { host, logger } = services;
  const stream = await createStream(config, services);
  const kind = config.source.spec.kind;
  // A piped or recorded stream may come from another machine, or from another pid namespace.
  const pidsAreLocal = kind !== 'file' && kind !== 'stdin';
  const inspector = createProcessInspector({ host });
  const runtimes = stream === undefined ? () => inspector.discover(host.clock.monotonicMs()) : pidsAreLocal ? services.runtimes : () => [];
  const isRecording = kind === 'file';
  const pullSources: PullSource[] = [];
  if (!isRecording) pullSources.push(createSysfsSource({ host, logger }));
  if (config.source.procfs === 'on' || (config.source.procfs === 'auto' && !isRecording))
    pullSources.push(createProcfsSource({ host, runtimes }));
  return {
    pullSources,
    identify: (runtime) => (pidsAreLocal ? inspector.enrich(runtime) : runtime),
    async [Symbol.asyncDispose]() {
      inspector[Symbol.dispose]();
    },
    ...(stream === undefined ? {} : { stream }),
  };
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

/** A source set of one stream whose processes are not this host's. */
export function streamOnly(stream: StreamSource, pullSources: readonly PullSource[] = []): SourceSet {
  return { stream, pullSources, identify: (runtime) => runtime, [Symbol.asyncDispose]: () => Promise.resolve() };
}
