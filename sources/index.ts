import type { Readable } from 'node:stream';
import type { Host } from '../src/host.ts';
import type { Logger } from '../src/log.ts';
import type { RuntimeRef } from '../src/readings.ts';
import type { PullSource, StreamSource } from '../src/source.ts';
import { findBinary } from './neuron-monitor/binary.ts';
import { createNeuronMonitorSource } from './neuron-monitor/source.ts';
import { createNdsSource } from './nds/source.ts';
import { createProcessInspector } from './processes/inspector.ts';
import type { ProcessInspector, ScanResult } from './processes/inspector.ts';
import { createProcfsSource } from './procfs/source.ts';
import { createImdsSource } from './imds/source.ts';
import { hostLogicalCoreConfig } from './processes/identity.ts';
import { sourceSpecOf } from './settings.ts';
import type { SourceSettings } from './settings.ts';
import { createSysfsSource } from './sysfs/source.ts';

export interface SourceServices {
  readonly host: Host;
  readonly logger: Logger;
  readonly stdin: Readable;
  /** Neuron processes that the stream named last. */
  readonly runtimes: () => readonly RuntimeRef[];
  /** Content of the configuration file for a neuron-monitor that is started as a child process. */
  readonly neuronMonitorFile: Readonly<Record<string, unknown>>;
  /** Metrics that are switched on, which may need more files to be read. */
  readonly isOn: (metric: string) => boolean;
}

/** The sources of one run: a stream at most, and native sources in order of preference. */
export interface SourceSet {
  /** The host the sources read: this machine, or a simulated one. */
  readonly host: Host;
  readonly stream?: StreamSource;
  readonly pullSources: readonly PullSource[];
  /** Adds what this host knows about a process; the process itself where its pid is not this host's. */
  readonly identify: (runtime: RuntimeRef) => RuntimeRef;
  [Symbol.asyncDispose](): Promise<void>;
}

/** Creates the sources in order of preference: the stream first for what it delivers, then the native ones in this order. */
export async function createSources(settings: SourceSettings, services: SourceServices): Promise<SourceSet> {
  const spec = sourceSpecOf(settings);
  const stream = await createStream(settings, services);
  const inspector = createProcessInspector({ host: services.host });
  // A piped or recorded stream may come from another machine, or from another pid namespace.
  const pidsAreLocal = spec.kind !== 'file' && spec.kind !== 'stdin';
  const discovered = (): readonly RuntimeRef[] => inspector.discover(services.host.clock.monotonicMs());
  const runtimes = stream === undefined ? discovered : pidsAreLocal ? services.runtimes : () => [];
  return {
    host: services.host,
    pullSources: nativeSources(settings, {
      ...services,
      inspector,
      runtimes,
      isRecording: spec.kind === 'file',
      ...(stream === undefined && { scans: () => inspector.scans }),
    }),
    identify: (runtime) => (pidsAreLocal ? inspector.enrich(runtime) : runtime),
    [Symbol.asyncDispose]: () => Promise.resolve(inspector[Symbol.dispose]()),
    ...(stream === undefined ? {} : { stream }),
  };
}

export interface NativeServices extends Pick<SourceServices, 'host' | 'logger' | 'runtimes' | 'isOn'> {
  readonly inspector: ProcessInspector;
  readonly isRecording: boolean;
  /** Present where processes are found by looking at `/proc`. */
  readonly scans?: () => ScanResult;
}

/** A recording is of another time and, often, another host: nothing of this one is mixed in, unless the configuration says so. */
export function nativeSources(settings: SourceSettings, services: NativeServices): readonly PullSource[] {
  const { procfs, imds, nds } = settings;
  const { host, logger, inspector, runtimes, isOn, isRecording, scans } = services;
  // Thousands of files that only these metrics need.
  const detail = {
    peaks: isOn('neuron.device.memory.peak') || isOn('neuron.device.host_memory.peak'),
    events: isOn('neuron.core.events'),
  };
  const sources: PullSource[] = [];
  if (!isRecording && nds.enabled) sources.push(createNdsSource({ host, inspector }));
  if (!isRecording) sources.push(createSysfsSource({ host, logger, detail, logicalCoreConfig: () => hostLogicalCoreConfig(host) }));
  if (procfs === 'on' || (procfs === 'auto' && !isRecording))
    sources.push(createProcfsSource({ host, runtimes, ...(scans !== undefined && { scans }) }));
  if (!isRecording) sources.push(createImdsSource({ host, enabled: imds.enabled, endpoint: imds.endpoint, budgetMs: imds.budget }));
  return sources;
}

async function createStream(settings: SourceSettings, services: SourceServices): Promise<StreamSource | undefined> {
  const spec = sourceSpecOf(settings);
  const { host, stdin } = services;
  const common = { host, logger: services.logger.child({ component: 'neuron-monitor' }) };
  const { path, stall_after: stallAfterMs } = settings.neuron_monitor;
  const child = (binary = path): StreamSource =>
    createNeuronMonitorSource({
      mode: 'child',
      ...common,
      config: services.neuronMonitorFile,
      ...(stallAfterMs === null ? {} : { stallAfterMs }),
      ...(binary === null ? {} : { binary }),
    });
  switch (spec.kind) {
    case 'stdin':
      return createNeuronMonitorSource({ mode: 'stdin', ...common, input: stdin });
    case 'file':
      return createNeuronMonitorSource({ mode: 'file', ...common, path: spec.path, speed: settings.speed });
    case 'neuron-monitor':
      return child(spec.path);
    case 'auto':
      return (await isInstalled(host, path)) ? child() : undefined;
    case 'native':
    case 'virtual':
      return undefined;
  }
}

/** Without the binary a host is served natively. */
async function isInstalled(host: Host, path: string | null): Promise<boolean> {
  try {
    await findBinary(host, path ?? undefined);
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
