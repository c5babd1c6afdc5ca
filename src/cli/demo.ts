import { Readable } from 'node:stream';
import { setTimeout as delay } from 'node:timers/promises';
import { streamOnly } from '../../sources/index.ts';
import { createNeuronMonitorSource } from '../../sources/neuron-monitor/source.ts';
import { createProcfsSource } from '../../sources/procfs/source.ts';
import { isVirtualInstanceType, VIRTUAL_INSTANCE_TYPES } from '../../sources/virtual/instances.ts';
import type { VirtualInstanceType } from '../../sources/virtual/instances.ts';
import { virtualNeuronMonitorLines } from '../../sources/virtual/neuron-monitor-lines.ts';
import { EXIT } from '../errors.ts';
import { assemble } from './assemble.ts';
import { load } from './config-command.ts';
import type { CliIo } from './io.ts';
import { runAssembly } from './run.ts';

export interface DemoFlags {
  readonly port: number;
  readonly instanceType: string;
  readonly seconds?: number;
  readonly verbose?: 0 | 1 | 2 | 3 | 4;
  readonly logFormat?: 'text' | 'json';
}

const PERIOD_MS = 1_000;
const SEED = 7;

/** A living agent without Neuron hardware: a simulated Neuron workload, and the CPU and memory of this very machine. */
export async function demo(flags: DemoFlags, io: CliIo): Promise<number> {
  if (!isVirtualInstanceType(flags.instanceType)) {
    io.stderr.write(`neuron-otel: --instance-type takes one of ${VIRTUAL_INSTANCE_TYPES.join(', ')}\n`);
    return EXIT.usage;
  }
  const loaded = load({ verbose: flags.verbose ?? 2, ...flags, exporter: ['prometheus'], source: 'native' }, io, {
    prometheusPort: flags.port,
  });
  if (typeof loaded === 'number') return loaded;
  const config = { ...loaded.config, periodMs: PERIOD_MS };
  const ended = new AbortController();
  const stop = AbortSignal.any([io.stop, ended.signal]);
  const input = Readable.from(workload(flags.instanceType, stop));
  const { logger } = loaded;
  const stream = createNeuronMonitorSource({ mode: 'stdin', host: io.host, logger, input });
  const assembly = await assemble({
    config,
    io,
    logger,
    sources: streamOnly(io.host, stream, [createProcfsSource({ host: io.host, runtimes: () => [] })]),
  });
  if (flags.seconds !== undefined) void delay(flags.seconds * 1_000, undefined, { ref: false }).then(() => ended.abort());
  io.stdout.write(welcome(flags));
  return runAssembly(assembly, { ...io, stop }, logger);
}

/** neuron-monitor's records of the simulated host at their own pace; host CPU and memory are left to this machine's `/proc`. */
async function* workload(instanceType: VirtualInstanceType, stop: AbortSignal): AsyncGenerator<string> {
  const lines = virtualNeuronMonitorLines({ instanceType, seed: SEED, periodMs: PERIOD_MS, originMs: Date.now(), warmupMs: 120_000 });
  for (const line of lines) {
    const record = JSON.parse(line) as { system_data: Record<string, unknown> | null };
    if (record.system_data !== null) {
      const { vcpu_usage: _vcpu, memory_info: _memory, ...rest } = record.system_data;
      record.system_data = rest;
    }
    yield `${JSON.stringify(record)}\n`;
    try {
      await delay(PERIOD_MS, undefined, { signal: stop });
    } catch {
      return;
    }
  }
}

function welcome(flags: DemoFlags): string {
  const base = `http://127.0.0.1:${flags.port}`;
  return [
    `neuron-otel demo: a simulated ${flags.instanceType} at work, with the CPU and memory of this machine.`,
    'Nothing here comes from Neuron hardware.',
    '',
    `  page for a browser   ${base}/`,
    `  Prometheus           ${base}/metrics`,
    `  utilization          curl -s ${base}/metrics | grep ^neuron_core_utilization`,
    `  latency histogram    curl -s ${base}/metrics | grep ^neuron_execution`,
    `  health, readiness    ${base}/-/healthy  ${base}/-/ready`,
    '',
    flags.seconds === undefined ? 'Ctrl-C stops it.' : `It stops after ${flags.seconds} s.`,
    '',
  ].join('\n');
}
