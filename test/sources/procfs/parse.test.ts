import { describe, expect, test } from 'vitest';
import * as fc from 'fast-check';
import { countAt, parseCount } from '../../../sources/procfs/counts.ts';
import { parseCpuStat } from '../../../sources/procfs/cpu-stat.ts';
import type { CpuStat } from '../../../sources/procfs/cpu-stat.ts';
import { CpuClock, HostUsage, cpuShares, percentOf } from '../../../sources/procfs/cpu-usage.ts';
import { parseMemInfo } from '../../../sources/procfs/mem-info.ts';
import { parsePageBytes } from '../../../sources/procfs/process-usage.ts';
import { parsePidStat } from '../../../sources/procfs/pid-stat.ts';

describe('counts', () => {
  test.each([
    ['0', 0],
    ['9007199254740991', 2 ** 53 - 1],
    ['9007199254740992', undefined],
    ['18446744073709551616', undefined],
    ['-1', undefined],
    ['+1', undefined],
    ['1.5', undefined],
    ['0x10', undefined],
    ['1e3', undefined],
    [' 1', undefined],
    ['', undefined],
    [undefined, undefined],
  ])('%j is %j', (text, expected) => {
    expect(parseCount(text)).toBe(expected);
    if (text !== undefined) expect(countAt(Buffer.from(`7${text}7`), 1, 1 + text.length)).toBe(expected);
  });

  test('are the same from bytes as from text', () => {
    const digits = fc.oneof(
      fc.maxSafeInteger().map(String),
      fc.string({ unit: fc.constantFrom('0', '1', '9', '-', ' ') }),
      fc.bigInt().map(String),
    );
    fc.assert(
      fc.property(digits, (text) => {
        expect(countAt(Buffer.from(text), 0, text.length)).toBe(parseCount(text));
      }),
    );
  });
});

describe('/proc/stat', () => {
  const line = 'cpu  1 2 3 4 5 6 7 8 9 10\n';

  test.each([
    ['empty', '', { cpus: new Map(), malformedLines: 0 }],
    ['all CPUs', line, { cpus: new Map(), malformedLines: 0, all: [1, 2, 3, 4, 5, 6, 7, 8] }],
    ['kernel without steal', 'cpu  1 2 3 4 5 6 7\n', { cpus: new Map(), malformedLines: 0, all: [1, 2, 3, 4, 5, 6, 7] }],
    ['too few modes', 'cpu0 1 2 3 4\n', { cpus: new Map(), malformedLines: 1 }],
    ['a mode that is no number', 'cpu0 1 2 x 4 5 6 7 8\n', { cpus: new Map(), malformedLines: 1 }],
    ['a negative mode', 'cpu0 1 2 -3 4 5 6 7 8\n', { cpus: new Map(), malformedLines: 1 }],
    ['a mode beyond 2^53', 'cpu0 18446744073709551615 2 3 4 5 6 7 8\n', { cpus: new Map(), malformedLines: 1 }],
    ['a CPU without number', 'cpux 1 2 3 4 5 6 7 8\n', { cpus: new Map(), malformedLines: 1 }],
    ['one bad CPU costs one CPU', `cpu0 ?\ncpu1 1 2 3 4 5 6 7 8\n`, { cpus: new Map([[1, [1, 2, 3, 4, 5, 6, 7, 8]]]), malformedLines: 1 }],
    ['cut off within a line', `${line}cpu0 1 2 3 4 5 6 7 8`, { cpus: new Map(), malformedLines: 0, all: [1, 2, 3, 4, 5, 6, 7, 8] }],
    ['context switches and boot', 'ctxt 12\nbtime 34\n', { cpus: new Map(), malformedLines: 0, contextSwitches: 12, bootTimeSeconds: 34 }],
    ['bad context switches and boot', 'ctxt -\nbtime\n', { cpus: new Map(), malformedLines: 2 }],
    ['unknown lines', 'intr 1 2 3\nnew_line x\n', { cpus: new Map(), malformedLines: 0 }],
  ])('%s', (_name, text, expected) => {
    expect(parseCpuStat(Buffer.from(text))).toEqual(expected);
  });

  test('a line is understood exactly when each of its fields is', () => {
    const word = fc.constantFrom(
      'cpu',
      'cpu0',
      'cpu17',
      'cpu-1',
      'cpux',
      'ctxt',
      'btime',
      'intr',
      '0',
      '7',
      '123',
      '-',
      '1e3',
      '9007199254740993',
      ' ',
      '',
    );
    const lines = fc.array(
      fc.oneof(
        fc.array(word, { maxLength: 12 }).map((words) => words.join(' ')),
        fc.constant('cpu1 1 2 3 4 5 6 7 8 9'),
      ),
    );
    fc.assert(
      fc.property(lines, fc.boolean(), (given, isCutOff) => {
        const text = given.join('\n') + (isCutOff ? '' : '\n');
        expect(parseCpuStat(Buffer.from(text))).toEqual(plainly(text));
      }),
      { numRuns: 2_000 },
    );
  });

  test('any text at all is survived', () => {
    fc.assert(
      fc.property(fc.string({ unit: fc.constantFrom('cpu', '0', '7', ' ', '\n', 'ctxt', 'btime', '-', '\0', 'é') }), (text) => {
        expect(parseCpuStat(Buffer.from(text))).toEqual(plainly(text));
      }),
    );
  });
});

/** `/proc/stat` as it is documented, without a thought for speed. */
function plainly(text: string): CpuStat {
  const stat: { cpus: Map<number, readonly number[]>; malformedLines: number; all?: readonly number[] } & Record<string, unknown> = {
    cpus: new Map(),
    malformedLines: 0,
  };
  for (const line of text.split('\n').slice(0, -1)) {
    const [key = '', ...fields] = line.split(' ');
    if (key === 'ctxt' || key === 'btime') {
      const name = key === 'ctxt' ? 'contextSwitches' : 'bootTimeSeconds';
      stat[name] = parseCount(fields[0]);
      if (stat[name] === undefined) stat.malformedLines += 1;
    }
    if (!key.startsWith('cpu')) continue;
    const ticks = line.split(/ +/).slice(1, 9).map(parseCount);
    const cpu = key === 'cpu' ? 'all' : parseCount(key.slice(3));
    const known = ticks.filter((value) => value !== undefined);
    if (cpu === undefined || known.length < Math.max(7, ticks.length)) stat.malformedLines += 1;
    else if (cpu === 'all') stat.all = known;
    else stat.cpus.set(cpu, known);
  }
  return stat;
}

describe('shares', () => {
  // Parts and wholes of published neuron-monitor captures (inf1, trn1) with what it printed.
  test.each([
    [1, 25, 4],
    [151, 784, 19.26],
    [31, 784, 3.95],
    [133, 783, 16.99],
    [0, 1, 0],
    [1, 3, 33.33],
    [2, 3, 66.67],
    [7, 7, 100],
  ])('%d of %d ticks are %d %%', (part, whole, percent) => {
    expect(percentOf(part, whole)).toBe(percent);
  });

  test('stolen time has no part in them', () => {
    expect(cpuShares([0, 0, 0, 0, 0, 0, 0, 0], [25, 0, 25, 50, 0, 0, 0, 300])).toEqual({
      user: 25,
      nice: 0,
      system: 25,
      idle: 50,
      io_wait: 0,
      irq: 0,
      soft_irq: 0,
    });
  });

  test.each([
    ['no time passed', [1, 1, 1, 1, 1, 1, 1, 1], [1, 1, 1, 1, 1, 1, 1, 1]],
    ['only stolen time passed', [1, 1, 1, 1, 1, 1, 1, 1], [1, 1, 1, 1, 1, 1, 1, 9]],
    ['the CPU was restarted', [1, 1, 1, 1000, 1, 1, 1, 1], [2, 2, 2, 2, 2, 2, 2, 2]],
  ])('none when %s', (_name, before, now) => {
    expect(cpuShares(before, now)).toBeUndefined();
  });

  test('are between 0 and 100 and add up to 100 whatever the kernel counts', () => {
    const ticks = fc.array(fc.nat(1e9), { minLength: 8, maxLength: 8 });
    fc.assert(
      fc.property(ticks, ticks, (before, passed) => {
        const now = before.map((value, mode) => value + (passed[mode] ?? 0));
        const shares = cpuShares(before, now);
        fc.pre(shares !== undefined);
        const values = Object.values(shares ?? {});
        expect(values.every((value) => value >= 0 && value <= 100)).toBe(true);
        expect(Math.abs(values.reduce((sum, value) => sum + value, 0) - 100)).toBeLessThanOrEqual(0.05);
      }),
    );
  });
});

describe('time by mode', () => {
  const IO_WAIT = 4;
  const STEAL = 7;
  const secondsOf = (mode: number, name: string, ticks: readonly number[]) => {
    const clock = new CpuClock();
    return ticks.map((value) => clock.advance(Array.from({ length: 8 }, (_, at) => (at === mode ? value : 0)))[name]);
  };

  test.each([
    ['waits until a small fall is passed', IO_WAIT, 'io_wait', [700, 698, 699, 705], [7, 7, 7, 7.05]],
    ['goes on from where it was after a large fall', IO_WAIT, 'io_wait', [700, 100, 150, 149, 250], [7, 7, 7.5, 7.5, 8.5]],
    [
      'goes on when stolen time is set back again and again',
      STEAL,
      'steal',
      [1e9, 6e8, 2e8, 0, 500, 1_500],
      [1e7, 1e7, 1e7, 1e7, 1e7 + 5, 1e7 + 15],
    ],
    ['goes on when a CPU starts over', 0, 'user', [50_000, 10, 60], [500, 500, 500.5]],
  ] as const)('%s', (_title, mode, name, ticks, seconds) => {
    expect(secondsOf(mode, name, ticks)).toEqual(seconds);
  });

  test('never falls and never jumps by more than the kernel counted', () => {
    fc.assert(
      fc.property(fc.array(fc.nat(1e12), { minLength: 2 }), (ticks) => {
        const seconds = secondsOf(STEAL, 'steal', ticks).map((value) => value ?? NaN);
        for (let at = 1; at < ticks.length; at += 1) {
          const rose = (seconds[at] ?? NaN) - (seconds[at - 1] ?? NaN);
          expect(rose).toBeGreaterThanOrEqual(0);
          expect(rose).toBeLessThanOrEqual(Math.max(0, (ticks[at] ?? 0) - (ticks[at - 1] ?? 0)) / 100 + 1e-3);
        }
      }),
    );
  });
});

describe('shares over a sequence of /proc/stat', () => {
  /** Each second a CPU has 50 ticks user, 10 system, 40 idle; `change` alters the modes of second `k`. */
  function utilizations(change: (ticks: number[], k: number) => void) {
    const usage = new HostUsage();
    return Array.from({ length: 8 }, (_, k) => {
      const ticks = [1_000 + 50 * k, 0, 500 + 10 * k, 9_000 + 40 * k, 1_000, 0, 10, 5];
      change(ticks, k);
      return usage.next({ all: ticks, cpus: new Map([[0, ticks]]), malformedLines: 0 }, k * 1_000).data.average_usage;
    }).slice(1);
  }

  const STEADY = { user: 50, nice: 0, system: 10, idle: 40, io_wait: 0, irq: 0, soft_irq: 0 };

  test.each([
    ['nothing unusual happens', () => {}],
    ['I/O wait falls by a tick', (ticks: number[], k: number) => void (ticks[4] = k >= 3 ? 999 : 1_000)],
    ['I/O wait falls by ten seconds', (ticks: number[], k: number) => void (ticks[4] = k >= 3 ? 0 : 1_000)],
    ['stolen time is set back by days', (ticks: number[], k: number) => void (ticks[7] = Math.max(0, 1e9 - (k >= 3 ? 4e8 * k : 0)))],
    ['stolen time overflows', (ticks: number[], k: number) => void (ticks[7] = k === 4 ? 0 : 1e12 + k)],
    ['stolen time rises', (ticks: number[], k: number) => void (ticks[7] = 5 + 25 * k)],
  ])('are right in every second when %s', (_title, change) => {
    expect(utilizations(change)).toEqual(Array.from({ length: 7 }, () => STEADY));
  });

  test('are missing in the one second in which a CPU starts over, and right before and after it', () => {
    const shares = utilizations((ticks, k) => {
      if (k >= 4) for (let mode = 0; mode < 8; mode += 1) ticks[mode] = (ticks[mode] ?? 0) - (mode === 3 ? 9_000 : 0);
    });
    expect(shares).toEqual([STEADY, STEADY, STEADY, undefined, STEADY, STEADY, STEADY]);
  });

  test('are shares of the time that was not stolen', () => {
    const shares = utilizations((ticks, k) => {
      ticks[3] = 9_000 + 15 * k;
      ticks[7] = 5 + 25 * k;
    });
    expect(shares[0]).toEqual({ ...STEADY, user: 66.67, system: 13.33, idle: 20 });
  });
});

describe('/proc/meminfo', () => {
  const text = 'MemTotal: 100 kB\nMemFree: 40 kB\nMemAvailable: 70 kB\nSwapTotal: 10 kB\nSwapFree: 4 kB\n';

  test.each([
    [
      'complete',
      text,
      {
        memory_total_bytes: 102_400,
        memory_used_bytes: 61_440,
        memory_available_bytes: 71_680,
        swap_total_bytes: 10_240,
        swap_used_bytes: 6_144,
      },
    ],
    ['empty', '', {}],
    ['no MemFree: nothing is known to be used', 'MemTotal: 100 kB\n', { memory_total_bytes: 102_400 }],
    ['more free than there is', 'MemTotal: 100 kB\nMemFree: 101 kB\n', { memory_total_bytes: 102_400 }],
    ['another unit', 'MemTotal: 100 MB\nMemFree: 1 MB\n', {}],
    ['negative', 'MemTotal: -100 kB\n', {}],
    ['beyond 2^53 bytes', 'MemTotal: 9007199254740991 kB\n', {}],
    ['cut off within a number', 'MemTotal: 100 kB\nMemFree: 4', { memory_total_bytes: 102_400 }],
    ['a name that only ends like ours', 'XMemTotal: 100 kB\n', {}],
  ])('%s', (_name, given, expected) => {
    expect(parseMemInfo(given)).toEqual(expected);
  });

  test.each([
    ['more free than there is', 'MemTotal: 100 kB\nMemFree: 101 kB\n', ['MemFree']],
    ['more available than there is', 'MemTotal: 100 kB\nMemFree: 1 kB\nMemAvailable: 101 kB\n', ['MemAvailable']],
    ['more free swap than swap', 'MemTotal: 100 kB\nMemFree: 1 kB\nSwapTotal: 1 kB\nSwapFree: 2 kB\n', ['SwapFree']],
    ['no such line', 'MemTotal: 100 kB\nMemFree: 1 kB\n', []],
  ])('fields that cannot be right are named: %s', (_name, given, expected) => {
    const impossible: string[] = [];
    parseMemInfo(given, impossible);
    expect(impossible).toEqual(expected);
  });
});

describe('/proc/<pid>/stat', () => {
  const tail = 'S 7 1 1 0 -1 4194304 99 0 0 0 11 12 0 0 20 0 3 0 900 4096 5 0';

  test.each([
    ['plain', '(python3)', 'python3'],
    ['spaces and parentheses in the name', '(a) (b) c)', 'a) (b) c'],
    ['empty name', '()', ''],
    ['a line end in the name', '(a\nb)', 'a\nb'],
  ])('%s', (_name, name, command) => {
    expect(parsePidStat(`42 ${name} ${tail}\n`)).toEqual({
      command,
      parentPid: 7,
      isKernelThread: false,
      userTicks: 11,
      systemTicks: 12,
      threadCount: 3,
      startTicks: 900,
      virtualBytes: 4096,
      residentPages: 5,
    });
  });

  test('a kernel thread is known by its flag', () => {
    expect(parsePidStat('2 (kthreadd) S 0 0 0 0 -1 2129984 0 0 0 0 0 0 0 0 20 0 1 0 0 0 0 0\n')?.isKernelThread).toBe(true);
  });

  test('cut off after the start time: memory is absent', () => {
    expect(parsePidStat('42 (x) S 7 1 1 0 -1 0 99 0 0 0 11 12 0 0 20 0 3 0 900')).toMatchObject({ startTicks: 900 });
    expect(parsePidStat('42 (x) S 7 1 1 0 -1 0 99 0 0 0 11 12 0 0 20 0 3 0 900')).not.toHaveProperty('residentPages');
  });

  test.each([
    ['empty', ''],
    ['no name', '42 S 7'],
    ['name without end', '42 (x S 7'],
    ['end before start', '42 )x( S 7'],
    ['cut off before the start time', '42 (x) S 7 1 1 0 -1 0 99 0 0 0 11 12'],
    ['negative time', '42 (x) S 7 1 1 0 -1 0 99 0 0 0 -11 12 0 0 20 0 3 0 900 1 1'],
  ])('nothing from: %s', (_name, text) => {
    expect(parsePidStat(text)).toBeUndefined();
  });
});

describe('auxiliary vector', () => {
  test.each([
    ['4 KiB pages', vector([3, 1], [6, 4096], [0, 0]), 4096],
    ['64 KiB pages', vector([6, 65536]), 65536],
    ['no page size', vector([3, 1], [0, 0]), undefined],
    ['implausible', vector([6, 1]), undefined],
    ['cut off', vector([6, 4096]).slice(0, 12), undefined],
  ])('%s', (_name, bytes, expected) => {
    expect(parsePageBytes(bytes)).toBe(expected);
  });
});

/** Pairs of type and value as the kernel lays them out. */
function vector(...pairs: readonly (readonly [number, number])[]): Uint8Array {
  const bytes = new DataView(new ArrayBuffer(pairs.length * 16));
  for (const [index, [type, value]] of pairs.entries()) {
    bytes.setBigUint64(index * 16, BigInt(type), true);
    bytes.setBigUint64(index * 16 + 8, BigInt(value), true);
  }
  return new Uint8Array(bytes.buffer);
}
