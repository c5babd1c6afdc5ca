import { existsSync, readFileSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { driverGeneration } from '../../simulator/driver-generation.ts';
import type { VirtualInstanceType } from '../../simulator/instances.ts';
import { createWorkloadModel } from '../../simulator/model.ts';
import { addSysfs } from '../../simulator/sysfs-writer.ts';
import { TreeWriter } from '../../simulator/tree-writer.ts';
import { createVirtualHost } from '../../simulator/virtual-host.ts';
import { ManualClock } from '../support/manual-clock.ts';
import { scratchDirectory } from '../support/scratch.ts';
import { archive, packTree } from '../support/sysfs-archive.ts';

const FAMILIES = {
  inf1: { instanceType: 'inf1.6xlarge', devices: [0, 2] },
  inf2: { instanceType: 'inf2.48xlarge', devices: [0, 8, 11] },
  trn1: { instanceType: 'trn1.32xlarge', devices: [0, 12, 15] },
  trn2: { instanceType: 'trn2.48xlarge', devices: [0, 12] },
} as const satisfies Readonly<Record<string, { readonly instanceType: VirtualInstanceType; readonly devices: readonly number[] }>>;

/** Each release with the families that show what is new in it; a family that would show it a second time is left out. */
const GENERATIONS: readonly (readonly [driver: string, families: readonly (keyof typeof FAMILIES)[]])[] = [
  ['2.10.11.0', ['inf1', 'trn1']],
  ['2.21.37.0', ['inf1']],
  ['2.24.7.0', ['trn1', 'trn2']],
  ['2.28.0.0', ['inf2', 'trn2']],
  ['2.30.2.0', ['trn1', 'trn2']],
  ['2.31.7.0', ['trn2']],
];

let scratch: ReturnType<typeof scratchDirectory>;
let directory = '';

beforeEach(() => {
  scratch = scratchDirectory();
  directory = scratch.path;
});

afterEach(() => scratch[Symbol.dispose]());

describe.each(GENERATIONS.flatMap(([driver, families]) => families.map((family) => [driver, family] as const)))(
  'driver %s',
  (driver, family) => {
    test(`writes the archive of ${family}`, async () => {
      const { instanceType, devices } = FAMILIES[family];
      const model = createWorkloadModel({ instanceType, seed: 5 });
      const writer = new TreeWriter(directory);
      addSysfs(writer, { truth: model.truth, driver: driverGeneration(driver), timeUnit: 'ps', devices });
      for (let second = 0; second < 200; second += 1) {
        model.step(1_000);
        writer.update();
      }
      writer.close();
      const text = packTree(directory, () => true);
      expect(text).toBe(archive(`${driver.split('.').slice(0, 2).join('.')}-${family}`, text));
    });
  },
);

test('the largest tree has as many files as the driver makes', async () => {
  await using host = await createVirtualHost({ instanceType: 'trn2.48xlarge', seed: 1, directory, clock: new ManualClock() });
  const lines = packTree(join(host.host.sysRoot, 'devices/virtual/neuron_device'), () => true).split('\n');
  const files = lines.filter((line) => line.startsWith('  ') && !line.includes(' -> '));
  // 852 counters and facts of the driver, its core_count, connected_devices and reset, and four files of the kernel on each device.
  expect(files.length).toBe(16 * (852 + 3 + 4));
});

test('only what changed is written again, in place', async () => {
  await using host = await createVirtualHost({ instanceType: 'trn1.32xlarge', seed: 1, directory, clock: new ManualClock() });
  host.step(30_000);
  expect(host.step(0)).toBe(0);
  expect(host.step(1_000)).toBeLessThan(700);
});

test('a shorter value leaves nothing of a longer one', async () => {
  await using host = await createVirtualHost({ instanceType: 'trn1.32xlarge', seed: 1, directory, clock: new ManualClock() });
  host.step(60_000);
  const process = host.truth().processes[0];
  const file = join(host.host.sysRoot, 'devices/virtual/neuron_device/neuron0/neuron_core0/stats/memory_usage/device_mem/tensors/total');
  expect(readFileSync(file, 'latin1')).toBe(`${process?.cores[0]?.memoryBytes[1]}\n`);
  while (host.truth().processes.some(({ pid }) => pid === process?.pid)) host.step(5_000);
  expect(readFileSync(file, 'latin1')).toBe('0\n');
});

test('nothing stays behind', async () => {
  const host = await createVirtualHost({ instanceType: 'inf1.6xlarge', seed: 1, directory, clock: new ManualClock(), imds: true });
  host.run(1_000);
  expect(existsSync(join(directory, 'sys'))).toBe(true);
  await host[Symbol.asyncDispose]();
  await host[Symbol.asyncDispose]();
  expect(readdirSync(directory)).toEqual([]);
});

test('versions are compared as numbers', () => {
  expect(driverGeneration('2.30.2.0').countersAreLive).toBe(true);
  expect(driverGeneration('2.30.1').countersAreLive).toBe(false);
  expect(driverGeneration('2.9.3').has('2.10')).toBe(false);
  expect(driverGeneration('2.31.7.0').isRearranged).toBe(true);
  expect(() => driverGeneration('2.7.1')).toThrow(RangeError);
  expect(() => driverGeneration('latest')).toThrow(RangeError);
});
