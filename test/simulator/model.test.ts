import { describe, expect, test } from 'vitest';
import { INSTANCE_SPECS, VIRTUAL_INSTANCE_TYPES, connectedDevices, isVirtualInstanceType } from '../../simulator/instances.ts';
import { createWorkloadModel } from '../../simulator/model.ts';
import { COUNTER } from '../../simulator/truth.ts';
import type { ProcessTruth, Truth } from '../../simulator/truth.ts';

/** Everything a model says, as text. */
function told(truth: Truth): string {
  const { processes, devices, host, elapsedMs } = truth;
  return JSON.stringify({ processes, devices, host, elapsedMs }, (_, value: unknown) => {
    if (typeof value === 'bigint') return String(value);
    if (value instanceof Map) return [...value.entries()];
    if (value instanceof BigUint64Array) return [...value].map(String);
    return value;
  });
}

describe.each(VIRTUAL_INSTANCE_TYPES)('%s', (instanceType) => {
  test('the same seed gives the same host, however time is cut', () => {
    const whole = createWorkloadModel({ instanceType, seed: 7 });
    const pieces = createWorkloadModel({ instanceType, seed: 7 });
    whole.step(60_000);
    for (const dtMs of [1, 99, 250, 1_000, 333.5, 58_316.5]) pieces.step(dtMs);
    expect(told(pieces.truth)).toBe(told(whole.truth));
    expect(told(createWorkloadModel({ instanceType, seed: 8 }).step(60_000))).not.toBe(told(whole.truth));
  });

  test('memory of a core is what its processes and the driver hold; a process that ends gives all of it back', () => {
    const model = createWorkloadModel({ instanceType, seed: 3 });
    for (let second = 0; second < 300; second += 1) {
      const truth = model.step(1_000);
      for (const device of truth.devices) {
        for (const [index, core] of device.cores.entries()) {
          const held = truth.processes
            .flatMap((process) => process.cores)
            .filter((mine) => mine.device === device.index && mine.physicalCore === index)
            .reduce((sum, mine) => sum + mine.memoryBytes.reduce((a, b) => a + b, 0), 0);
          expect(core.memory.totalBytes - held).toBe(1_064_960);
          expect(core.memory.bytes.reduce((a, b) => a + b, 0)).toBe(core.memory.totalBytes);
          expect(core.memory.peakTotalBytes).toBeGreaterThanOrEqual(core.memory.totalBytes);
          expect(core.memory.totalBytes).toBeLessThan(truth.instance.deviceMemoryBytes / truth.instance.physicalCoresPerDevice);
        }
      }
    }
  });

  test('in five minutes a model was loaded, a process died and came back, a device was reset, errors were seen', () => {
    const model = createWorkloadModel({ instanceType, seed: 11 });
    const pids = new Set<number>();
    let corrected = 0;
    let repairable = 0;
    let resetting = false;
    let unhealthy = false;
    for (let second = 0; second < 300; second += 1) {
      const truth = model.step(1_000);
      for (const process of truth.processes) pids.add(process.pid);
      corrected = Math.max(corrected, ...truth.devices.map((device) => device.ecc.memoryCorrected));
      repairable = Math.max(repairable, ...truth.devices.map((device) => device.ecc.memoryRepairableUncorrected));
      resetting ||= truth.devices.some((device) => device.resetting);
      unhealthy ||= truth.devices.some((device) => device.unhealthyComponents.includes('hbm'));
    }
    const places = model.truth.instance.jobs.reduce((sum, job) => sum + job.processes.length, 0);
    expect(model.truth.processes).toHaveLength(places);
    expect(pids.size).toBeGreaterThanOrEqual(places + 2);
    expect(corrected).toBeGreaterThan(0);
    expect(repairable).toBe(1);
    expect(resetting).toBe(true);
    expect(unhealthy).toBe(true);
    expect(model.truth.devices.reduce((sum, device) => sum + device.resetRequests, 0)).toBe(1);
    const loads = model.truth.processes.flatMap((process) => process.cores.map((core) => core.counters[COUNTER.modelLoads] ?? 0n));
    expect(loads.some((count) => count > 0n)).toBe(true);
  });

  test('no core is busy for longer than the time that passed, long executions aside', () => {
    const model = createWorkloadModel({ instanceType, seed: 5 });
    model.step(30_000);
    const processes = new Map(model.truth.processes.map((process) => [process, process.cores.map((core) => core.counters.slice())]));
    model.step(60_000);
    for (const process of model.truth.processes) {
      const before = processes.get(process);
      if (before === undefined) continue;
      for (const [i, core] of process.cores.entries()) {
        const busyPs = (core.counters[COUNTER.timeInUse] ?? 0n) - (before[i]?.[COUNTER.timeInUse] ?? 0n);
        expect(busyPs % 1_000_000n).toBe(0n);
        expect(Number(busyPs) / 1e12).toBeLessThan(60 + 3);
      }
    }
    expect(model.truth.host.vcpuSeconds.map((modes) => modes.reduce((a, b) => a + b, 0))).toEqual(
      model.truth.host.vcpuSeconds.map(() => expect.closeTo(3_600 + 90, 6)),
    );
  });
});

describe('short-lived processes', () => {
  const churn = { devices: [1, 2, 3], lifetimeMs: { shortest: 100, longest: 900 }, pids: 14 };

  test('are the same for the same seed, however time is cut', () => {
    const options = { instanceType: 'trn2.48xlarge', seed: 7, churn } as const;
    const whole = createWorkloadModel(options);
    const pieces = createWorkloadModel(options);
    whole.step(20_000);
    for (const dtMs of [99, 1_901, 250, 7_000, 10_750]) pieces.step(dtMs);
    expect(told(pieces.truth)).toBe(told(whole.truth));
  });

  test('follow one another on their cores, under few pids, and leave nothing behind', () => {
    const model = createWorkloadModel({ instanceType: 'trn2.48xlarge', seed: 7, churn });
    const lives = new Set<ProcessTruth>();
    const owners = new Map<number, ProcessTruth>();
    let [sameTick, sameTag] = [0, 0];
    for (let tick = 0; tick < 1_000; tick += 1) {
      model.step(100);
      const tasks = model.truth.processes.filter(({ kind }) => kind === 'task');
      expect(new Set(tasks.map(({ pid }) => pid)).size).toBe(tasks.length);
      expect(new Set(tasks.flatMap(({ cores }) => cores.map(({ device, physicalCore }) => `${device}/${physicalCore}`))).size).toBe(
        2 * tasks.length,
      );
      for (const task of tasks) {
        lives.add(task);
        expect(task.pid).toBeGreaterThanOrEqual(2_000);
        expect(task.pid).toBeLessThan(2_014);
        expect(churn.devices).toContain(task.devices[0]);
        const before = owners.get(task.pid);
        owners.set(task.pid, task);
        if (before === undefined || before === task || task.startedAtMs < model.truth.elapsedMs) continue;
        if (lives.has(before)) sameTag += before.tag === task.tag ? 1 : 0;
        sameTick += 1;
      }
    }
    // Twelve logical cores, 0.6 s from one process to the next.
    expect(lives.size).toBeGreaterThan(1_500);
    expect(sameTick).toBeGreaterThan(1_000);
    expect(sameTag).toBeGreaterThan(200);
    expect(sameTag).toBeLessThan(sameTick / 2);
    const core = model.truth.devices[1]?.cores[0];
    const mine = [...lives].flatMap(({ cores }) => cores).filter((one) => one.device === 1 && one.physicalCore === 0);
    expect(core?.counters[COUNTER.completed]).toBe(mine.reduce((sum, { counters }) => sum + (counters[COUNTER.completed] ?? 0n), 0n));
  });

  test('take the devices of jobs that would use them, and none of the others', () => {
    const jobs = (devices: readonly number[]) =>
      new Set(
        createWorkloadModel({ instanceType: 'trn2.48xlarge', seed: 7, churn: { ...churn, devices } })
          .step(1_000)
          .processes.map(({ kind, devices: used }) => `${kind} ${used.join(',')}`),
      );
    expect(jobs([12])).not.toContain('inference 12');
    expect(jobs([12])).toContain('inference 13');
    expect(jobs([2])).not.toContain('training 0,1,2,3');
  });

  test('end when they are not wanted, and come again when they are', () => {
    const model = createWorkloadModel({ instanceType: 'trn2.48xlarge', seed: 7, churn });
    const tasks = (): number => model.step(100).processes.filter(({ kind }) => kind === 'task').length;
    expect(tasks()).toBe(12);
    model.setChurn(false);
    expect(tasks()).toBe(0);
    expect(tasks()).toBe(0);
    expect(tasks()).toBe(0);
    model.setChurn(true);
    expect(tasks()).toBeGreaterThan(6);
  });

  test('need a pid each', () => {
    expect(() => createWorkloadModel({ instanceType: 'trn2.48xlarge', seed: 1, churn: { ...churn, pids: 3 } }).step(100)).toThrow(
      RangeError,
    );
    expect(() => createWorkloadModel({ instanceType: 'trn2.48xlarge', seed: 1, churn: { ...churn, pids: 3_000 } })).toThrow(RangeError);
  });
});

test('neighbours are mutual and there are as many as the topology says', () => {
  for (const type of VIRTUAL_INSTANCE_TYPES) {
    const spec = INSTANCE_SPECS[type];
    for (let device = 0; device < spec.deviceCount; device += 1) {
      const neighbours = connectedDevices(spec, device);
      expect(neighbours).toHaveLength({ ring: 2, torus4x4: 4, none: 0 }[spec.links]);
      for (const neighbour of neighbours) expect(connectedDevices(spec, neighbour)).toContain(device);
    }
  }
  expect(connectedDevices(INSTANCE_SPECS['trn1.32xlarge'], 0)).toEqual([1, 4, 12, 3]);
  expect(isVirtualInstanceType('trn9.48xlarge')).toBe(false);
});
