import { setTimeout as delay } from 'node:timers/promises';
import type { GroupSettings } from '../config/neuron-monitor.ts';
import { createProcfsSource } from '../sources/procfs/source.ts';
import { isVirtualInstanceType, VIRTUAL_INSTANCE_TYPES } from '../simulator/instances.ts';
import { EXIT } from '../src/errors.ts';
import type { MetricGroup } from '../src/readings.ts';
import type { PullSource } from '../src/source.ts';
import { assemble } from './assemble.ts';
import { load } from './config.ts';
import type { AgentConfig, ConfigInput } from './config.ts';
import type { CliIo } from './io.ts';
import { FIRST_READINGS_APART_MS, runAssembly } from './run.ts';
import { createConfiguredSources } from './virtual.ts';

export interface DemoInput extends ConfigInput {
  readonly port: number;
  readonly instanceType: string;
  readonly seconds?: number;
}

const PERIOD_MS = 1_000;

/** A living agent without Neuron hardware: a simulated Neuron host at work, with the CPU and memory of this very machine. */
export async function demo(input: DemoInput, io: CliIo): Promise<number> {
  if (!isVirtualInstanceType(input.instanceType)) {
    io.stderr.write(`neuron-otel: --instance-type takes one of ${VIRTUAL_INSTANCE_TYPES.join(', ')}\n`);
    return EXIT.usage;
  }
  const spec = `virtual:${input.instanceType}`;
  const loaded = load(
    { flags: { '--verbose': 2, ...input.flags, '--exporter': ['prometheus'], '--source': spec, '--port': input.port } },
    io,
  );
  if (typeof loaded === 'number') return loaded;
  const { logger } = loaded;
  const config = everySecond(loaded.config);
  const ended = new AbortController();
  const stop = AbortSignal.any([io.stop, ended.signal]);
  const simulated = await createConfiguredSources(config, { host: io.host, logger, stdin: io.stdin, runtimes: () => [] });
  const thisMachine = only(createProcfsSource({ host: io.host, runtimes: () => [] }), ['vcpu_usage', 'memory_info']);
  const sources = { ...simulated, pullSources: [thisMachine, ...simulated.pullSources] };
  const assembly = await assemble({ config, io, logger, sources, firstReadingsApartMs: FIRST_READINGS_APART_MS });
  if (input.seconds !== undefined) void delay(input.seconds * 1_000, undefined, { ref: false }).then(() => ended.abort());
  io.stdout.write(welcome(input));
  return runAssembly(assembly, { ...io, stop }, logger);
}

/** Everything that is collected by default, each second. */
function everySecond(config: AgentConfig): AgentConfig {
  const eachSecond = <G extends string>(groups: Readonly<Partial<Record<G, GroupSettings>>>): Record<string, GroupSettings> =>
    Object.fromEntries(Object.keys(groups).map((group) => [group, { periodMs: PERIOD_MS }]));
  return {
    ...config,
    periodMs: PERIOD_MS,
    runtimes: config.runtimes.map((entry) => ({ ...entry, groups: eachSecond(entry.groups) })),
    systemGroups: eachSecond(config.systemGroups),
  };
}

/** A source that serves some of its groups and leaves the rest to others. */
function only(source: PullSource, groups: readonly MetricGroup[]): PullSource {
  return {
    kind: source.kind,
    id: source.id,
    groups: () => new Set(groups.filter((group) => source.groups().has(group))),
    read: (asked, signal) => source.read(asked, signal),
    [Symbol.asyncDispose]: () => source[Symbol.asyncDispose](),
  };
}

function welcome(input: DemoInput): string {
  const base = `http://127.0.0.1:${input.port}`;
  return [
    `neuron-otel demo: a simulated ${input.instanceType} at work, with the CPU and memory of this machine.`,
    'Nothing here comes from Neuron hardware.',
    '',
    `  page for a browser   ${base}/`,
    `  Prometheus           ${base}/metrics`,
    `  utilization          curl -s ${base}/metrics | grep ^neuron_core_utilization`,
    `  latency histogram    curl -s ${base}/metrics | grep ^neuron_execution`,
    `  health, readiness    ${base}/-/healthy  ${base}/-/ready`,
    '',
    input.seconds === undefined ? 'Ctrl-C stops it.' : `It stops after ${input.seconds} s.`,
    '',
  ].join('\n');
}
