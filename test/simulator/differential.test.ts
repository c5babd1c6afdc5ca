import { describe, expect, test } from 'vitest';
import { createImdsSource } from '../../sources/imds/source.ts';
import { createProcfsSource } from '../../sources/procfs/source.ts';
import { createSysfsSource } from '../../sources/sysfs/source.ts';
import { CPU_MODES } from '../../simulator/truth.ts';
import { silentLogger } from '../../src/log.ts';
import { expectSysfsToBeTrue, read, readDevices, virtualMachine } from './support/sysfs-truth.ts';

test('what sysfs reads of the smallest host is true, through incidents and resets', async () => {
  await expectSysfsToBeTrue('trn2.3xlarge');
});

test('either unit of busy time is found out', async () => {
  const utilizations: unknown[] = [];
  for (const timeUnit of ['us', 'ps'] as const) {
    await using machine = await virtualMachine('trn2.3xlarge', { timeUnit });
    const { host, clock } = machine;
    await using source = createSysfsSource({ host: host.host, logger: silentLogger });
    const seen: (number | undefined)[] = [];
    for (let step = 0; step < 40; step += 1) {
      await clock.advance(1_000);
      host.step();
      for (const core of Object.values((await readDevices(source))[0]?.device_cores ?? {})) seen.push(core.utilization);
    }
    utilizations.push(seen);
  }
  expect(utilizations[0]).toEqual(utilizations[1]);
});

describe('what procfs reads', () => {
  test('of the host is what is true', async () => {
    await using machine = await virtualMachine('trn2.3xlarge');
    const { host, clock } = machine;
    await using source = createProcfsSource({ host: host.host, runtimes: () => [] });
    const switchesBefore = host.truth().host.contextSwitches;
    await read(source, 'vcpu_usage');
    let switches = 0;
    for (let step = 0; step < 30; step += 1) {
      await clock.advance(1_000);
      host.step();
      const [cpu] = await read(source, 'vcpu_usage');
      const [memory] = await read(source, 'memory_info');
      const truth = host.truth().host;
      switches += cpu?.data.context_switch_count ?? NaN;
      const seconds = CPU_MODES.map((_, mode) =>
        truth.vcpuSeconds.reduce((sum, modes) => sum + Math.floor((modes[mode] ?? 0) * 100) / 100, 0),
      );
      expect(Object.values(cpu?.data.cpu_time ?? {})).toEqual(seconds.map((value) => expect.closeTo(value, 6)));
      expect(memory?.data.memory_used_bytes).toBe(
        (Math.floor(truth.memoryTotalBytes / 1024) - Math.floor(truth.memoryFreeBytes / 1024)) * 1024,
      );
    }
    expect(switches).toBe(host.truth().host.contextSwitches - switchesBefore);
  });
});

test('the metadata service says who the instance is', async () => {
  await using machine = await virtualMachine('inf1.6xlarge', { imds: true });
  const { host } = machine;
  await using source = createImdsSource({ host: host.host, ...(host.imdsEndpoint !== undefined && { endpoint: host.imdsEndpoint }) });
  const { identity } = host.truth();
  await read(source, 'instance_info').catch(() => []);
  await expect
    .poll(async () => (await read(source, 'instance_info'))[0]?.data)
    .toMatchObject({
      instance_id: identity.instanceId,
      instance_type: 'inf1.6xlarge',
      instance_name: identity.name,
      instance_region: identity.region,
      instance_availability_zone: identity.availabilityZone,
      instance_availability_zone_id: identity.availabilityZoneId,
      ami_id: identity.amiId,
      subnet_id: identity.subnetId,
    });
});
