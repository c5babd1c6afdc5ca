import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { expect } from 'vitest';
import * as fc from 'fast-check';
import { createProcessInspector } from '../../../sources/processes/inspector.ts';
import { fixtureHost, temporaryFolder, writeTree } from '../../support/fixture-host.ts';
import { endProcess, startProcess } from '../../support/fixture-process.ts';

/** Time of the last boot of `neuronHost`. */
export const BOOT_MS = 1_767_225_600_000;

/** A host with Neuron devices and no processes, and the inspector of its processes. */
export function neuronHost(options: { readonly devices?: number } = {}) {
  const root = temporaryFolder();
  const host = fixtureHost(root);
  writeTree(root, { 'proc/stat': 'cpu  1 0 0 1 0 0 0 0\nbtime 1767225600\n' });
  for (let device = 0; device < (options.devices ?? 2); device += 1) {
    mkdirSync(join(host.sysRoot, `class/neuron_device/neuron${device}`), { recursive: true });
  }
  const inspector = createProcessInspector({ host });
  return { host, inspector, discover: () => inspector.discover(host.clock.monotonicMs()) };
}

interface LivingProcess {
  readonly startTicks: number;
  readonly tag: string;
}

/** Starts and ends `count` processes under 59 pids, and expects each process that the inspector finds to be the living one of its pid. */
export async function expectReusedPidsToBeToldApart(count: number): Promise<void> {
  const { host, inspector, discover } = neuronHost();
  const living = new Map<number, LivingProcess>();
  let found = 0;
  const draw = fc.sample(fc.tuple(fc.integer({ min: 2, max: 60 }), fc.boolean(), fc.nat(9)), { numRuns: count, seed: 7 });
  for (const [index, [pid, hasDevice, action]] of draw.entries()) {
    living.delete(pid);
    if (action === 0) endProcess(host, pid);
    else {
      const process = { startTicks: index + 1, tag: `run-${index}` };
      const environment = { NEURON_PROCESS_TAG: process.tag };
      startProcess(host, {
        pid,
        startTicks: process.startTicks,
        environment,
        ...(hasDevice && { descriptors: { 5: '/dev/neuron0' } }),
      });
      living.set(pid, process);
    }
    if (index % 10 !== 0) continue;
    await host.clock.advance(action * 2_000);
    for (const identity of discover()) {
      found += 1;
      expect(identity).toMatchObject(expectedIdentity(living.get(identity.pid)));
    }
    if (living.has(pid)) expect(inspector.identify(pid)).toMatchObject(expectedIdentity(living.get(pid)));
  }
  expect(found).toBeGreaterThan(count / 10);
}

function expectedIdentity(process: LivingProcess | undefined) {
  return { tag: process?.tag, startTimeMs: process === undefined ? undefined : BOOT_MS + process.startTicks * 10 };
}
