import { describe, expect, it } from 'vitest';
import type { MetricGroup } from '../../src/readings.ts';
import { SourceLadder } from '../../src/source-ladder.ts';
import { ManualClock } from '../support/manual-clock.ts';

function ladder(periodMs: number) {
  const clock = new ManualClock();
  const stream = new SourceLadder({
    clock,
    pullSources: () => [],
    periodMs: () => periodMs,
    failed: (_source, thrown) => {
      throw thrown;
    },
  });
  const arrive = (): void => stream.streamDelivered(new Set<MetricGroup>(['memory_info']));
  return { clock, arrive, serves: () => stream.streamServes('memory_info') };
}

describe('the ladder of sources', () => {
  it.each([30_000, 60_000, 300_000])(
    'leaves a group with a period of %i ms to the stream until its second record can be there',
    async (periodMs) => {
      const { clock, arrive, serves } = ladder(periodMs);
      arrive();
      await clock.advance(periodMs);
      expect(serves()).toBe(true);
    },
  );

  it('takes a group from a stream that brought it once and then no more', async () => {
    const { clock, arrive, serves } = ladder(5_000);
    arrive();
    await clock.advance(15_000);
    expect(serves()).toBe(false);
  });

  it('learns the interval from the second record', async () => {
    const { clock, arrive, serves } = ladder(5_000);
    arrive();
    await clock.advance(2_000);
    arrive();
    await clock.advance(2_999);
    expect(serves()).toBe(true);
    await clock.advance(1);
    expect(serves()).toBe(false);
  });

  it('does not let the stream serve what it never brought', () => {
    expect(ladder(5_000).serves()).toBe(false);
  });
});
