import { neuronMonitorFile, periodsOf } from '../config/groups.ts';
import { createVirtualDirectory, createVirtualHost } from '../simulator/virtual-host.ts';
import { isVirtualInstanceType, VIRTUAL_INSTANCE_TYPES } from '../simulator/instances.ts';
import type { VirtualHost } from '../simulator/virtual-host.ts';
import { createSources, nativeSources } from '../sources/index.ts';
import type { SourceServices, SourceSet } from '../sources/index.ts';
import { createProcessInspector } from '../sources/processes/inspector.ts';
import { sourceSpecOf } from '../sources/settings.ts';
import { AgentError } from '../src/errors.ts';
import type { Clock, Timer } from '../src/host.ts';
import type { RuntimeRef } from '../src/readings.ts';
import type { AgentConfig } from './config.ts';

/** The simulated host has the same history in every run, and is past its start when it is first read. */
const SEED = 7;
const WARM_UP_MS = 120_000;
const FIRST_STEP_MS = 20;
const FIRST_STEPS_MS = 1_500;
const DEFAULT_INSTANCE_TYPE = 'trn2.48xlarge';

/** The services that the configuration itself gives to sources. */
export type SourceEnvironment = Omit<SourceServices, 'neuronMonitorFile' | 'isOn'>;

/** Creates the sources that the configuration names: those of this host, or those of a simulated one. */
export async function createConfiguredSources(config: AgentConfig, environment: SourceEnvironment): Promise<SourceSet> {
  const spec = sourceSpecOf(config.source);
  if (spec.kind === 'virtual') return await virtualSources(config, environment, spec.instanceType);
  return await createSources(config.source, { ...environment, ...fromConfig(config) });
}

/** A simulated host in a folder of its own, read by the native sources. */
async function virtualSources(
  config: AgentConfig,
  environment: SourceEnvironment,
  instanceType = DEFAULT_INSTANCE_TYPE,
): Promise<SourceSet> {
  if (!isVirtualInstanceType(instanceType))
    throw new AgentError('config_invalid', 'virtual', `no simulated ${instanceType}; there are ${VIRTUAL_INSTANCE_TYPES.join(', ')}`);
  const directory = createVirtualDirectory();
  const virtual = await createVirtualHost({
    instanceType,
    seed: SEED,
    directory: directory.path,
    clock: environment.host.clock,
    warmUpMs: WARM_UP_MS,
    imds: true,
  });
  const firstSteps = runInFirstSteps(virtual, environment.host.clock, Math.min(1_000, ...periodsOf(config).values()));
  const sources = sourcesOnVirtualHost(config, environment, virtual);
  return {
    ...sources,
    async [Symbol.asyncDispose]() {
      firstSteps[Symbol.dispose]();
      await sources[Symbol.asyncDispose]();
      await virtual[Symbol.asyncDispose]();
      directory[Symbol.dispose]();
    },
  };
}

/** A first report covers a tenth of a second, so the host moves in small steps until it is out. */
function runInFirstSteps(virtual: VirtualHost, clock: Clock, periodMs: number): Timer {
  virtual.run(Math.min(FIRST_STEP_MS, periodMs));
  return clock.setTimer(() => virtual.run(periodMs), FIRST_STEPS_MS, { background: true });
}

/** The native sources, on a simulated host that the caller keeps running. */
export function sourcesOnVirtualHost(config: AgentConfig, environment: SourceEnvironment, virtual: VirtualHost): SourceSet {
  const { host } = virtual;
  const inspector = createProcessInspector({ host });
  const { imds } = config.source;
  // The datastores of a simulated host are files: none of the doubts about real ones applies.
  const settings = { ...config.source, imds: { ...imds, endpoint: virtual.imdsEndpoint ?? imds.endpoint }, nds: { enabled: true } };
  const runtimes = (): readonly RuntimeRef[] => inspector.discover(host.clock.monotonicMs());
  return {
    host,
    pullSources: nativeSources(settings, { ...environment, ...fromConfig(config), host, inspector, runtimes, isRecording: false }),
    identify: (runtime) => inspector.enrich(runtime),
    [Symbol.asyncDispose]: () => Promise.resolve(inspector[Symbol.dispose]()),
  };
}

function fromConfig(config: AgentConfig): Pick<SourceServices, 'neuronMonitorFile' | 'isOn'> {
  const toggles = new Map(config.metrics);
  return { neuronMonitorFile: neuronMonitorFile(config), isOn: (metric) => toggles.get(metric) === true };
}
