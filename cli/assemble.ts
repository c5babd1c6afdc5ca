import { bootTimeMs } from '../sources/procfs/pid-stat.ts';
import { readMachine } from '../sources/imds/facts.ts';
import type { SourceSet } from '../sources/index.ts';
import { createExporter } from '../exporters/index.ts';
import type { ExporterServices } from '../exporters/index.ts';
import { reportFromLine } from '../exporters/json-stdout/from-line.ts';
import { reportFromReadings } from '../exporters/json-stdout/from-readings.ts';
import { RECEIVERS, runtimeResource } from '../receivers/index.ts';
import { neuronMonitorFile, selectionOf } from '../config/groups.ts';
import { sourceSpecOf } from '../sources/settings.ts';
import { Agent } from '../src/agent.ts';
import { Collection } from '../src/collection.ts';
import type { Exporter } from '../src/exporter.ts';
import type { Host } from '../src/host.ts';
import { machineName } from '../src/identity.ts';
import type { Logger } from '../src/log.ts';
import { toggleOf } from '../src/metric-table.ts';
import type { MetricDefinition } from '../src/metric-table.ts';
import type { HostFacts } from '../src/readings.ts';
import type { Selection } from '../src/selection.ts';
import type { AgentSetup } from '../src/setup.ts';
import { SelfTelemetry } from '../src/telemetry.ts';
import { SeriesStore } from '../src/store.ts';
import type { StreamSource } from '../src/source.ts';
import { VERSION } from '../src/version.ts';
import type { AgentConfig } from './config.ts';
import type { CliIo } from './io.ts';
import { ExporterPool, isSame } from './exporter-pool.ts';
import { createConfiguredSources } from './virtual.ts';
import type { SourceEnvironment } from './virtual.ts';

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

/** One agent with everything around it. */
export interface Assembly {
  readonly agent: Agent;
  /** Exporters and sources in use; a reload changes them. */
  readonly exporters: readonly Exporter[];
  readonly sources: SourceSet;
  readonly collection: Collection;
  /**
   * Puts another configuration in force. Exporters and sources whose settings are the same go on: the page stays open, queues keep their
   * requests, series their totals. Rejects when something new cannot be started; then the agent stands still until the next call.
   */
  reload(config: AgentConfig): Promise<void>;
  [Symbol.asyncDispose](): Promise<void>;
}

/** Wires one agent: the only place that imports every room. */
export async function assemble(options: AssembleOptions): Promise<Assembly> {
  const { config, io, logger } = options;
  const environment = { host: io.host, logger, stdin: io.stdin, runtimes: () => assembly.collection.runtimes };
  const sources = options.sources ?? (await createConfiguredSources(config, environment));
  const assembly: WiredAssembly = new WiredAssembly(options, environment, sources);
  await assembly.createAgent();
  return assembly;
}

class WiredAssembly implements Assembly {
  readonly collection: Collection;
  readonly #options: AssembleOptions;
  readonly #environment: SourceEnvironment;
  readonly #telemetry: SelfTelemetry;
  readonly #store: SeriesStore;
  readonly #pool = new ExporterPool((entry) => createExporter(entry, this.#services()));
  #config: AgentConfig;
  #selection: Selection;
  #agent: Agent | undefined;
  sources: SourceSet;
  exporters: readonly Exporter[] = [];

  constructor(options: AssembleOptions, environment: SourceEnvironment, sources: SourceSet) {
    const { config, io, logger } = options;
    const { clock } = io.host;
    this.#options = options;
    this.#environment = environment;
    this.#config = config;
    this.#selection = selectionOf(config);
    this.sources = sources;
    this.#telemetry = new SelfTelemetry({ logger: logger.child({ component: 'agent' }), clock });
    this.#store = new SeriesStore({ version: VERSION, ...storeSettings(config) });
    this.collection = new Collection({
      clock,
      store: this.#store,
      telemetry: this.#telemetry,
      receivers: new Map(RECEIVERS.map((receiver) => [receiver.group, receiver])),
      runtimeResource,
      ...this.#collectionSettings(),
      ...withBootTime(bootTimeMs(sources.host)),
    });
  }

  get agent(): Agent {
    if (this.#agent === undefined) throw new Error('the agent was not created');
    return this.#agent;
  }

  async createAgent(): Promise<void> {
    const { config, io, logger, exporters, firstReadingsApartMs, legacySnapshots = true } = this.#options;
    this.exporters = await (exporters?.(this.#services()) ?? this.#pool.take(config.exporters));
    this.#agent = new Agent({
      ...this.#setup(),
      clock: io.host.clock,
      logger: logger.child({ component: 'agent' }),
      store: this.#store,
      collection: this.collection,
      telemetry: this.#telemetry,
      ...(firstReadingsApartMs === undefined ? {} : { firstReadingsApartMs }),
      legacySnapshots,
      version: VERSION,
    });
  }

  async reload(next: AgentConfig): Promise<void> {
    const { sources } = this;
    const keepsSources = isSame(sourceNeeds(this.#config), sourceNeeds(next));
    const keptSources = keepsSources ? [...sources.pullSources, ...(sources.stream === undefined ? [] : [sources.stream])] : [];
    await this.agent.reconfigure(new Set([...this.#pool.keep(next.exporters), ...keptSources]), async () => {
      this.#config = next;
      this.#selection = selectionOf(next);
      this.#store.reconfigure(storeSettings(next));
      if (!keepsSources) {
        await sources[Symbol.asyncDispose]();
        this.sources = await createConfiguredSources(next, this.#environment);
      }
      this.collection.reconfigure(this.#collectionSettings());
      this.exporters = await this.#pool.take(next.exporters);
      return this.#setup();
    });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.agent[Symbol.asyncDispose]();
    await this.sources[Symbol.asyncDispose]();
  }

  #services(): ExporterServices {
    const { io, logger } = this.#options;
    return {
      env: io.host.env,
      clock: io.host.clock,
      logger,
      telemetry: this.#telemetry,
      stdout: io.stdout,
      version: VERSION,
      collect: () => this.agent.snapshot({ selfMetrics: this.#config.telemetry.self_metrics }),
      generation: () => this.agent.generation,
      isReady: () => this.agent.ready,
      sources: () => this.#telemetry.activeSources(),
    };
  }

  #setup(): AgentSetup {
    const { collection, exporters, sources } = this;
    const selection = this.#selection;
    return {
      selection,
      exporters,
      pullSources: sources.pullSources,
      reports: {
        fromLine: (line) => reportFromLine(line, selection),
        fromReadings: (readings, { runtimes }) => reportFromReadings({ readings, facts: collection.factReadings(), runtimes }),
      },
      selfMetrics: this.#config.telemetry.self_metrics,
      ...(sources.stream === undefined ? {} : { stream: sources.stream satisfies StreamSource }),
    };
  }

  #collectionSettings() {
    const { identify, host } = this.sources;
    return {
      selection: this.#selection,
      identify,
      hostIdentity: hostIdentityOf(this.#config, host),
      eccCounts: this.#config.ecc_counts,
    };
  }
}

/** The part of a configuration that sources read. */
function sourceNeeds(config: AgentConfig): unknown {
  const { kind } = sourceSpecOf(config.source);
  const isChild = kind === 'auto' || kind === 'neuron-monitor';
  return [config.source, config.metrics, isChild ? neuronMonitorFile(config) : undefined, kind === 'virtual' ? config.periodMs : undefined];
}

function storeSettings(config: AgentConfig) {
  const isOn = new Map(config.metrics);
  return {
    resource: {
      'service.name': 'neuron-otel',
      'service.version': VERSION,
      'telemetry.distro.name': 'neuron-otel',
      'telemetry.distro.version': VERSION,
      ...Object.fromEntries(config.resource.attributes),
    },
    maxSeries: config.telemetry.max_series,
    isEnabled: (metric: MetricDefinition) => (metric.legacyOnly === true ? metric.enabled : (isOn.get(toggleOf(metric)) ?? metric.enabled)),
  };
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
