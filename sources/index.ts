import type { Readable } from 'node:stream';
import type { AgentConfig } from '../config/agent-config.ts';
import { neuronMonitorFile, periodsOf } from '../config/groups.ts';
import { AgentError } from '../src/errors.ts';
import type { Host } from '../src/host.ts';
import type { Logger } from '../src/log.ts';
import type { RuntimeRef } from '../src/readings.ts';
import type { PullSource, StreamSource } from '../src/source.ts';
import { findBinary } from './neuron-monitor/binary.ts';
import { createNeuronMonitorSource } from './neuron-monitor/source.ts';
import { createNdsSource } from './nds/source.ts';
import { createProcessInspector } from './processes/inspector.ts';
import type { ProcessInspector } from './processes/inspector.ts';
import { createProcfsSource } from './procfs/source.ts';
import { createImdsSource } from './imds/source.ts';
import { hostLogicalCoreConfig } from './processes/logical-core-config.ts';
import { createVirtualDirectory } from '../simulator/directory.ts';
import { isVirtualInstanceType, VIRTUAL_INSTANCE_TYPES } from '../simulator/instances.ts';
import { createVirtualHost } from '../simulator/virtual-host.ts';
import type { VirtualHost } from '../simulator/virtual-host.ts';
import { createSysfsSource } from './sysfs/source.ts';

/** The simulated host always lives the same life, and is past its start when it is first read. */
const VIRTUAL_SEED = 7;
const VIRTUAL_WARM_UP_MS = 120_000;

export interface SourceServices {
  readonly host: Host;
  readonly logger: Logger;
  readonly stdin: Readable;
  /** Neuron processes that the stream named last. */
  readonly runtimes: () => readonly RuntimeRef[];
}

/** What serves this run: a stream at most, and native sources in order of preference. */
export interface SourceSet {
  /** The host the sources read: this machine, or a simulated one. */
  readonly host: Host;
  readonly stream?: StreamSource;
  readonly pullSources: readonly PullSource[];
  /** Adds what this host knows about a process; the process itself where its pid is not this host's. */
  readonly identify: (runtime: RuntimeRef) => RuntimeRef;
  [Symbol.asyncDispose](): Promise<void>;
}

/** Which source serves which group begins here: the stream first for what it delivers, then the native ones in this order. */
export async function createSources(config: AgentConfig, services: SourceServices): Promise<SourceSet> {
  const { spec } = config.source;
  if (spec.kind === 'virtual') return await virtualSources(config, services, spec.instanceType);
  const stream = await createStream(config, services);
  const inspector = createProcessInspector({ host: services.host });
  // A piped or recorded stream may come from another machine, or from another pid namespace.
  const pidsAreLocal = spec.kind !== 'file' && spec.kind !== 'stdin';
  const discovered = (): readonly RuntimeRef[] => inspector.discover(services.host.clock.monotonicMs());
  const runtimes = stream === undefined ? discovered : pidsAreLocal ? services.runtimes : () => [];
  return {
    host: services.host,
    pullSources: nativeSources(config, { ...services, inspector, runtimes, isRecording: spec.kind === 'file' }),
    identify: (runtime) => (pidsAreLocal ? inspector.enrich(runtime) : runtime),
    [Symbol.asyncDispose]: () => Promise.resolve(inspector[Symbol.dispose]()),
    ...(stream === undefined ? {} : { stream }),
  };
}

interface NativeServices extends SourceServices {
  readonly inspector: ProcessInspector;
  readonly isRecording: boolean;
}

/** A recording is of another time and, often, another host: nothing of this one is mixed in, unless the configuration says so. */
function nativeSources(config: AgentConfig, { host, logger, inspector, runtimes, isRecording }: NativeServices): readonly PullSource[] {
  const { procfs, imds, nds } = config.source;
  const isOn = (metric: string): boolean => config.metrics[metric] === true;
  // Thousands of files that only these metrics need.
  const detail = {
    peaks: isOn('neuron.device.memory.peak') || isOn('neuron.device.host_memory.peak'),
    events: isOn('neuron.core.events'),
  };
  const sources: PullSource[] = [];
  if (!isRecording && nds.enabled) sources.push(createNdsSource({ host, inspector }));
  if (!isRecording) sources.push(createSysfsSource({ host, logger, detail, logicalCoreConfig: () => hostLogicalCoreConfig(host) }));
  if (procfs === 'on' || (procfs === 'auto' && !isRecording)) sources.push(createProcfsSource({ host, runtimes }));
  if (!isRecording) sources.push(createImdsSource({ host, ...imds }));
  return sources;
}

/** A simulated host in a folder of its own, read by the native sources. */
async function virtualSources(config: AgentConfig, services: SourceServices, instanceType = 'trn2.48xlarge'): Promise<SourceSet> {
  if (!isVirtualInstanceType(instanceType))
    throw new AgentError('config_invalid', 'virtual', `no simulated ${instanceType}; there are ${VIRTUAL_INSTANCE_TYPES.join(', ')}`);
  const directory = createVirtualDirectory();
  const virtual = await createVirtualHost({
    instanceType,
    seed: VIRTUAL_SEED,
    directory: directory.path,
    clock: services.host.clock,
    warmUpMs: VIRTUAL_WARM_UP_MS,
    imds: true,
  });
  virtual.run(Math.min(1_000, ...periodsOf(config).values()));
  const sources = sourcesOnVirtualHost(config, services, virtual);
  return {
    ...sources,
    async [Symbol.asyncDispose]() {
      await sources[Symbol.asyncDispose]();
      await virtual[Symbol.asyncDispose]();
      directory[Symbol.dispose]();
    },
  };
}

/** The native sources, on a simulated host that somebody else keeps going. */
export function sourcesOnVirtualHost(config: AgentConfig, services: SourceServices, virtual: VirtualHost): SourceSet {
  const { host } = virtual;
  const inspector = createProcessInspector({ host });
  const endpoint = virtual.imdsEndpoint ?? config.source.imds.endpoint;
  // The datastores of a simulated host are files: none of the doubts about real ones applies.
  const source = { ...config.source, imds: { ...config.source.imds, endpoint }, nds: { enabled: true } };
  const runtimes = (): readonly RuntimeRef[] => inspector.discover(host.clock.monotonicMs());
  return {
    host,
    pullSources: nativeSources({ ...config, source }, { ...services, host, inspector, runtimes, isRecording: false }),
    identify: (runtime) => inspector.enrich(runtime),
    [Symbol.asyncDispose]: () => Promise.resolve(inspector[Symbol.dispose]()),
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
  const { stallAfterMs } = config.source.neuronMonitor;
  return createNeuronMonitorSource({
    mode: 'child',
    ...common,
    config: neuronMonitorFile(config),
    ...(stallAfterMs === undefined ? {} : { stallAfterMs }),
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
export function streamOnly(host: Host, stream: StreamSource, pullSources: readonly PullSource[] = []): SourceSet {
  return {
    host,
    stream,
    pullSources,
    identify: (runtime) => runtime,
    [Symbol.asyncDispose]: () => Promise.resolve(),
  };
}
