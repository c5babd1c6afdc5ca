import type { JobKind } from './instances.ts';
import type { Random } from './random.ts';

/** What a process does right now, on each of its logical cores. */
export interface Activity {
  readonly executionsPerSecond: number;
  /** Median time of one execution on the device. */
  readonly deviceSeconds: number;
  /** Sigma of the log-normal distribution around the median. */
  readonly spread: number;
  /** Share of executions that take several times as long. */
  readonly tailShare: number;
  /** Mean time an execution waits on the host. */
  readonly queueSeconds: number;
  /** Share of the core's peak compute rate reached while busy. */
  readonly efficiency: number;
  /** vCPUs in use. */
  readonly cpuUser: number;
  readonly cpuSystem: number;
  /** 0…1: how full the part of tensor memory is that grows with load (KV cache). */
  readonly cacheFill: number;
}

/** Behaviour of one process over model time; asked with rising times only. */
export interface ActivityPattern {
  at(nowMs: number): Activity;
}

export const IDLE: Activity = {
  executionsPerSecond: 0,
  deviceSeconds: 0,
  spread: 0,
  tailShare: 0,
  queueSeconds: 0,
  efficiency: 0,
  cpuUser: 0.05,
  cpuSystem: 0.02,
  cacheFill: 0,
};

export function createPattern(kind: JobKind, random: Random): ActivityPattern {
  switch (kind) {
    case 'training':
      return trainingPattern(random);
    case 'inference':
      return inferencePattern(random);
    case 'batch':
      return batchPattern(random);
    case 'task':
      return taskPattern(random);
  }
}

const CHECKPOINT_EVERY_MS = 120_000;
const CHECKPOINT_MS = 8_000;

/** Ranks of one job in lock-step near full load; every two minutes a checkpoint leaves the cores idle and the host busy. */
function trainingPattern(random: Random): ActivityPattern {
  const deviceSeconds = random.between(0.045, 0.056);
  const phase = random.between(0, 2 * Math.PI);
  return {
    at(nowMs) {
      if (nowMs % CHECKPOINT_EVERY_MS >= CHECKPOINT_EVERY_MS - CHECKPOINT_MS) {
        return { ...IDLE, cpuUser: 5.5, cpuSystem: 3.5 };
      }
      const busy = 0.9 + 0.05 * Math.sin((2 * Math.PI * nowMs) / 47_000 + phase);
      return {
        executionsPerSecond: busy / deviceSeconds,
        deviceSeconds,
        spread: 0.012,
        tailShare: 0,
        queueSeconds: 0.0004,
        efficiency: 0.43,
        cpuUser: 1.6,
        cpuSystem: 0.25,
        cacheFill: 0.5,
      };
    },
  };
}

/** Requests in waves with bursts; latency rises with load. */
function inferencePattern(random: Random): ActivityPattern {
  const idleSeconds = random.between(0.0062, 0.0078);
  const phase = random.between(0, 2 * Math.PI);
  let burstFromMs = 0;
  let burstUntilMs = -1;
  return {
    at(nowMs) {
      if (nowMs > burstUntilMs) {
        burstFromMs = nowMs + 15_000 + random.exponential(60_000);
        burstUntilMs = burstFromMs + random.between(8_000, 22_000);
      }
      const wave = 0.46 + 0.24 * Math.sin((2 * Math.PI * nowMs) / 90_000 + phase);
      const burst = nowMs >= burstFromMs ? 0.35 : 0;
      const load = Math.min(0.93, wave + burst);
      const deviceSeconds = idleSeconds * (1 + 0.5 * load ** 3);
      return {
        executionsPerSecond: load / deviceSeconds,
        deviceSeconds,
        spread: 0.05 + 0.05 * load,
        tailShare: 0.002 + 0.01 * load ** 4,
        queueSeconds: (0.0006 * load) / (1.02 - load),
        efficiency: 0.17,
        cpuUser: 0.8 + 2.6 * load,
        cpuSystem: 0.15 + 0.4 * load,
        cacheFill: load,
      };
    },
  };
}

const BATCH_CYCLE_MS = 36_000;
const BATCH_BUSY_MS = 21_000;

/** Long executions in batches with pauses between; each execution is longer than a one-second period. */
function batchPattern(random: Random): ActivityPattern {
  const deviceSeconds = random.between(2.1, 2.7);
  const offsetMs = random.between(0, BATCH_CYCLE_MS);
  return {
    at(nowMs) {
      if ((nowMs + offsetMs) % BATCH_CYCLE_MS >= BATCH_BUSY_MS) return { ...IDLE, cpuUser: 0.9, cpuSystem: 0.3 };
      return {
        executionsPerSecond: 0.94 / deviceSeconds,
        deviceSeconds,
        spread: 0.015,
        tailShare: 0,
        queueSeconds: 0.02,
        efficiency: 0.31,
        cpuUser: 0.4,
        cpuSystem: 0.1,
        cacheFill: 0.3,
      };
    },
  };
}

/** At one pace from start to end, of which no two tasks have the same. */
function taskPattern(random: Random): ActivityPattern {
  const deviceSeconds = random.between(0.002, 0.009);
  const activity: Activity = {
    executionsPerSecond: random.between(0.2, 0.9) / deviceSeconds,
    deviceSeconds,
    spread: 0.03,
    tailShare: 0,
    queueSeconds: 0.0005,
    efficiency: random.between(0.1, 0.4),
    cpuUser: random.between(0.2, 1.5),
    cpuSystem: random.between(0.05, 0.3),
    cacheFill: random.next(),
  };
  return { at: () => activity };
}
