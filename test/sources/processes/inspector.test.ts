import { symlinkSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { createProcessInspector } from '../../../sources/processes/inspector.ts';
import { systemHost } from '../../../src/host.ts';
import { fixtureHost, temporaryFolder } from '../../support/fixture-host.ts';
import { endProcess, startProcess } from '../../support/fixture-process.ts';
import { BOOT_MS, expectReusedPidsToBeToldApart, neuronHost } from './support.ts';

const CONTAINER_ID = 'ab12'.repeat(16);
const POD_UID = '0b3c1f6e-7a52-4d0f-9c8e-1234567890ab';

describe('identity', () => {
  test('start time, executable, container, pod, tag and LNC', () => {
    const { host, inspector } = neuronHost();
    startProcess(host, {
      pid: 4242,
      startTicks: 12_345,
      executable: '/opt/venv/bin/python3.11 (deleted)',
      environment: { NEURON_PROCESS_TAG: 'train', NEURON_LOGICAL_NC_CONFIG: '1' },
      cgroup: `0::/kubepods.slice/kubepods-pod${POD_UID.replaceAll('-', '_')}.slice/cri-containerd-${CONTAINER_ID}.scope\n`,
    });
    expect(inspector.identify(4242)).toStrictEqual({
      pid: 4242,
      tag: 'train',
      startTimeMs: BOOT_MS + 123_450,
      attributes: { 'process.executable.name': 'python3.11', 'container.id': CONTAINER_ID, 'k8s.pod.uid': POD_UID },
      logicalCoreConfig: 1,
    });
  });

  test('with nothing but stat: the tag is the pid, the name is the command’s', () => {
    const { host, inspector } = neuronHost();
    startProcess(host, { pid: 7, startTicks: 0, command: 'a) (b' });
    expect(inspector.identify(7)).toStrictEqual({
      pid: 7,
      tag: '7',
      startTimeMs: BOOT_MS,
      attributes: { 'process.executable.name': 'a) (b' },
    });
  });

  test('without boot time there is no start time', () => {
    const host = fixtureHost(temporaryFolder());
    startProcess(host, { pid: 7, startTicks: 5 });
    expect(createProcessInspector({ host }).identify(7)).not.toHaveProperty('startTimeMs');
  });

  test('no such process', () => {
    expect(neuronHost().inspector.identify(7)).toBeUndefined();
  });

  test('a process that has just ended keeps its identity for a minute, its pid’s next owner has another', async () => {
    const { host, inspector } = neuronHost();
    startProcess(host, { pid: 7, startTicks: 100, executable: '/bin/first' });
    const first = inspector.identify(7);
    endProcess(host, 7);
    expect(inspector.identify(7)).toBe(first);
    startProcess(host, { pid: 7, startTicks: 200, executable: '/bin/second' });
    expect(inspector.identify(7)).toMatchObject({ startTimeMs: BOOT_MS + 2000, attributes: { 'process.executable.name': 'second' } });
    endProcess(host, 7);
    inspector.identify(7);
    await host.clock.advance(60_001);
    expect(inspector.identify(7)).toBeUndefined();
  });

  test('enriches what neuron-monitor reports; what it cannot see it leaves alone', () => {
    const { host, inspector } = neuronHost();
    startProcess(host, { pid: 7, startTicks: 100, executable: '/bin/app', environment: { NEURON_PROCESS_TAG: 'of the environment' } });
    expect(inspector.enrich({ pid: 7, tag: 'of the stream', error: '' })).toStrictEqual({
      pid: 7,
      tag: 'of the stream',
      error: '',
      startTimeMs: BOOT_MS + 1000,
      attributes: { 'process.executable.name': 'app' },
    });
    const [unseen, complete] = [
      { pid: 8, tag: '8' },
      { pid: 7, tag: '7', startTimeMs: 1 },
    ];
    expect(inspector.enrich(unseen)).toBe(unseen);
    expect(inspector.enrich(complete)).toBe(complete);
  });

  test('this very process, on the real /proc', () => {
    const inspector = createProcessInspector({ host: systemHost({}) });
    const identity = inspector.identify(process.pid);
    expect(identity?.attributes['process.executable.name']).toMatch(/^node/);
    const startedMs = Date.now() - process.uptime() * 1000;
    expect(Math.abs((identity?.startTimeMs ?? 0) - startedMs)).toBeLessThan(5_000);
  });
});

describe('an identity while its process lives', () => {
  const CGROUP = `0::/kubepods.slice/kubepods-pod${POD_UID.replaceAll('-', '_')}.slice/cri-containerd-${CONTAINER_ID}.scope\n`;
  const environment = { NEURON_PROCESS_TAG: 'train', NEURON_LOGICAL_NC_CONFIG: '1' };

  test.each([
    ['cgroup', { environment }, { environment, cgroup: CGROUP }],
    ['environ', { cgroup: CGROUP }, { environment, cgroup: CGROUP }],
    ['cgroup and environ', {}, { environment, cgroup: CGROUP }],
  ])('gains what %s did not show at first', async (_title, first, later) => {
    const { host, inspector } = neuronHost();
    startProcess(host, { pid: 7, startTicks: 100, ...first });
    inspector.identify(7);
    startProcess(host, { pid: 7, startTicks: 100, ...later });
    await host.clock.advance(60_000);
    expect(inspector.identify(7)).toMatchObject({
      tag: 'train',
      logicalCoreConfig: 1,
      attributes: { 'container.id': CONTAINER_ID, 'k8s.pod.uid': POD_UID },
    });
  });

  test.each([
    ['cgroup', { environment: { NEURON_LOGICAL_NC_CONFIG: '1' } }],
    ['the link to the program', { cgroup: CGROUP }],
    ['every file', {}],
  ])('loses nothing when %s is missing once', async (_title, later) => {
    const { host, inspector } = neuronHost();
    const whole = { environment: { NEURON_LOGICAL_NC_CONFIG: '1' }, cgroup: CGROUP, executable: '/bin/app' };
    startProcess(host, { pid: 7, startTicks: 100, ...whole });
    const before = inspector.identify(7);
    startProcess(host, { pid: 7, startTicks: 100, command: 'thread', ...later });
    await host.clock.advance(60_000);
    expect(inspector.identify(7)).toEqual(before);
  });

  test('is not passed on to the next owner of its pid', async () => {
    const { host, inspector } = neuronHost();
    startProcess(host, { pid: 7, startTicks: 100, environment, cgroup: CGROUP, executable: '/bin/app' });
    inspector.identify(7);
    startProcess(host, { pid: 7, startTicks: 200, command: 'other' });
    expect(inspector.identify(7)).toMatchObject({ tag: '7', attributes: { 'process.executable.name': 'other' } });
    expect(inspector.identify(7)?.attributes).not.toHaveProperty('container.id');
  });
});

describe('discovery', () => {
  test('processes with a Neuron device open, and no others', () => {
    const { host, discover } = neuronHost();
    startProcess(host, {
      pid: 30,
      startTicks: 3,
      descriptors: { 0: '/dev/null', 9: '/dev/neuron1' },
      environment: { NEURON_PROCESS_TAG: 'b' },
    });
    startProcess(host, { pid: 20, startTicks: 2, descriptors: { 7: '/dev/neuron0 (deleted)' } });
    startProcess(host, { pid: 21, startTicks: 2, descriptors: { 7: join(host.devRoot, 'neuron0') } });
    startProcess(host, {
      pid: 40,
      startTicks: 4,
      descriptors: { 0: '/home/me/neuron1', 1: '/dev/neuron', 2: '/dev/neuron1/x', 3: 'socket:[1]' },
    });
    startProcess(host, { pid: 50, startTicks: 5 });
    expect(discover().map(({ pid, tag, startTimeMs }) => [pid, tag, startTimeMs])).toEqual([
      [20, '20', BOOT_MS + 20],
      [21, '21', BOOT_MS + 20],
      [30, 'b', BOOT_MS + 30],
    ]);
  });

  test('not the agent itself', () => {
    const { host, discover } = neuronHost();
    startProcess(host, { pid: 20, startTicks: 2, descriptors: { 7: '/dev/neuron0' } });
    symlinkSync('20', join(host.procRoot, 'self'));
    expect(discover()).toEqual([]);
  });

  test('on a host without devices nobody is looked at', () => {
    const { host, discover } = neuronHost({ devices: 0 });
    startProcess(host, { pid: 20, startTicks: 2, descriptors: { 7: '/dev/neuron0' } });
    expect(discover()).toEqual([]);
  });

  test('a forked child holds its parent’s descriptors but no mapping', () => {
    const { host, discover } = neuronHost();
    const mapped =
      '7f00-7f01 r--p 00000000 fe:00 12 /usr/lib/libnrt.so\n7f10-7f20 rw-s 40000000000 00:06 99                         /dev/neuron0\n';
    const descriptors = { 7: '/dev/neuron0' };
    startProcess(host, { pid: 20, startTicks: 2, descriptors, maps: mapped });
    startProcess(host, { pid: 21, startTicks: 3, parentPid: 20, descriptors, maps: '7f00-7f01 r--p 0 fe:00 12 /usr/lib/libnrt.so\n' });
    startProcess(host, { pid: 22, startTicks: 3, parentPid: 20, descriptors, maps: mapped });
    expect(discover().map(({ pid }) => pid)).toEqual([20, 22]);
  });

  test('where mappings cannot be seen, a child with nothing but its parent’s descriptors is not counted', () => {
    const { host, discover } = neuronHost();
    startProcess(host, { pid: 20, startTicks: 2, descriptors: { 7: '/dev/neuron0' } });
    startProcess(host, { pid: 21, startTicks: 3, parentPid: 20, descriptors: { 7: '/dev/neuron0' } });
    startProcess(host, { pid: 22, startTicks: 3, parentPid: 20, descriptors: { 7: '/dev/neuron0', 8: '/dev/neuron1' } });
    expect(discover().map(({ pid }) => pid)).toEqual([20, 22]);
  });

  test('new processes are found with the next scan, ended ones are gone at once, also when the pid lives on', async () => {
    const { host, discover } = neuronHost();
    const descriptors = { 7: '/dev/neuron0' };
    startProcess(host, { pid: 20, startTicks: 2, descriptors });
    startProcess(host, { pid: 21, startTicks: 2, descriptors });
    expect(discover().map(({ pid }) => pid)).toEqual([20, 21]);
    startProcess(host, { pid: 22, startTicks: 3, descriptors });
    endProcess(host, 20);
    startProcess(host, { pid: 21, startTicks: 4, descriptors });
    await host.clock.advance(1_000);
    expect(discover()).toEqual([]);
    await host.clock.advance(14_000);
    expect(discover().map(({ pid, startTimeMs }) => [pid, startTimeMs])).toEqual([
      [21, BOOT_MS + 40],
      [22, BOOT_MS + 30],
    ]);
  });

  test('what the datastore names counts more than what is open, until it falls silent', async () => {
    const { host, inspector, discover } = neuronHost();
    const descriptors = { 7: '/dev/neuron0' };
    startProcess(host, { pid: 20, startTicks: 2, descriptors });
    startProcess(host, { pid: 21, startTicks: 2, descriptors });
    const named = [
      { pid: 20, tag: 'set by the program itself', startTimeMs: BOOT_MS + 20 },
      { pid: 99, tag: 'out of sight' },
    ];
    for (let round = 0; round < 3; round += 1) {
      inspector.learn(named, host.clock.monotonicMs());
      expect(discover()).toEqual(named);
      await host.clock.advance(5_000);
    }
    endProcess(host, 20);
    expect(discover().map(({ pid }) => pid)).toEqual([99]);
    await host.clock.advance(10_001);
    expect(discover().map(({ pid }) => pid)).toEqual([21]);
  });

  test('a datastore that could not look everywhere is believed about whom it names; others may be there as well', async () => {
    const { host, inspector, discover } = neuronHost();
    const descriptors = { 7: '/dev/neuron0' };
    for (const pid of [20, 21, 22]) startProcess(host, { pid, startTicks: 2, descriptors });
    const named = (pid: number) => ({ pid, tag: `tag of ${pid}`, startTimeMs: BOOT_MS + 20 });
    inspector.learn([named(20), named(21)], host.clock.monotonicMs());
    expect(discover()).toEqual([named(20), named(21)]);
    inspector.learn([named(20)], host.clock.monotonicMs(), { isComplete: false });
    expect(discover()).toMatchObject([named(20), named(21), { pid: 22, tag: '22' }]);
    // One that came after the last look at all processes.
    startProcess(host, { pid: 23, startTicks: 3, descriptors });
    endProcess(host, 21);
    await host.clock.advance(1_000);
    inspector.learn([named(20), { ...named(23), startTimeMs: BOOT_MS + 30 }], host.clock.monotonicMs(), { isComplete: false });
    expect(discover().map(({ pid }) => pid)).toEqual([20, 23, 22]);
    inspector.learn([named(20)], host.clock.monotonicMs());
    expect(discover()).toEqual([named(20)]);
  });

  test('a process that closed its device is no Neuron process any more', async () => {
    const { host, discover } = neuronHost();
    startProcess(host, { pid: 20, startTicks: 2, descriptors: { 7: '/dev/neuron0' } });
    expect(discover()).toHaveLength(1);
    startProcess(host, { pid: 20, startTicks: 2, descriptors: {} });
    await host.clock.advance(15_000);
    expect(discover()).toEqual([]);
  });

  test('a crowded host is scanned bit by bit, never for long', async () => {
    const { host, inspector } = neuronHost();
    for (let pid = 100; pid < 300; pid += 1) startProcess(host, { pid, startTicks: pid, descriptors: { 3: '/dev/neuron0' } });
    // Every look at the clock costs a millisecond.
    let monotonicMs = 0;
    const clock = {
      nowMs: () => host.clock.nowMs(),
      monotonicMs: () => (monotonicMs += 1),
      setTimer: host.clock.setTimer.bind(host.clock),
    };
    using slow = createProcessInspector({ host: { ...host, clock } });
    expect(slow.discover(0)).toEqual([]);
    expect(monotonicMs).toBeLessThan(110);
    for (let pause = 0; pause < 400; pause += 1) {
      const before = monotonicMs;
      await host.clock.advance(20);
      expect(monotonicMs - before).toBeLessThan(10);
    }
    expect(slow.discover(monotonicMs)).toHaveLength(200);
    inspector[Symbol.dispose]();
  });

  test('dispose ends a scan under way, and may be repeated', async () => {
    const { host } = neuronHost();
    for (let pid = 100; pid < 300; pid += 1) startProcess(host, { pid, startTicks: pid, descriptors: { 3: '/dev/neuron0' } });
    let looks = 0;
    const clock = { nowMs: () => 0, monotonicMs: () => (looks += 1), setTimer: host.clock.setTimer.bind(host.clock) };
    const inspector = createProcessInspector({ host: { ...host, clock } });
    inspector.discover(0);
    inspector[Symbol.dispose]();
    inspector[Symbol.dispose]();
    const before = looks;
    await host.clock.advance(1_000);
    expect(looks).toBe(before);
  });
});

test('500 processes with reused pids are told apart', async () => {
  await expectReusedPidsToBeToldApart(500);
});
