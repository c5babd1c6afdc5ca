import { accessSync, constants, mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { errnoName } from '../src/file-error.ts';
import type { Clock, Host, Timer } from '../src/host.ts';
import type { ChurnOptions } from './churn.ts';
import { DatastoreTree } from './datastore-writer.ts';
import { driverGeneration } from './driver-generation.ts';
import { startImdsServer } from './imds-server.ts';
import type { ImdsServer } from './imds-server.ts';
import type { VirtualInstanceType } from './instances.ts';
import { createWorkloadModel } from './model.ts';
import type { WorkloadModel } from './model.ts';
import { ProcTree } from './proc-tree.ts';
import { addSysfs } from './sysfs-writer.ts';
import { TreeWriter } from './tree-writer.ts';
import type { Truth } from './truth.ts';

export interface VirtualHostOptions {
  readonly instanceType: VirtualInstanceType;
  readonly seed: number;
  /**
   * An existing directory that is the host's alone: `sys`, `proc`, `dev` and `root` are made in it, and removed at the end. Some 14,000 small
   * files on the largest host: best in memory (`/dev/shm`).
   */
  readonly directory: string;
  readonly clock: Clock;
  /** How long the host has been at work when it is first read; 0 by default: then models are still to be loaded. */
  readonly warmUpMs?: number;
  /** As `/sys/module/neuron/version` says it; 2.30.2.0 by default. */
  readonly driverVersion?: string;
  /** Unit of `nc_time_in_use`, which documents disagree about; picoseconds by default. */
  readonly timeUnit?: 'us' | 'ps';
  /** Starts a metadata service on the loopback interface. */
  readonly imds?: boolean;
  /** Short-lived processes; none when absent. */
  readonly churn?: ChurnOptions;
}

/** A simulated Neuron host in a directory. The agent reads it with the code it reads real hosts with; only the roots differ. */
export interface VirtualHost {
  /** What to give to sources. Device nodes are folders with one file for each process: its datastore. */
  readonly host: Host;
  /** Address of the metadata service, where one was asked for. */
  readonly imdsEndpoint: string | undefined;
  /** What is true now; changes with the next step. */
  truth(): Truth;
  /** Moves the host on by what passed since the last step, or by `dtMs`, and brings the files up to date. Returns how many were written. */
  step(dtMs?: number): number;
  /** With `false` short-lived processes end and no more of them come, until they are wanted again; from the next step on. */
  setChurn(isOn: boolean): void;
  /** Steps by itself every `periodMs`, until the host is disposed. */
  run(periodMs: number): void;
  [Symbol.asyncDispose](): Promise<void>;
}

const DEFAULT_DRIVER = '2.30.2.0';

/** Same options, same clock: the same bytes. Rejects when the directory cannot be written or the driver version is none. */
export async function createVirtualHost(options: VirtualHostOptions): Promise<VirtualHost> {
  const driver = driverGeneration(options.driverVersion ?? DEFAULT_DRIVER);
  const { instanceType, seed, clock, warmUpMs = 0, churn } = options;
  const model = createWorkloadModel({ instanceType, seed, originMs: clock.nowMs() - warmUpMs, ...(churn !== undefined && { churn }) });
  const truth = model.step(warmUpMs);
  const imds = options.imds === true ? await startImdsServer(truth) : undefined;
  const host = new RunningHost(options, model, imds);
  addSysfs(host.writers.sys, { truth, driver, timeUnit: options.timeUnit ?? 'ps' });
  addDmi(host.writers.sys, truth);
  host.follow(new ProcTree(host.writers.proc, truth));
  host.follow(new DatastoreTree(host.writers.dev, truth, { inherits: driver.countersAreLive }));
  return host;
}

/** A part of the host's files that has to know which processes came and went. */
interface Follower {
  addStarted(): void;
  removeEnded(): void;
}

class RunningHost implements VirtualHost {
  readonly host: Host;
  readonly imdsEndpoint: string | undefined;
  readonly writers: { readonly sys: TreeWriter; readonly proc: TreeWriter; readonly dev: TreeWriter };
  readonly #clock: Clock;
  readonly #model: WorkloadModel;
  readonly #imds: ImdsServer | undefined;
  readonly #followers: Follower[] = [];
  #steppedAtMs: number;
  #timer: Timer | undefined;

  constructor({ directory, clock }: VirtualHostOptions, model: WorkloadModel, imds: ImdsServer | undefined) {
    this.#clock = clock;
    this.#model = model;
    this.#imds = imds;
    this.#steppedAtMs = clock.monotonicMs();
    this.imdsEndpoint = imds?.endpoint;
    const below = (name: string): string => join(directory, name);
    this.host = { clock, env: {}, procRoot: below('proc'), sysRoot: below('sys'), devRoot: below('dev'), fsRoot: below('root') };
    const { sysRoot, procRoot, devRoot, fsRoot } = this.host;
    this.writers = { sys: new TreeWriter(sysRoot), proc: new TreeWriter(procRoot), dev: new TreeWriter(devRoot) };
    mkdirSync(fsRoot, { recursive: true });
  }

  follow(follower: Follower): void {
    this.#followers.push(follower);
    follower.addStarted();
  }

  truth(): Truth {
    return this.#model.truth;
  }

  setChurn(isOn: boolean): void {
    this.#model.setChurn(isOn);
  }

  step(dtMs?: number): number {
    const nowMs = this.#clock.monotonicMs();
    const passedMs = nowMs - this.#steppedAtMs;
    this.#steppedAtMs = nowMs;
    this.#model.step(dtMs ?? passedMs);
    this.#followProcesses();
    return Object.values(this.writers).reduce((written, writer) => written + writer.update(), 0);
  }

  /** A process is there before its datastores are, and still there when they are gone; then its pid may have another owner. */
  #followProcesses(): void {
    for (const follower of this.#followers.toReversed()) follower.removeEnded();
    for (const follower of this.#followers) follower.addStarted();
  }

  run(periodMs: number): void {
    this.#timer?.[Symbol.dispose]();
    const step = (): void => {
      this.step();
      this.run(periodMs);
    };
    this.#timer = this.#clock.setTimer(step, periodMs, { background: true });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#timer?.[Symbol.dispose]();
    this.#timer = undefined;
    await this.#imds?.[Symbol.asyncDispose]();
    for (const writer of Object.values(this.writers)) writer.close();
    const { sysRoot, procRoot, devRoot, fsRoot } = this.host;
    for (const path of [sysRoot, procRoot, devRoot, fsRoot]) rmSync(path, { recursive: true, force: true });
  }
}

/** What the firmware of an EC2 instance says about it. */
function addDmi(writer: TreeWriter, { instance, identity }: Truth): void {
  const file = (name: string, text: string): void => writer.add({ path: `class/dmi/id/${name}`, content: () => `${text}\n` });
  file('sys_vendor', 'Amazon EC2');
  file('product_name', instance.instanceType);
  file('board_asset_tag', identity.instanceId);
}

/** Where a machine keeps files in memory. */
const IN_MEMORY = '/dev/shm';

/** A new directory for a virtual host, in memory where the machine has such a place; disposal removes it with all it holds. */
export function createVirtualDirectory(): { readonly path: string; [Symbol.dispose](): void } {
  const path = mkdtempSync(join(isWritable(IN_MEMORY) ? IN_MEMORY : tmpdir(), 'neuron-otel-virtual-'));
  return { path, [Symbol.dispose]: () => rmSync(path, { recursive: true, force: true }) };
}

function isWritable(path: string): boolean {
  try {
    accessSync(path, constants.W_OK);
    return true;
  } catch (thrown) {
    if (errnoName(thrown) === undefined) throw thrown;
    return false;
  }
}
