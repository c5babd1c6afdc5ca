import { mkdirSync, readFileSync, readdirSync, renameSync, rmSync, statSync, symlinkSync, writeFileSync } from 'node:fs';
import { execFileSync } from 'node:child_process';
import { dirname, join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { NodeReader, nodeFile } from '../../../sources/sysfs/node-file.ts';
import { createSysfsSource } from '../../../sources/sysfs/source.ts';
import { silentLogger } from '../../../src/log.ts';
import type { ReadingBatch } from '../../../src/source.ts';
import { scratchDirectory } from '../../support/scratch.ts';
import { unpackArchive } from '../../support/sysfs-archive.ts';
import { SysfsTest, coreOf, dataOf, deviceOf, deviceRoot, failuresOf, periodOf } from './support.ts';

const LIVE = { 'module/neuron/version': '2.30.2.0\n' };

function core(counters: Readonly<Record<string, number | bigint>>, index = 0): Record<string, string> {
  return Object.fromEntries(Object.entries(counters).map(([path, value]) => [`neuron_core${index}/stats/${path}/total`, `${value}\n`]));
}

it('reads only what is due: error counters cost round trips to the device, the others thousands of files', async () => {
  await using sysfs = new SysfsTest();
  sysfs.write(LIVE);
  sysfs.writeDevice(0, { 'stats/hardware/mem_ecc_corrected': '4\n', ...core({ 'memory_usage/device_mem/tensors': 5 }) });
  const [errors, ...others] = (await sysfs.read('neuron_hw_counters')).readings;
  expect(errors?.group).toBe('neuron_hw_counters');
  expect(others).toEqual([]);
  const broken = { 'stats/hardware/mem_ecc_corrected': 'x\n', ...core({ 'memory_usage/device_mem/tensors': 6 }) };
  sysfs.writeDevice(0, broken);
  const batch = await sysfs.read('neuron_device_counters');
  expect(batch.readings.map(({ group }) => group)).toEqual(['neuron_device_counters']);
  expect(failuresOf(batch)).toEqual([]);
  const [failure] = (await sysfs.read('neuron_hw_counters')).failures;
  expect(failure?.group).toBe('neuron_hw_counters');
});

describe('a host', () => {
  it('without a driver has nothing and complains about nothing', async () => {
    await using sysfs = new SysfsTest();
    expect([...sysfs.source.groups()]).toEqual([]);
    const batch = await sysfs.read('neuron_hw_counters', 'neuron_device_counters', 'neuron_hardware_info');
    expect(batch.readings).toEqual([
      { group: 'neuron_hw_counters', data: { neuron_devices: [], counts: 'cumulative' } },
      { group: 'neuron_device_counters', data: { neuron_devices: [] } },
      { group: 'neuron_hardware_info', data: {} },
    ]);
    expect(batch.failures).toEqual([]);
    expect(sysfs.logged).toEqual([]);
  });

  it('gets devices and loses them', async () => {
    await using sysfs = new SysfsTest();
    sysfs.writeDevice(0, { core_count: '2' });
    expect(sysfs.source.groups().size).toBe(3);
    expect(dataOf(await sysfs.read()).neuron_devices).toHaveLength(1);
    sysfs.writeDevice(1, { core_count: '2' });
    expect(dataOf(await sysfs.read()).neuron_devices).toHaveLength(2);
    rmSync(join(sysfs.root, deviceRoot(0)), { recursive: true });
    expect(dataOf(await sysfs.read()).neuron_devices?.map(({ neuron_device_index }) => neuron_device_index)).toEqual([1]);
  });

  it('has devices by their names only, in the order of their numbers', async () => {
    await using sysfs = new SysfsTest();
    for (const index of [10, 2, 0]) sysfs.writeDevice(index, { core_count: '2' });
    sysfs.write({
      'devices/virtual/neuron_device/node_id': '1\n',
      'devices/virtual/neuron_device/neuron': '1\n',
      'devices/virtual/neuron_device/neuron1x/core_count': '2',
    });
    const devices = dataOf(await sysfs.read()).neuron_devices ?? [];
    expect(devices.map(({ neuron_device_index }) => neuron_device_index)).toEqual([0, 2, 10]);
  });

  it('may show its devices under class only', async () => {
    await using sysfs = new SysfsTest();
    sysfs.write({ 'elsewhere/neuron0/core_count': '4', 'class/neuron_device/ultraserver_mode': '\n' });
    symlinkSync('../../elsewhere/neuron0', join(sysfs.root, 'class/neuron_device/neuron0'));
    expect(deviceOf(await sysfs.read()).device_facts).toEqual({ core_count: 4 });
  });

  it('says which UltraServer it is part of, and nothing where it is part of none', async () => {
    await using sysfs = new SysfsTest();
    sysfs.writeDevice(0, {});
    sysfs.writeDevice(0, { core_count: '8' });
    const attribute = (name: string, text: string): void => sysfs.write({ [`class/neuron_device/${name}`]: text });
    for (const name of ['node_id_2', 'node_id_4']) attribute(name, '-1\n');
    for (const name of ['server_id_2', 'server_id_4']) attribute(name, '0000000000000000\n');
    attribute('ultraserver_mode', '\n');
    expect(dataOf(await sysfs.read()).ultraserver).toBeUndefined();
    attribute('node_id_4', '2\n');
    attribute('node_id_2', 'busy\n');
    attribute('server_id_4', '00ab34cd56ef7890\n');
    attribute('ultraserver_mode', '1,2\n');
    expect(dataOf(await sysfs.read()).ultraserver).toEqual({ node_id_4: '2', server_id_4: '00ab34cd56ef7890', ultraserver_mode: '1,2' });
  });

  it('has facts of its hardware even where nobody asks for counters', async () => {
    using tree = unpackArchive('2.24-trn2');
    await using sysfs = new SysfsTest({ root: tree.root, logicalCoreConfig: () => 1 });
    const { readings } = await sysfs.read('neuron_hardware_info');
    expect(readings).toEqual([
      {
        group: 'neuron_hardware_info',
        data: {
          neuron_device_type: 'trainium2',
          neuron_device_version: 'v4',
          neuroncore_version: 'v3',
          neuron_device_memory_size: 103_079_215_104,
          neuron_device_count: 2,
          neuron_device_indexes: [0, 12],
          neuroncore_per_device_count: 8,
          logical_neuroncore_config: 1,
        },
      },
    ]);
  });
});

describe('the tree', () => {
  it('is never written, and what can reset a device is never opened', async () => {
    using tree = unpackArchive('2.30-trn2');
    const before = stamps(tree.root);
    await using sysfs = new SysfsTest({ root: tree.root, detail: { peaks: true, events: true } });
    await sysfs.read();
    await sysfs.readLater();
    // `reset` is a named pipe here: opening it would not have come back.
    expect(statSync(join(tree.root, deviceRoot(0), 'reset')).isFIFO()).toBe(true);
    expect(stamps(tree.root)).toEqual(before);
  });

  it('may have links that lead in circles, and directories deeper than any driver makes', async () => {
    await using sysfs = new SysfsTest();
    sysfs.writeDevice(0, {
      ...core({ 'memory_usage/device_mem/tensors': 5 }),
      'a/b/c/d/e/f/g/h/neuron_core1/device_mem/tensors/total': '1\n',
    });
    for (const [from, to] of [
      ['subsystem', '..'],
      ['neuron_core0/self', '.'],
      ['neuron_core9', 'neuron_core0'],
    ] as const)
      symlinkSync(to, join(sysfs.root, deviceRoot(0), from));
    expect(Object.keys(deviceOf(await sysfs.read()).device_cores ?? {})).toEqual(['0']);
  });

  it('may move while it is read', async () => {
    await using sysfs = new SysfsTest({ maxKeptFiles: 0 });
    sysfs.writeDevice(0, { 'stats/hardware/mem_ecc_uncorrected': '3\n', ...core({ 'memory_usage/device_mem/tensors': 5 }) });
    await sysfs.read();
    renameSync(join(sysfs.root, deviceRoot(0), 'neuron_core0/stats'), join(sysfs.root, deviceRoot(0), 'neuron_core0/counters'));
    renameSync(join(sysfs.root, deviceRoot(0), 'stats'), join(sysfs.root, deviceRoot(0), 'elsewhere'));
    const batch = await sysfs.readLater();
    expect(deviceOf(batch).ecc).toEqual({ mem_ecc_uncorrected: 3 });
    expect(coreOf(batch).memory).toEqual({ tensors: 5 });
    expect(batch.failures).toEqual([]);
  });

  it('is found again when the device was made anew, kept descriptors or not', async () => {
    await using sysfs = new SysfsTest();
    sysfs.writeDevice(0, core({ 'memory_usage/device_mem/tensors': 5 }));
    await sysfs.read();
    rmSync(join(sysfs.root, deviceRoot(0)), { recursive: true });
    sysfs.write({ 'placeholder/for/the/old/inode': '' });
    sysfs.writeDevice(0, core({ 'memory_usage/device_mem/tensors': 7 }));
    expect(coreOf(await sysfs.readLater()).memory).toEqual({ tensors: 7 });
  });
});

describe('a driver that is being loaded', () => {
  it('is read to the end soon', async () => {
    await using sysfs = new SysfsTest();
    sysfs.writeDevice(0, { core_count: '2' });
    await sysfs.read();
    sysfs.writeDevice(0, core({ 'memory_usage/device_mem/tensors': 5 }));
    expect(deviceOf(await sysfs.readLater()).device_cores).toBeUndefined();
    expect(coreOf(await sysfs.readLater(9_000)).memory).toEqual({ tensors: 5 });
  });
});

describe('memory', () => {
  it('has kinds of its place only', async () => {
    await using sysfs = new SysfsTest();
    sysfs.writeDevice(0, {
      ...core({ 'memory_usage/device_mem/tensors': 5, 'memory_usage/device_mem/new_kind': 6, 'memory_usage/host_mem/tensors': 9 }),
      'stats/memory_usage/host_mem/tensors/total': '7\n',
    });
    const batch = await sysfs.read();
    expect(coreOf(batch).memory).toEqual({ new_kind: 6, tensors: 5 });
    expect(deviceOf(batch).device_host_memory).toEqual({ tensors: 7 });
  });

  it('that stays the same is the same object, and follows whatever changes, is lost and comes back', async () => {
    await using sysfs = new SysfsTest();
    const write = (tensors: string, misc: string): void =>
      sysfs.writeDevice(0, {
        'neuron_core0/stats/memory_usage/device_mem/tensors/total': tensors,
        'neuron_core0/stats/memory_usage/device_mem/misc/total': misc,
      });
    const read = async () => coreOf(await sysfs.readLater(), 0).memory;
    write('5\n', '6\n');
    const first = await read();
    expect(first).toEqual({ tensors: 5, misc: 6 });
    expect(await read()).toBe(first);
    write('5\n', '7\n');
    expect(await read()).toEqual({ tensors: 5, misc: 7 });
    write('5\n', 'x\n');
    expect(await read()).toEqual({ tensors: 5 });
    expect(await read()).toEqual({ tensors: 5 });
    write('x\n', 'x\n');
    expect(await read()).toBeUndefined();
    write('5\n', '6\n');
    expect(await read()).toEqual({ tensors: 5, misc: 6 });
  });

  it('of old drivers is counted anew each time, whatever it was before', async () => {
    await using sysfs = new SysfsTest();
    const write = (all: number, tensors: number): void =>
      sysfs.writeDevice(0, {
        'neuron_core0/stats/memory_usage/device_mem/total': `${all}\n`,
        'neuron_core0/stats/memory_usage/device_mem/tensors/total': `${tensors}\n`,
      });
    const read = async () => coreOf(await sysfs.readLater(), 0).memory;
    write(11, 5);
    expect(await read()).toEqual({ tensors: 5, uncategorized: 6 });
    expect(await read()).toEqual({ tensors: 5, uncategorized: 6 });
    write(12, 5);
    expect(await read()).toEqual({ tensors: 5, uncategorized: 7 });
  });

  it('that the driver does not tell apart is uncategorized', async () => {
    await using sysfs = new SysfsTest();
    sysfs.writeDevice(0, {
      ...core({ 'memory_usage/device_mem': 11 }, 0),
      ...core({ 'memory_usage/device_mem': 11, 'memory_usage/device_mem/tensors': 5 }, 1),
    });
    const batch = await sysfs.read();
    expect(coreOf(batch, 0).memory).toEqual({ uncategorized: 11 });
    expect(coreOf(batch, 1).memory).toEqual({ tensors: 5, uncategorized: 6 });
  });
});

describe('rates', () => {
  const busy = (second: number): Record<string, string> =>
    core({
      'other_info/nc_time_in_use': BigInt(second) * 250_000_000_000n,
      'other_info/flop_count': second * 4e9,
      'status/success': second * 5,
    });

  it('come from two readings of live counters', async () => {
    await using sysfs = new SysfsTest();
    sysfs.write(LIVE);
    sysfs.writeDevice(0, busy(3));
    const first = await sysfs.read();
    expect(periodOf(first)).toBeUndefined();
    expect(coreOf(first)).toEqual({ executions: { completed: 15 } });
    sysfs.writeDevice(0, busy(5));
    const second = await sysfs.readLater(2_000);
    expect(periodOf(second)).toBe(2);
    expect(coreOf(second)).toEqual({ executions: { completed: 25 }, utilization: 25, flops: 4e9 });
  });

  it('do not come from counters that stand still until a process ends', async () => {
    await using sysfs = new SysfsTest({ detail: { peaks: false, events: true } });
    sysfs.write({ 'module/neuron/version': '2.29.0.0\n' });
    sysfs.writeDevice(0, busy(0));
    await sysfs.read();
    sysfs.writeDevice(0, busy(900));
    expect(coreOf(await sysfs.readLater())).toEqual({ events: { success: 4_500 } });
  });

  it('begin anew when the driver was loaded anew', async () => {
    await using sysfs = new SysfsTest();
    sysfs.write(LIVE);
    sysfs.writeDevice(0, busy(3));
    await sysfs.read();
    sysfs.write({ 'module/neuron/version': '2.30.3.0\n' });
    sysfs.writeDevice(0, busy(100));
    const after = await sysfs.readLater();
    expect(dataOf(after).driver_version).toBe('2.30.3.0');
    expect(coreOf(after).utilization).toBeUndefined();
    expect(sysfs.logged).toEqual(['driver was loaded anew {"version":"2.30.3.0"}']);
    sysfs.writeDevice(0, busy(101));
    expect(coreOf(await sysfs.readLater()).utilization).toBe(25);
  });
});

describe('a broken value', () => {
  it('is missing, counted once for its device, and back when it is whole', async () => {
    await using sysfs = new SysfsTest();
    const memory = (text: string): Record<string, string> => ({
      'neuron_core0/stats/memory_usage/device_mem/tensors/total': text,
      'neuron_core0/stats/memory_usage/device_mem/constants/total': text,
      'neuron_core0/stats/memory_usage/device_mem/model_code/total': '3\n',
    });
    sysfs.writeDevice(0, memory('oops\n'));
    sysfs.writeDevice(1, memory('1\n'));
    const broken = await sysfs.read();
    expect(coreOf(broken).memory).toEqual({ model_code: 3 });
    expect(coreOf(broken, 0, 1).memory).toEqual({ constants: 1, model_code: 3, tensors: 1 });
    expect(failuresOf(broken)).toEqual([
      'source_malformed: neuron0: neuron_core0/stats/memory_usage/device_mem/constants/total has no value the driver would print',
    ]);
    sysfs.writeDevice(0, memory('2\n'));
    const whole = await sysfs.readLater();
    expect(coreOf(whole).memory).toEqual({ constants: 2, model_code: 3, tensors: 2 });
    expect(whole.failures).toEqual([]);
  });

  it('is one that no double holds, except where rates need it', async () => {
    await using sysfs = new SysfsTest();
    sysfs.write(LIVE);
    sysfs.writeDevice(0, core({ 'status/success': 2n ** 60n, 'other_info/flop_count': 2n ** 60n }));
    const batch = await sysfs.read();
    expect(coreOf(batch)).toEqual({});
    expect(failuresOf(batch).length).toBe(1);
    sysfs.writeDevice(0, core({ 'status/success': 4, 'other_info/flop_count': 2n ** 60n + 1_000n }));
    expect(coreOf(await sysfs.readLater())).toEqual({ executions: { completed: 4 }, flops: 1_000 });
  });

  it('is a number without its line end, unless it stays that way', async () => {
    await using sysfs = new SysfsTest();
    sysfs.writeDevice(0, { 'stats/hardware/mem_ecc_uncorrected': '12' });
    expect(deviceOf(await sysfs.read()).ecc).toEqual({ mem_ecc_uncorrected: 12 });
  });

  it('is a directory where a file should be', async () => {
    await using sysfs = new SysfsTest();
    mkdirSync(join(sysfs.root, deviceRoot(0), 'stats/hardware/mem_ecc_uncorrected'), { recursive: true });
    const batch = await sysfs.read();
    expect(deviceOf(batch).ecc).toEqual({});
    expect(failuresOf(batch)).toEqual(['source_malformed: neuron0: stats/hardware/mem_ecc_uncorrected is no regular file and is not read']);
  });
});

describe('health and power', () => {
  it('are said when the driver reports them, and logged when they change', async () => {
    await using sysfs = new SysfsTest();
    const health = (components: string, heartbeat: number): void =>
      sysfs.writeDevice(0, {
        'stats/hardware/health_status/unhealthy_components': `${components}\n`,
        'stats/hardware/health_status/healthcheck_heartbeat': `${heartbeat}\n`,
        'stats/hardware/health_status/hw_error_event': '4\n',
        'stats/power/utilization': 'POWER_STATUS_VALID,1767225600,0.50,60.00,25.25\n',
      });
    health('', 1);
    const first = deviceOf(await sysfs.read());
    expect(first.device_health).toEqual({ state: 'healthy', unhealthy_components: [], hw_error_events: 4 });
    expect(first.device_power).toEqual({ epoch_seconds: 1_767_225_600, min: 0.5, max: 60, avg: 25.25 });
    health('hbm', 2);
    await sysfs.readLater();
    await sysfs.readLater();
    health('', 3);
    expect(deviceOf(await sysfs.readLater()).device_health?.state).toBe('healthy');
    expect(sysfs.logged).toEqual([
      'device is not healthy {"device":0,"state":"unhealthy","reason":"components","components":["hbm"]}',
      'device is healthy again {"device":0,"state":"healthy","components":[]}',
    ]);
  });

  it('are unknown with drivers that do not report them', async () => {
    await using sysfs = new SysfsTest();
    sysfs.writeDevice(0, { core_count: '2' });
    const device = deviceOf(await sysfs.read());
    expect(device.device_health).toEqual({ state: 'unknown', reason: 'not_reported', unhealthy_components: [] });
    expect(device.device_power).toBeUndefined();
    expect(sysfs.logged).toEqual([]);
  });

  it('power without a sample is no failure, one that is not understood is', async () => {
    await using sysfs = new SysfsTest();
    sysfs.writeDevice(0, { 'stats/power/utilization': 'POWER_STATUS_NO_DATA,0,0.00,0.00,0.00\n' });
    expect((await sysfs.read()).failures).toEqual([]);
    sysfs.writeDevice(0, { 'stats/power/utilization': 'POWER_STATUS_ODD,1\n' });
    expect(failuresOf(await sysfs.readLater(5_000))).toEqual([
      'source_malformed: neuron0: stats/power/utilization has no value the driver would print',
    ]);
  });

  it('facts survive a reset of the device', async () => {
    await using sysfs = new SysfsTest();
    sysfs.writeDevice(0, { 'info/serial_number': '1a8eaa345cde5989\n', fw_build: '1.2\n' });
    await sysfs.read();
    sysfs.writeDevice(0, { 'info/serial_number': '\n', fw_build: 'busy\n' });
    expect(deviceOf(await sysfs.readLater(61_000)).device_facts).toEqual({ serial_number: '1a8eaa345cde5989', firmware_build: '1.2' });
  });
});

describe('descriptors', () => {
  it('are kept up to the limit, and all given back', async () => {
    using tree = unpackArchive('2.30-trn1');
    const before = openDescriptors();
    const sysfs = new SysfsTest({ root: tree.root, maxKeptFiles: 50 });
    await sysfs.read();
    expect(openDescriptors() - before).toBe(50);
    await sysfs.readLater();
    expect(openDescriptors() - before).toBe(50);
    await sysfs[Symbol.asyncDispose]();
    expect(openDescriptors() - before).toBe(0);
  });

  it('that ended are opened again', async () => {
    await using sysfs = new SysfsTest();
    sysfs.write({ value: '1\n' });
    const reader = new NodeReader(1);
    const file = nodeFile(join(sysfs.root, 'value'));
    expect(reader.readText(file)).toBe('1');
    expect(reader.keptCount).toBe(1);
    reader.release(file);
    reader.release(file);
    writeFileSync(file.path, '2\n');
    expect(reader.readText(file)).toBe('2');
    expect(reader.keptCount).toBe(1);
    reader.releaseAll();
    expect(reader.keptCount).toBe(0);
  });
});

it('stops where it is when it is told to', async () => {
  await using sysfs = new SysfsTest();
  sysfs.writeDevice(0, { core_count: '2' });
  const aborted = AbortSignal.abort();
  const batch = await sysfs.source.read(new Set(['neuron_device_counters']), aborted);
  expect(dataOf(batch).neuron_devices).toEqual([]);
});

function openDescriptors(): number {
  return readdirSync('/proc/self/fd').length;
}

/** Time of the last change and content of every file. */
function stamps(root: string): readonly string[] {
  return readdirSync(root, { withFileTypes: true }).flatMap((entry) => {
    const path = join(root, entry.name);
    if (entry.isDirectory()) return stamps(path);
    const stat = statSync(path);
    return entry.isFile() ? [`${path} ${stat.mtimeMs} ${stat.ctimeMs} ${readFileSync(path, 'latin1')}`] : [];
  });
}

describe('a device that leaves the bus', () => {
  const DEVICE = { 'neuron_core0/stats/memory_usage/device_mem/tensors/total': '5\n', 'stats/hardware/mem_ecc_uncorrected': '7\n' };

  function remove(sysfs: SysfsTest, index: number): void {
    rmSync(join(sysfs.root, deviceRoot(index)), { recursive: true });
  }

  it('is named by one line, and by one line when it is back', async () => {
    await using sysfs = new SysfsTest();
    for (const index of [0, 1, 2]) sysfs.writeDevice(index, DEVICE);
    await sysfs.read();
    remove(sysfs, 1);
    await sysfs.readLater();
    await sysfs.readLater();
    expect(sysfs.logged).toEqual(['devices are gone {"devices":[1]}']);
    sysfs.writeDevice(1, DEVICE);
    await sysfs.readLater();
    await sysfs.readLater();
    expect(sysfs.logged.slice(1)).toEqual(['devices are back {"devices":[1]}']);
  });

  it('is one failure, which is counted and not logged again', async () => {
    await using sysfs = new SysfsTest();
    for (const index of [0, 1]) sysfs.writeDevice(index, DEVICE);
    await sysfs.read();
    remove(sysfs, 0);
    const { failures } = await sysfs.readLater();
    expect(failures).toMatchObject([{ isLogged: true, error: { code: 'source_absent', message: 'devices are gone' } }]);
    const next = await sysfs.readLater();
    expect(next.failures).toEqual([]);
  });

  it('is named when it was the only one, and every later time', async () => {
    await using sysfs = new SysfsTest();
    for (let round = 0; round < 3; round += 1) {
      sysfs.writeDevice(0, DEVICE);
      expect(sysfs.source.groups().size).toBe(3);
      await sysfs.readLater();
      remove(sysfs, 0);
      expect(sysfs.source.groups().size).toBe(3);
      await sysfs.readLater();
      expect(sysfs.source.groups().size).toBe(0);
    }
    expect(sysfs.logged.filter((line) => line.startsWith('devices are gone'))).toHaveLength(3);
    expect(sysfs.logged.filter((line) => line.startsWith('devices are back'))).toHaveLength(2);
  });

  it('keeps what was counted: a zero of the reset that follows is a dip and no new beginning', async () => {
    await using sysfs = new SysfsTest();
    sysfs.writeDevice(0, DEVICE);
    await sysfs.read();
    remove(sysfs, 0);
    await sysfs.readLater();
    sysfs.writeDevice(0, { ...DEVICE, 'stats/hardware/mem_ecc_uncorrected': '0\n' });
    expect(eccOf(await sysfs.readLater())).toEqual({});
    sysfs.writeDevice(0, DEVICE);
    expect(eccOf(await sysfs.readLater())).toEqual({ mem_ecc_uncorrected: 7 });
  });

  it('is missing among the indexes of the hardware facts', async () => {
    await using sysfs = new SysfsTest();
    for (const index of [0, 1, 2, 3]) sysfs.writeDevice(index, DEVICE);
    remove(sysfs, 2);
    const { readings } = await sysfs.read('neuron_hardware_info');
    expect(readings).toMatchObject([{ data: { neuron_device_count: 3, neuron_device_indexes: [0, 1, 3] } }]);
  });

  function eccOf(batch: ReadingBatch): unknown {
    const reading = batch.readings.find(({ group }) => group === 'neuron_hw_counters');
    return reading?.group === 'neuron_hw_counters' ? reading.data.neuron_devices?.[0]?.ecc : undefined;
  }
});

describe('an entry that is no regular file', () => {
  const TOTAL = 'neuron_core0/stats/memory_usage/device_mem/tensors/total';

  it.each([
    ['a link in place of a file', TOTAL, (path: string) => symlinkSync('/dev/zero', path)],
    ['a pipe in place of a file', TOTAL, (path: string) => execFileSync('mkfifo', [path])],
    ['a folder in place of a file', 'stats/hardware/mem_ecc_corrected', (path: string) => mkdirSync(path)],
    ['a link in place of a folder', 'neuron_core1', (path: string) => symlinkSync('neuron_core0', path)],
  ])('is not read, and counted: %s', async (_title, name, make) => {
    await using sysfs = new SysfsTest();
    sysfs.writeDevice(0, {
      'neuron_core0/stats/memory_usage/device_mem/constants/total': '3\n',
      'stats/hardware/sram_ecc_corrected': '1\n',
    });
    const path = join(sysfs.root, deviceRoot(0), name);
    mkdirSync(dirname(path), { recursive: true });
    make(path);
    const batch = await sysfs.read();
    expect(coreOf(batch).memory).toEqual({ constants: 3 });
    expect(failuresOf(batch)).toEqual([`source_malformed: neuron0: ${name} is no regular file and is not read`]);
  });

  it('is left alone where the kernel has links of its own', async () => {
    await using sysfs = new SysfsTest();
    sysfs.writeDevice(0, { [TOTAL]: '3\n' });
    symlinkSync('../../../class', join(sysfs.root, deviceRoot(0), 'subsystem'));
    const batch = await sysfs.read();
    expect(batch.failures).toEqual([]);
  });
});

describe('a size that no device has', () => {
  it.each(['1125899906842625', '9007199254740991', '18446744073709551615', '-1'])('is dropped and counted: %s', async (bytes) => {
    await using sysfs = new SysfsTest();
    sysfs.writeDevice(0, {
      'neuron_core0/stats/memory_usage/device_mem/tensors/total': `${bytes}\n`,
      'neuron_core0/stats/memory_usage/device_mem/constants/total': '3\n',
    });
    const batch = await sysfs.read();
    expect(coreOf(batch).memory).toEqual({ constants: 3 });
    expect(failuresOf(batch)).toHaveLength(1);
  });
});

it('a /sys that masks the class of the devices of /dev is hidden, which is counted', async () => {
  await using sysfs = new SysfsTest();
  using scratch = scratchDirectory();
  writeFileSync(join(scratch.path, 'neuron0'), '');
  await using source = createSysfsSource({ host: { ...sysfs.host, devRoot: scratch.path }, logger: silentLogger });
  expect(source.groups().size).toBe(3);
  const { failures } = await source.read(new Set(['neuron_hw_counters'] as const), new AbortController().signal);
  expect(failures[0]?.error.message).toMatch(/class\/neuron_device is missing, but \/dev has Neuron devices/);
});
