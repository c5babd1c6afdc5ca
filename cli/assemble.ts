import { bootTimeMs } from '../sources/procfs/pid-stat.ts';
import { readMachine } from '../sources/imds/facts.ts';
import type { SourceSet } from '../sources/index.ts';
import { createExporters } from '../exporters/index.ts';
import type { ExporterServices } from '../exporters/index.ts';
import { reportFromLine } from '../exporters/json-stdout/from-line.ts';
import { reportFromReadings } from '../exporters/json-stdout/from-readings.ts';
import { RECEIVERS, runtimeResource } from '../receivers/index.ts';
import { selectionOf } from '../config/groups.ts';
import { Agent } from '../src/agent.ts';
import { Collection } from '../src/collection.ts';
import type { Exporter } from '../src/exporter.ts';
import type { Host } from '../src/host.ts';
import { machineName } from '../src/identity.ts';
import type { Logger } from '../src/log.ts';
import { toggleOf } from '../src/metric-table.ts';
import type { MetricDefinition } from '../src/metric-table.ts';
import type { HostFacts } from '../src/readings.ts';
import { SelfTelemetry } from '../src/telemetry.ts';
import { SeriesStore } from '../src/store.ts';
import type { StreamSource } from '../src/source.ts';
import { VERSION } from '../src/version.ts';
import type { AgentConfig } from './config.ts';
import type { CliIo } from './io.ts';
import { createConfiguredSources } from './virtual.ts';

export interface AssembleOptions {
  readonly config: AgentConfig;
  readonly io: CliIo;
  readonly logger: Logger;
  /** Instead of the sources the configuration names. */
  readonly sources?: SourceSet;
  /** In place of the configured exporters. */
  readonly exporters?: (services: ExporterServices) => readonly Exporter[] | Promise<readonly Exporter[]>;
  /** Native sources are read twice at the start, so far apart, for a first report that is complete; once when absent. */
  readonly firstReadingsApartMs?: number;
  /** Snapshots also hold what feeds legacy families only; true when absent, because a Prometheus page may need it. */
  readonly legacySnapshots?: boolean;
}

export interface Assembly {
  readonly agent: Agent;
  readonly exporters: readonly Exporter[];
  readonly sources: SourceSet;
  readonly collection: Collection;
}

/** Wires one agent: the only place that knows every part. */
export async function assemble(options: AssembleOptions): Promise<Assembly> {
  const { config, io, logger } = options;
  const { clock } = io.host;
  const telemetry = new SelfTelemetry({ logger: logger.child({ component: 'agent' }), clock });
  const selection = selectionOf(config);
  const store = createStore(config);
  const sources =
    options.sources ??
    (await createConfiguredSources(config, { host: io.host, logger, stdin: io.stdin, runtimes: () => collection.runtimes }));
  const collection: Collection = new Collection({
    clock,
    store,
    selection,
    telemetry,
    receivers: new Map(RECEIVERS.map((receiver) => [receiver.group, receiver])),
    runtimeResource,
    identify: sources.identify,
    hostIdentity: hostIdentityOf(config, sources.host),
    eccCounts: config.ecc_counts,
    ...withBootTime(bootTimeMs(sources.host)),
  });
  const createConfigured = (services: ExporterServices): Promise<readonly Exporter[]> => createExporters(config.exporters, services);
  const exporters = await (options.exporters ?? createConfigured)({
    env: io.host.env,
    clock,
    logger,
    telemetry,
    stdout: io.stdout,
    version: VERSION,
    collect: () => agent.snapshot({ selfMetrics: config.telemetry.self_metrics }),
    generation: () => agent.generation,
    isReady: () => agent.ready,
    sources: () => telemetry.activeSources(),
  });
  const agent: Agent = new Agent({
    clock,
    logger: logger.child({ component: 'agent' }),
    selection,
    store,
    collection,
    telemetry,
    exporters,
    pullSources: sources.pullSources,
    reports: {
      fromLine: (line) => reportFromLine(line, selection),
      fromReadings: (readings, { runtimes }) => reportFromReadings({ readings, facts: collection.factReadings(), runtimes }),
    },
    ...(options.firstReadingsApartMs === undefined ? {} : { firstReadingsApartMs: options.firstReadingsApartMs }),
    selfMetrics: config.telemetry.self_metrics,
    legacySnapshots: options.legacySnapshots ?? true,
    version: VERSION,
    ...(sources.stream === undefined ? {} : { stream: sources.stream satisfies StreamSource }),
  });
  return { agent, exporters, sources, collection };
}

function createStore(config: AgentConfig): SeriesStore {
  const isOn = new Map(config.metrics);
  return new SeriesStore({
    version: VERSION,
    resource: {
      'service.name': 'neuron-otel',
      'service.version': VERSION,
      'telemetry.distro.name': 'neuron-otel',
      'telemetry.distro.version': VERSION,
      ...Object.fromEntries(config.resource.attributes),
    },
    maxSeries: config.telemetry.max_series,
    isEnabled: (metric: MetricDefinition) => (metric.legacyOnly === true ? metric.enabled : (isOn.get(toggleOf(metric)) ?? metric.enabled)),
  });
}

/**
 * The user's own word first, then the id of the instance, which a stream from another host brings with its first record, then what this
 * machine knows by itself. The firmware has the id of the instance also where the metadata service does not answer, or answers late.
 */
function hostIdentityOf(config: AgentConfig, host: Host): (facts: HostFacts) => string | undefined {
  const ofUser = new Map(config.resource.attributes).get('host.id');
  return ({ instance_info: instance }) => {
    if (ofUser !== undefined) return String(ofUser);
    if (instance?.instance_id !== undefined && instance.instance_id !== '') return instance.instance_id;
    return readMachine(host).info.instance_id ?? machineName(host);
  };
}

function withBootTime(bootMs: number | undefined): { readonly bootTimeMs?: number } {
  return bootMs === undefined ? {} : { bootTimeMs: bootMs };
}
