import type { InstanceSpec } from './instances.ts';
import type { Random } from './random.ts';
import { CPU_MODES } from './truth.ts';
import type { HostTruth, ProcessTruth } from './truth.ts';

const USER = CPU_MODES.indexOf('user');
const SYSTEM = CPU_MODES.indexOf('system');
const IDLE = CPU_MODES.indexOf('idle');
const IO_WAIT = CPU_MODES.indexOf('iowait');
const SOFT_IRQ = CPU_MODES.indexOf('softirq');

/** What the rest of the system takes of every vCPU. */
const BACKGROUND: readonly (readonly [mode: number, share: number])[] = [
  [USER, 0.006],
  [SYSTEM, 0.004],
  [IO_WAIT, 0.0006],
  [SOFT_IRQ, 0.0009],
];
const KERNEL_BYTES = 3 * 1024 ** 3;
const BUFFERS_BYTES = 192 * 1024 ** 2;

/** CPU and memory of the host: a little of its own, and what the processes take. */
export class HostLoad implements HostTruth {
  readonly vcpuSeconds: readonly Float64Array[];
  contextSwitches = 0;
  forks = 2_000;
  readonly memoryTotalBytes: number;
  memoryFreeBytes = 0;
  memoryAvailableBytes = 0;
  readonly buffersBytes = BUFFERS_BYTES;
  cachedBytes: number;
  readonly #random: Random;
  readonly #cpuBefore = new Map<number, { user: number; system: number }>();

  constructor(spec: InstanceSpec, uptimeSeconds: number, random: Random) {
    this.#random = random;
    this.memoryTotalBytes = spec.hostMemoryBytes - Math.round(spec.hostMemoryBytes * 0.016);
    this.cachedBytes = Math.round(spec.hostMemoryBytes * 0.04);
    this.vcpuSeconds = Array.from({ length: spec.vcpuCount }, () => new Float64Array(CPU_MODES.length));
    for (const vcpu of this.vcpuSeconds) spend(vcpu, uptimeSeconds, BACKGROUND, 1);
    this.contextSwitches = Math.round(uptimeSeconds * 1_500);
    this.#settleMemory(0);
  }

  /** `slots` is how many processes the host's jobs have: each has its own share of the vCPUs. */
  tick(dtSeconds: number, processes: readonly ProcessTruth[], slots: number): void {
    const noise = this.#random.between(0.7, 1.3);
    const demand = new Float64Array(this.vcpuSeconds.length * 2);
    let usedSeconds = 0;
    processes.forEach((process, i) => {
      usedSeconds += this.#spread(process, i, slots, dtSeconds, demand);
    });
    this.vcpuSeconds.forEach((vcpu, i) => {
      const user = demand[2 * i] ?? 0;
      const system = demand[2 * i + 1] ?? 0;
      vcpu[USER] = (vcpu[USER] ?? 0) + user;
      vcpu[SYSTEM] = (vcpu[SYSTEM] ?? 0) + system;
      spend(vcpu, Math.max(0, dtSeconds - user - system), BACKGROUND, noise);
    });
    this.contextSwitches += Math.round((1_500 * noise + (usedSeconds / dtSeconds) * 5_200) * dtSeconds);
    let residentBytes = 0;
    for (const process of processes) residentBytes += process.residentBytes;
    this.#settleMemory(residentBytes);
  }

  /** Spreads what a process used in this tick over the vCPUs of its slot, one full vCPU after the other. */
  #spread(process: ProcessTruth, slot: number, slots: number, dtSeconds: number, demand: Float64Array): number {
    const before = this.#cpuBefore.get(process.pid) ?? { user: 0, system: 0 };
    const user = process.cpuUserSeconds - before.user;
    const system = process.cpuSystemSeconds - before.system;
    this.#cpuBefore.set(process.pid, { user: process.cpuUserSeconds, system: process.cpuSystemSeconds });
    const width = Math.max(1, Math.floor(this.vcpuSeconds.length / slots));
    const used = user + system;
    let left = used;
    for (let i = 0; i < width && left > 0; i += 1) {
      const vcpu = (slot * width + i) % this.vcpuSeconds.length;
      const share = Math.min(left, dtSeconds * 0.96);
      demand[2 * vcpu] = (demand[2 * vcpu] ?? 0) + (share * user) / used;
      demand[2 * vcpu + 1] = (demand[2 * vcpu + 1] ?? 0) + (share * system) / used;
      left -= share;
    }
    return used;
  }

  /** Forgets a process that ended: its pid may come again. */
  forget(pid: number): void {
    this.#cpuBefore.delete(pid);
    this.forks += 1;
  }

  #settleMemory(residentBytes: number): void {
    this.cachedBytes = Math.min(Math.round(this.memoryTotalBytes * 0.2), this.cachedBytes + 65_536);
    this.memoryFreeBytes = Math.max(
      Math.round(this.memoryTotalBytes * 0.02),
      this.memoryTotalBytes - KERNEL_BYTES - BUFFERS_BYTES - this.cachedBytes - Math.round(residentBytes),
    );
    this.memoryAvailableBytes = this.memoryFreeBytes + Math.round((this.cachedBytes + BUFFERS_BYTES) * 0.9);
  }
}

function spend(vcpu: Float64Array, seconds: number, shares: readonly (readonly [number, number])[], factor: number): void {
  let idle = seconds;
  for (const [mode, share] of shares) {
    const spent = Math.min(idle, share * seconds * factor);
    vcpu[mode] = (vcpu[mode] ?? 0) + spent;
    idle -= spent;
  }
  vcpu[IDLE] = (vcpu[IDLE] ?? 0) + idle;
}
