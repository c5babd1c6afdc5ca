import { readFileSync } from 'node:fs';
import fc from 'fast-check';
import { describe, expect, it, test } from 'vitest';
import { UnitFromTime } from '../../../sources/busy-time.ts';
import { CoreActivity } from '../../../sources/sysfs/core-reader.ts';
import { DIP_MS, ErrorCounter, HEARTBEAT_STALLED_MS, HealthState, PowerSchedule, parsePower } from '../../../sources/sysfs/device-state.ts';
import { Driver, parseConnected, parseFacts } from '../../../sources/sysfs/facts.ts';
import { FILES, rowOf } from '../../../sources/sysfs/files.ts';
import { parseDecimalLine } from '../../../sources/sysfs/node-file.ts';
import { SysfsTest } from './support.ts';

function decimal(text: string): number | bigint | undefined {
  const bytes = Buffer.from(text, 'latin1');
  return parseDecimalLine(bytes, bytes.length);
}

describe('a number', () => {
  it.each([
    ['0\n', 0],
    ['42\n', 42],
    ['999999999999999\n', 999_999_999_999_999],
    ['9007199254740991\n', 9_007_199_254_740_991],
    ['9007199254740993\n', 9_007_199_254_740_993n],
    ['18446744073709551615\n', 18_446_744_073_709_551_615n],
    ['0000000000000000000042\n', 42],
  ])('%j', (text, value) => expect(decimal(text)).toBe(value));

  it.each([
    '',
    '\n',
    '42',
    '-1\n',
    '+1\n',
    '1.5\n',
    '1e3\n',
    '0x10\n',
    ' 1\n',
    '1 \n',
    '1\n2\n',
    'busy\n',
    '18446744073709551616\n',
    '1\0\n',
  ])('is not %j', (text) => expect(decimal(text)).toBeUndefined());

  it('around 2^53 keeps its value, with zeros in front too, and is a bigint from there on', () => {
    const zeros = fc.integer({ min: 0, max: 8 }).map((count) => '0'.repeat(count));
    fc.assert(
      fc.property(fc.bigInt({ min: 10n ** 14n, max: 10n ** 17n }), zeros, (value, front) => {
        const expected = value < 2n ** 53n ? Number(value) : value;
        expect(decimal(`${front}${value}\n`)).toBe(expected);
      }),
    );
  });

  it('of 64 bits keeps its value', () => {
    fc.assert(
      fc.property(fc.bigInt({ min: 0n, max: 2n ** 64n - 1n }), (value) => {
        expect(BigInt(decimal(`${value}\n`) ?? -1)).toBe(value);
      }),
    );
  });
});

describe('power', () => {
  it('is a sample when it says so', () => {
    const power = { epoch_seconds: 1_767_225_600, min: 0.86, max: 25, avg: 18.86 };
    expect(parsePower('POWER_STATUS_VALID,1767225600,0.86,25.00,18.86')).toEqual({ kind: 'sample', power });
  });

  it.each([
    ['POWER_STATUS_NO_DATA,0,0.00,0.00,0.00', 'none'],
    ['POWER_STATUS_INVALID,1767225600,0.86,25.00,18.86', 'none'],
    ['POWER_STATUS_VALIDX,1767225600,0.86,25.00,18.86', 'malformed'],
    ['power_status_valid,1767225600,0.86,25.00,18.86', 'malformed'],
    ['POWER_STATUS_VALID,1767225600,0.86,25.00', 'malformed'],
    ['POWER_STATUS_VALID,1767225600,0.86,25.00,18.86,1', 'malformed'],
    ['POWER_STATUS_VALID,-1,0.86,25.00,18.86', 'malformed'],
    ['POWER_STATUS_VALID,1767225600,nan,25.00,18.86', 'malformed'],
    ['POWER_STATUS_VALID,1767225600,30.00,25.00,18.86', 'malformed'],
    ['POWER_STATUS_VALID,1767225600,0.86,250.00,18.86', 'malformed'],
    ['POWER_STATUS_VALID,1767225600,0.86,25.00,25.01', 'malformed'],
    ['POWER_STATUS_VALID,1767225600,0.86,25.00,0.85', 'malformed'],
    ['', 'malformed'],
  ])('%j is %s', (text, kind) => expect(parsePower(text).kind).toBe(kind));

  it('is asked for about once a minute, holds in between, and goes when no new sample comes', () => {
    const schedule = new PowerSchedule();
    const asked: number[] = [];
    for (let ms = 0; ms <= 600_000; ms += 1_000) {
      if (!schedule.isDue(ms)) continue;
      asked.push(ms);
      // The driver stops publishing after five minutes.
      const epoch = Math.min(300, Math.floor(ms / 60_000) * 60);
      schedule.answered({ kind: 'sample', power: { epoch_seconds: epoch, min: 0, max: 1, avg: 0.5 } }, ms);
    }
    expect(asked.filter((ms) => ms > 60_000 && ms < 300_000).length).toBeLessThan(8);
    expect(schedule.current(310_000)?.epoch_seconds).toBe(300);
    expect(schedule.current(600_000)).toBeUndefined();
  });
});

describe('an error counter', () => {
  it('says nothing while the device is in reset, and the same count afterwards', () => {
    const counter = new ErrorCounter();
    expect([5, 0, 0, 0xdeadbeef, 0xdead, 0xbeef, 5, 6].map((value, second) => counter.next(value, second * 1_000))).toEqual([
      5,
      undefined,
      undefined,
      undefined,
      undefined,
      undefined,
      5,
      6,
    ]);
  });

  it('believes a zero that stays, and a lower count at once', () => {
    const counter = new ErrorCounter();
    expect(counter.next(5, 0)).toBe(5);
    expect(counter.next(0, 1_000)).toBeUndefined();
    expect(counter.next(0, 1_000 + DIP_MS - 1)).toBeUndefined();
    expect(counter.next(0, 1_000 + DIP_MS)).toBe(0);
    expect([counter.next(0, 40_000), counter.next(7, 41_000), counter.next(2, 42_000)]).toEqual([0, 7, 2]);
  });
});

describe('health', () => {
  it('is what the firmware says', () => {
    const judge = new HealthState();
    expect(judge.next('', '1', 0)).toEqual({ state: 'healthy', unhealthy_components: [] });
    expect(judge.next('hbm,link_efa', '2', 1)).toEqual({
      state: 'unhealthy',
      reason: 'components',
      unhealthy_components: ['hbm', 'link_efa'],
    });
    expect(judge.next('device_unreachable', 'device_unreachable', 2)).toMatchObject({ state: 'unhealthy', reason: 'device_unreachable' });
  });

  it.each([undefined, 'HBM!', ',', `${'a,'.repeat(64)}a`])('cannot be told from %j', (text) => {
    expect(new HealthState().next(text, '1', 0)).toMatchObject({ state: 'unknown', reason: 'unreadable' });
  });

  it('cannot be told when the heartbeat stands still, and can again when it goes on', () => {
    const judge = new HealthState();
    judge.next('', '9', 0);
    expect(judge.next('', '9', HEARTBEAT_STALLED_MS - 1).state).toBe('healthy');
    expect(judge.next('', '9', HEARTBEAT_STALLED_MS)).toMatchObject({ state: 'unknown', reason: 'heartbeat_stalled' });
    expect(judge.next('', '0', HEARTBEAT_STALLED_MS + 1).state).toBe('healthy');
  });

  it('needs no heartbeat where there is none', () => {
    const judge = new HealthState();
    expect(judge.next('', undefined, HEARTBEAT_STALLED_MS * 2).state).toBe('healthy');
  });
});

describe('facts', () => {
  it('are trimmed, checked, or left out', () => {
    const texts = new Map([
      ['device_name', 'Trainium2'],
      ['arch_type', ''],
      ['serial_number', '00FF8EAA345CDE59'],
      ['fw_build', 'busy'],
      ['fw_api_version', '6\u0000'],
      ['connected_devices', '1, 4, 12, 3'],
      ['core_count', '8'],
    ] as const);
    expect(parseFacts(texts)).toEqual({
      name: 'Trainium2',
      serial_number: '00ff8eaa345cde59',
      connected_devices: [1, 4, 12, 3],
      core_count: 8,
    });
    expect(parseFacts(new Map())).toEqual({});
  });

  it.each([
    [undefined, undefined],
    ['', undefined],
    ['7', [7]],
    ['1,2', [1, 2]],
    ['1, 4, 12, ', undefined],
    ['a', undefined],
  ])('neighbours of %j are %j', (text, neighbours) => expect(parseConnected(text)).toEqual(neighbours));
});

describe('the meaning of a file', () => {
  it.each([
    ['neuron_core3/stats/memory_usage/device_mem/tensors/total', { where: 'core memory', core: 3, leaf: 'total', kind: 'tensors' }],
    ['neuron_core3/stats/memory_usage/device_mem/peak', { where: 'core memory', core: 3, leaf: 'peak', kind: undefined }],
    ['cores/neuron_core3/x/device_mem/tensors/total', { where: 'core memory', core: 3, leaf: 'total', kind: 'tensors' }],
    ['stats/memory_usage/host_mem/tensors/total', { where: 'host memory', leaf: 'total', kind: 'tensors' }],
    ['neuron_core3/stats/memory_usage/host_mem/total', undefined],
    ['neuron_core3/stats/memory_usage/device_mem/tensors/present', undefined],
    ['neuron_core0/stats/status/success/total', { where: 'core status', core: 0, counter: 'success' }],
    ['neuron_core0/stats/status/brand_new_error/total', { where: 'core status', core: 0, counter: 'brand_new_error' }],
    ['neuron_core0/stats/status/infer_failed_to_queue/total', { where: 'core status', core: 0, counter: 'execute_failed_to_queue' }],
    ['neuron_core0/counters/success', { where: 'core status', core: 0, counter: 'success' }],
    ['neuron_core0/counters/success/present', undefined],
    ['neuron_core12/anywhere/flop_count/total', { where: 'core', core: 12, file: 'flop_count' }],
    ['neuron_core0/info/architecture/arch_type', { where: 'core', core: 0, file: 'arch_type' }],
    ['info/architecture/arch_type', { where: 'fact', file: 'arch_type' }],
    ['stats/hardware/mem_ecc_corrected', { where: 'ecc', file: 'mem_ecc_corrected' }],
    ['stats/hardware/health_status/mem_ecc_corrected', undefined],
    ['stats/hardware/health_status/unhealthy_components', { where: 'health', file: 'unhealthy_components' }],
    ['stats/power/utilization', { where: 'power' }],
    ['stats/power/utilization_raw', undefined],
    ['power/runtime_status', undefined],
    ['neuron_core0/stats/tensor_engine/pe_cntrs', undefined],
    ['info/notify_delay', undefined],
    ['reset', undefined],
    ['uevent', undefined],
  ])('%s', (path, row) => {
    const directories = path.split('/');
    const file = directories.pop() ?? '';
    const found = rowOf(directories, file);
    if (row === undefined) expect(found).toBeUndefined();
    else expect(found).toMatchObject(row);
  });

  it('is in the README, each file with its field', () => {
    const readme = readFileSync(new URL('../../../sources/sysfs/README.md', import.meta.url), 'utf8');
    const missing = FILES.filter(({ file }) => !readme.includes(`\`${file}\``)).map(({ file }) => file);
    expect(missing).toEqual([]);
  });
});

describe('the unit of busy time', () => {
  it('is picoseconds when there would be more microseconds than time', () => {
    const unit = new UnitFromTime();
    unit.observe(400e9, 10, 1_000);
    expect(unit.unit).toBe('ps');
  });

  it('is microseconds when a core was busy for a part of the time and something completed', () => {
    const unit = new UnitFromTime();
    unit.observe(400e3, 10, 1_000);
    expect(unit.unit).toBe('us');
  });

  it.each([
    ['nothing happened', 0, 0],
    ['nothing completed', 400e3, 0],
    ['it might be a long execution in microseconds, or nanoseconds', 10e6, 1],
    ['less than a unit for each completion', 3, 10],
  ])('is open when %s', (_title, delta, completions) => {
    const unit = new UnitFromTime();
    unit.observe(delta, completions, 1_000);
    expect(unit.unit).toBeUndefined();
  });

  it('is taken back when time itself speaks against it', () => {
    const unit = new UnitFromTime();
    unit.observe(900e3, 1, 1_000);
    unit.observe(900e9, 1, 1_000);
    expect(unit.unit).toBe('ps');
  });
});

describe('rates of a core', () => {
  function core(
    ...totals: readonly (readonly [busyPs: number | bigint, flops: number | bigint, completions: number])[]
  ): readonly unknown[] {
    const activity = new CoreActivity(new UnitFromTime());
    return totals.map(([busyTime, flops, completions], second) => activity.next({ busyTime, flops, completions }, second * 1_000));
  }

  it('begin with the second reading', () => {
    expect(core([7n, 7n, 7], [250_000_000_007n, 1_000_000_007n, 17])).toEqual([{}, { utilization: 25, flops: 1e9 }]);
  });

  it('are exact beyond 2^53', () => {
    const base = 2n ** 63n;
    expect(core([base, base + 1n, 0], [base + 500_000_000_000n, base + 4n, 10])[1]).toEqual({ utilization: 50, flops: 3 });
  });

  it('spread a long execution over the time it took', () => {
    expect(
      core([0, 0, 0], [3_500_000_000_000, 0, 1], [3_500_000_000_000, 0, 1], [3_500_000_000_000, 0, 1], [3_500_000_000_000, 0, 1]).slice(1),
    ).toEqual([100, 100, 100, 50].map((utilization) => ({ utilization, flops: 0 })));
  });

  it('are left out where a total fell, and are there again after it', () => {
    expect(core([9e11, 9e9, 9], [1e11, 1e9, 1], [4e11, 2e9, 4])).toEqual([{}, {}, { utilization: 30, flops: 1e9 }]);
  });

  it('are left out where totals are missing or time stands still', () => {
    const activity = new CoreActivity(new UnitFromTime());
    const none = { busyTime: undefined, flops: undefined, completions: undefined };
    expect([activity.next(none, 0), activity.next(none, 1_000), activity.next({ busyTime: 1, flops: 1, completions: 1 }, 1_000)]).toEqual([
      {},
      {},
      {},
    ]);
  });

  it('are zero for a core at rest, whatever the unit', () => {
    expect(core([5, 5, 5], [5, 5, 5])[1]).toEqual({ utilization: 0, flops: 0 });
  });
});

test('counters are live from driver 2.30.2 on; without a version the corrected errors tell', async () => {
  await using sysfs = new SysfsTest();
  const live = (version: string): boolean => {
    sysfs.write({ 'module/neuron/version': `${version}\n` });
    return new Driver(sysfs.root).countersAreLive(false);
  };
  expect(['2.30.2.0', '2.30.2', '2.30.10', '2.31.7.0', '3.0'].map((version) => live(version))).toEqual([true, true, true, true, true]);
  expect(['2.30.1.9', '2.29.0.0', '2.9.3', '1.40'].map((version) => live(version))).toEqual([false, false, false, false]);
  sysfs.write({ 'module/neuron/version': 'unknown\n' });
  const driver = new Driver(sysfs.root);
  expect(driver.version).toBeUndefined();
  expect(driver.countersAreLive(true)).toBe(true);
  expect(driver.countersAreLive(false)).toBe(false);
});
