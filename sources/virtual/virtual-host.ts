import { mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Clock, Host, Timer } from '../../src/host.ts';
import { driverGeneration } from './driver-generation.ts';
import { startImdsServer } from './imds-server.ts';
import type { ImdsServer } from './imds-server.ts';
import type { VirtualInstanceType } from './instances.ts';
import { createWorkloadModel } from './model.ts';
import { ProcTree } from './proc-tree.ts';
import { SlabTree } from './slab-tree.ts';
import { addSysfs } from './sysfs-tree.ts';
import { TreeWriter } from './tree-writer.ts';
import type { Truth } from './truth.ts';

export interface VirtualHostOptions {
  readonly instanceType: VirtualInstanceType;
  readonly seed: number;
  /** An existing directory that is the host's alone: `sys`, `proc`, `dev`, `nds` and `root` are made in it, and removed at the end. */
  readonly directory: string;
  readonly clock: Clock;
  /** As `/sys/module/neuron/version` says it; 2.30.2.0 by default. */
  readonly driverVersion?: string;
  /** Unit of `nc_time_in_use`, which documents disagree about; picoseconds by default. */
  readonly timeUnit?: 'us' | 'ps';
  /** Starts a metadata service on the loopback interface; its address is in the host's environment. */
  readonly imds?: boolean;
}

/** A simulated Neuron host in a directory. The agent reads it with the code it reads real hosts with; only the roots differ. */
export interface VirtualHost {
  /** What to give to sources. */
  readonly host: Host;
  /** `<nds>/neuron<N>/<pid>`: datastores of the processes, one file each. */
  readonly ndsRoot: string;
  /** What is true now; changes with the next step. */
  truth(): Truth;
  /** Moves the host on by `dtMs`, or up to the clock's time, and brings the files up to date. Returns how many were written. */
  step(dtMs?: number): number;
  /** Steps by itself every `periodMs`, until the host is disposed. */
  run(periodMs: number): void;
  [Symbol.asyncDispose](): Promise<void>;
}

const DEFAULT_DRIVER = '2.30.2.0';

/** Same options, same clock: the same bytes. Rejects when the directory cannot be written or the driver version is none. */
export async function createVirtualHost(options: VirtualHostOptions): Promise<VirtualHost> {
  const driver = driverGeneration(options.driverVersion ?? DEFAULT_DRIVER);
  const model = createWorkloadModel({ instanceType: options.instanceType, seed: options.seed, originMs: options.clock.nowMs() });
  const { truth } = model;
  const roots = Object.fromEntries(['sys', 'proc', 'dev', 'nds', 'root'].map((name) => [name, join(options.directory, name)]));
  const { sys = '', proc = '', dev = '', nds = '', root = '' } = roots;
  const writers = { sys: new TreeWriter(sys), proc: new TreeWriter(proc), nds: new TreeWriter(nds) };
  addSysfs(writers.sys, { truth, driver, timeUnit: options.timeUnit ?? 'ps' });
  addDmi(writers.sys, truth);
  addDevices(dev, truth);
  mkdirSync(root, { recursive: true });
  const processes = new ProcTree(writers.proc, truth);
  const slabs = new SlabTree(writers.nds, truth);
  const imds = options.imds === true ? await startImdsServer(truth) : undefined;
  return new RunningHost({
    options,
    model,
    roots: { sys, proc, dev, nds, root },
    writers: [writers.sys, writers.proc, writers.nds],
    follow: () => {
      processes.follow();
      slabs.follow();
    },
    imds,
  });
}

interface Parts {
  readonly options: VirtualHostOptions;
  readonly model: ReturnType<typeof createWorkloadModel>;
  readonly roots: { readonly sys: string; readonly proc: string; readonly dev: string; readonly nds: string; readonly root: string };
  readonly writers: readonly TreeWriter[];
  /** Makes the trees follow processes that came and went. */
  readonly follow: () => void;
  readonly imds: ImdsServer | undefined;
}

class RunningHost implements VirtualHost {
  readonly host: Host;
  readonly ndsRoot: string;
  readonly #parts: Parts;
  readonly #startedAtMs: number;
  #steppedMs = 0;
  #timer: Timer | undefined;

  constructor(parts: Parts) {
    const { options, roots, imds } = parts;
    this.#parts = parts;
    this.#startedAtMs = options.clock.monotonicMs();
    this.ndsRoot = roots.nds;
    this.host = {
      clock: options.clock,
      env: imds === undefined ? {} : { AWS_EC2_METADATA_SERVICE_ENDPOINT: imds.endpoint },
      procRoot: roots.proc,
      sysRoot: roots.sys,
      devRoot: roots.dev,
      fsRoot: roots.root,
    };
  }

  truth(): Truth {
    return this.#parts.model.truth;
  }

  step(dtMs?: number): number {
    const { options, model, writers, follow } = this.#parts;
    const passedMs = dtMs ?? options.clock.monotonicMs() - this.#startedAtMs - this.#steppedMs;
    this.#steppedMs += passedMs;
    model.step(passedMs);
    follow();
    return writers.reduce((written, writer) => written + writer.update(), 0);
  }

  run(periodMs: number): void {
    this.#timer?.[Symbol.dispose]();
    const { clock } = this.#parts.options;
    this.#timer = clock.setTimer(
      () => {
        this.step();
        this.run(periodMs);
      },
      periodMs,
      { background: true },
    );
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#timer?.[Symbol.dispose]();
    this.#timer = undefined;
    const { writers, imds, roots } = this.#parts;
    await imds?.[Symbol.asyncDispose]();
    for (const writer of writers) writer.close();
    for (const path of Object.values(roots)) rmSync(path, { recursive: true, force: true });
  }
}

/** What the firmware of an EC2 instance says about it. */
function addDmi(writer: TreeWriter, { instance, identity }: Truth): void {
  const file = (name: string, text: string): void => writer.add({ path: `class/dmi/id/${name}`, content: () => `${text}\n` });
  file('sys_vendor', 'Amazon EC2');
  file('product_name', instance.instanceType);
  file('board_asset_tag', identity.instanceId);
}

/** Names only: device nodes of a virtual host cannot be opened for anything useful. */
function addDevices(devRoot: string, truth: Truth): void {
  mkdirSync(devRoot, { recursive: true });
  for (const device of truth.devices) writeFileSync(join(devRoot, `neuron${device.index}`), '');
}
