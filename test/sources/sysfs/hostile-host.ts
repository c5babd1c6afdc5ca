import { mkdirSync, rmSync, symlinkSync } from 'node:fs';
import { join } from 'node:path';
import { expect } from 'vitest';
import { Random } from '../../../simulator/random.ts';
import type { NumberMap } from '../../../src/readings.ts';
import type { ReadingBatch } from '../../../src/source.ts';
import { SysfsTest, dataOf, deviceRoot } from './support.ts';
import type { DeviceState } from './support.ts';

/** One counter: its file, its key in the reading, and its value. */
interface Counter {
  readonly device: number;
  readonly path: string;
  readonly key: string;
  value: number;
}

/** Contents of a file that should hold a number, and the value that is read from each, if any. */
const HOSTILE: readonly (readonly [text: string, value: number | undefined])[] = [
  ['', undefined],
  ['\n', undefined],
  ['oops\n', undefined],
  ['-5\n', undefined],
  ['18446744073709551616\n', undefined],
  ['9007199254740993\n', undefined],
  [`${'9'.repeat(4_095)}\n`, undefined],
  ['1.5\n', undefined],
  ['12 34\n', undefined],
  ['1\n2\n', undefined],
  ['\0\0\0\0', undefined],
  ['NaN\n', undefined],
  [' 7\n', undefined],
  ['0x1f\n', undefined],
  ['1\r\n', undefined],
  ['\u00ff\u00fe7\n', undefined],
  ['busy\n', undefined],
  ['7', 7],
  ['00000000000000000007\n', 7],
];

/** Something else than a file. */
const MISSHAPEN: readonly ((path: string) => void)[] = [
  () => {},
  (path) => mkdirSync(path),
  (path) => symlinkSync('nowhere', path),
  (path) => symlinkSync('.', path),
  (path) => symlinkSync(path, path),
];

function countersOfDevice(device: number, random: Random): Counter[] {
  const counters: Counter[] = [];
  const add = (path: string, key: string): void => {
    counters.push({ device, path, key: `${device}/${key}`, value: random.integer(0, 3) === 0 ? 0 : random.integer(1, 2 ** 40) });
  };
  // A zero after errors is held back for a while (parse.test.ts): none of these is zero.
  const addErrors = (name: string): void => {
    counters.push({ device, path: `stats/hardware/${name}`, key: `${device}/ecc/${name}`, value: random.integer(1, 40_000) });
  };
  for (const name of ['mem_ecc_corrected', 'mem_ecc_uncorrected', 'sram_ecc_uncorrected']) addErrors(name);
  for (const kind of ['tensors', 'uncategorized']) add(`stats/memory_usage/host_mem/${kind}/total`, `host/${kind}`);
  for (let core = 0; core < random.integer(0, 3); core += 1) {
    const stats = `neuron_core${core}/stats`;
    for (const kind of ['tensors', 'constants', 'uncategorized'])
      add(`${stats}/memory_usage/device_mem/${kind}/total`, `${core}/memory/${kind}`);
    for (const name of ['success', 'timeout', 'hw_error']) add(`${stats}/status/${name}/total`, `${core}/events/${name}`);
    add(`${stats}/other_info/model_load_count/total`, `${core}/model_loads`);
  }
  return counters;
}

/** Every number of a reading, by the keys of `Counter`. */
export function numbersOf(batch: ReadingBatch): ReadonlyMap<string, number> {
  const numbers = new Map<string, number>();
  const add = (prefix: string, map: NumberMap | undefined): void => {
    for (const [name, value] of Object.entries(map ?? {})) numbers.set(`${prefix}/${name}`, value);
  };
  for (const device of dataOf(batch).neuron_devices) addDevice(device, add, numbers);
  return numbers;
}

function addDevice(device: DeviceState, add: (prefix: string, map: NumberMap | undefined) => void, numbers: Map<string, number>): void {
  const index = device.neuron_device_index;
  add(`${index}/ecc`, device.ecc);
  add(`${index}/host`, device.device_host_memory);
  for (const [core, { memory, events, model_loads }] of Object.entries(device.device_cores ?? {})) {
    add(`${index}/${core}/memory`, memory);
    add(`${index}/${core}/events`, events);
    if (model_loads !== undefined) numbers.set(`${index}/${core}/model_loads`, model_loads);
  }
}

/** One hostile host, and what should be read from it. */
export class HostileHost {
  readonly sysfs: SysfsTest;
  readonly counters: readonly Counter[];
  readonly broken = new Map<Counter, number | undefined>();
  readonly #misshapen = new Set<Counter>();
  readonly #random: Random;

  constructor(seed: number, devices: number) {
    this.#random = new Random(seed, 'hostile');
    const keeps = this.#random.next() < 0.5;
    this.sysfs = new SysfsTest({ detail: { peaks: true, events: true }, ...(keeps ? {} : { maxKeptFiles: 0 }) });
    this.counters = Array.from({ length: devices }, (_, device) => countersOfDevice(device, this.#random)).flat();
    this.sysfs.write({ 'module/neuron/version': '2.29.0.0\n' });
    for (let device = 0; device < devices; device += 1) mkdirSync(join(this.sysfs.root, deviceRoot(device)), { recursive: true });
    for (const counter of this.counters) this.write(counter, `${counter.value}\n`);
  }

  pathOf({ device, path }: Counter): string {
    return join(this.sysfs.root, deviceRoot(device), path);
  }

  write(counter: Counter, text: string): void {
    this.sysfs.write({ [`${deviceRoot(counter.device)}/${counter.path}`]: text });
  }

  /** Breaks a share of all counters: the text, or the file itself. */
  breakSome(share: number, shapes: boolean): void {
    for (const counter of this.counters) {
      if (this.#random.next() >= share) continue;
      if (shapes && this.#random.next() < 0.3) this.#misshape(counter);
      else {
        const [text, value] = HOSTILE[this.#random.integer(0, HOSTILE.length - 1)] ?? ['', undefined];
        this.write(counter, text);
        this.broken.set(counter, value);
      }
    }
  }

  heal(): void {
    for (const counter of this.broken.keys()) {
      if (this.#misshapen.has(counter)) rmSync(this.pathOf(counter), { recursive: true, force: true });
      this.write(counter, `${counter.value}\n`);
    }
    this.broken.clear();
    this.#misshapen.clear();
  }

  /** All counters move on, in place. */
  advance(): void {
    for (const counter of this.counters) {
      if (this.broken.has(counter)) continue;
      counter.value += this.#random.integer(0, 1_000);
      this.write(counter, `${counter.value}\n`);
    }
  }

  expected(isKnown: (counter: Counter) => boolean = () => true): ReadonlyMap<string, number> {
    const numbers = new Map<string, number>();
    for (const counter of this.counters) {
      const value = this.broken.has(counter) ? this.broken.get(counter) : counter.value;
      if (value !== undefined && isKnown(counter)) numbers.set(counter.key, value);
    }
    return numbers;
  }

  #misshape(counter: Counter): void {
    const path = this.pathOf(counter);
    rmSync(path);
    MISSHAPEN[this.#random.integer(0, MISSHAPEN.length - 1)]?.(path);
    this.broken.set(counter, undefined);
    this.#misshapen.add(counter);
  }
}

export function sorted(numbers: ReadonlyMap<string, number>): readonly (readonly [string, number])[] {
  return [...numbers].toSorted(([a], [b]) => (a < b ? -1 : 1));
}

/** Breaks a part of each tree's files, and expects only their values to be missing, and all to be read again once the files are whole. */
export async function expectOnlyBrokenValuesToBeMissing(seeds: readonly number[]): Promise<void> {
  for (const seed of seeds) {
    const host = new HostileHost(seed, seed % 5);
    await using sysfs = host.sysfs;
    host.breakSome(0.15, true);
    const first = await sysfs.read();
    expect(sorted(numbersOf(first)), `seed ${seed}`).toEqual(sorted(host.expected()));
    expect(first.failures.filter(({ error }) => error.code !== 'source_malformed')).toEqual([]);
    host.heal();
    // Files that were none when the tree was walked are found by the next walk.
    expect(sorted(numbersOf(await sysfs.readLater(11_000))), `seed ${seed}, healed`).toEqual(sorted(host.expected()));
    host.breakSome(0.15, false);
    host.advance();
    expect(sorted(numbersOf(await sysfs.readLater())), `seed ${seed}, broken again`).toEqual(sorted(host.expected()));
    host.heal();
    const last = await sysfs.readLater();
    expect(sorted(numbersOf(last)), `seed ${seed}, healed again`).toEqual(sorted(host.expected()));
    expect(last.failures).toEqual([]);
  }
}
