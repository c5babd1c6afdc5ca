import { gunzipSync } from 'node:zlib';
import type { ResourceMetrics } from '@opentelemetry/sdk-metrics';
import { describe, expect, it } from 'vitest';
import { PageEncoder, Pages } from '../../../exporters/prometheus/page.ts';
import type { Page, PageRequest } from '../../../exporters/prometheus/page.ts';
import { ManualClock } from '../../support/manual-clock.ts';
import { TEST_METRICS, cycle, runtime, testStore } from '../../support/metrics.ts';

const REQUEST: PageRequest = { format: 'text', escaping: 'underscores', selection: undefined };

function pagesOf(collect?: () => Promise<readonly ResourceMetrics[]>) {
  const store = testStore();
  const clock = new ManualClock();
  const conflicts: (readonly string[])[] = [];
  const pages = new Pages({
    collect: collect ?? (() => Promise.resolve(store.collect())),
    generation: () => store.sequence,
    clock,
    encoder: new PageEncoder({ target_info: false, identity_labels: false }),
    onConflicts: (found) => conflicts.push(found),
  });
  const next = (value: number): Page => {
    store.apply(cycle(1), (recorder) => recorder.set(TEST_METRICS.memory, value, { core: 0 }));
    return pages.page(REQUEST);
  };
  return { pages, next, conflicts, clock, store };
}

async function text(page: Page): Promise<string> {
  return (await page.bytes).toString();
}

describe('the memory of a page', () => {
  it('is used again for the next page when nobody reads it', async () => {
    const { next } = pagesOf();
    const buffers = new Set<ArrayBufferLike>();
    for (let value = 1; value <= 50; value += 1) {
      const page = next(value);
      const release = page.hold();
      expect(await text(page)).toMatch(new RegExp(`"0"} ${value}\n$`));
      buffers.add((await page.bytes).buffer);
      release();
    }
    expect(buffers.size).toBe(1);
  });

  it('is left alone while somebody reads it', async () => {
    const { next } = pagesOf();
    const held: { readonly page: Page; readonly shown: string; readonly release: () => void }[] = [];
    for (let value = 1; value <= 20; value += 1) {
      const page = next(value * 7);
      const release = page.hold();
      held.push({ page, shown: await text(page), release });
    }
    for (const { page, shown } of held) expect(await text(page)).toBe(shown);
    for (const { release } of held) release();
  });

  it('is left alone for readers that ask before the page is made', async () => {
    const { next } = pagesOf();
    const held = Array.from({ length: 20 }, (_, value) => {
      const page = next(value * 13);
      return { page, release: page.hold() };
    });
    const shown = await Promise.all(held.map(({ page }) => text(page)));
    expect(await Promise.all(held.map(({ page }) => text(page)))).toEqual(shown);
    for (const { release } of held) release();
  });

  it('is left alone while it is compressed', async () => {
    const { next } = pagesOf();
    const compressing: { readonly shown: string; readonly bytes: Promise<Uint8Array> }[] = [];
    for (let value = 1; value <= 20; value += 1) {
      const page = next(value * 1_001);
      compressing.push({ bytes: page.encoded('gzip'), shown: await text(page) });
    }
    for (const { shown, bytes } of compressing) expect(gunzipSync(await bytes).toString()).toBe(shown);
  });

  it('stays with the second reader when the first one ends twice', async () => {
    const { next } = pagesOf();
    const page = next(1);
    const first = page.hold();
    const second = page.hold();
    first();
    first();
    const shown = await text(page);
    await text(next(2));
    await text(next(3));
    expect(await text(page)).toBe(shown);
    second();
  });

  it('is dropped when nobody has asked for its format for ten minutes', async () => {
    const { pages, next, clock } = pagesOf();
    const memoryOf = async (page: Page): Promise<ArrayBufferLike> => (await page.bytes).buffer;
    const openMetrics = (): Page => pages.page({ ...REQUEST, format: 'openmetrics' });
    const first = await memoryOf(openMetrics());
    next(1);
    expect(await memoryOf(openMetrics())).toBe(first);
    for (let minute = 1; minute <= 11; minute += 1) {
      await clock.advance(60_000);
      await text(next(minute));
    }
    expect(await memoryOf(openMetrics())).not.toBe(first);
  });
});

it('a collection that does not end is given up after ten seconds', async () => {
  const { pages, clock } = pagesOf(() => new Promise(() => {}));
  const { bytes } = pages.page(REQUEST);
  await Promise.all([expect(bytes).rejects.toMatchObject({ code: 'source_timeout' }), clock.advance(10_000)]);
});

it('conflicts are reported when they change, and not for each page', async () => {
  const { pages, conflicts, store } = pagesOf();
  const pageWith = async (processes: number): Promise<void> => {
    for (let pid = 1; pid <= processes; pid += 1)
      store.apply(cycle(1, runtime(String(pid))), (recorder) => recorder.set(TEST_METRICS.memory, pid, { core: 0 }));
    await pages.page(REQUEST).bytes;
  };
  await pageWith(1);
  expect(conflicts).toEqual([]);
  await pageWith(2);
  await pageWith(2);
  expect(conflicts).toEqual([['test_memory_usage_bytes: two points have the same labels']]);
});

describe('a page of selected groups', () => {
  const LEGACY: PageRequest['selection'] = { key: 'none', shows: () => false };

  it('does not change the totals of the whole page', async () => {
    const store = testStore();
    const encoder = new PageEncoder({ naming: 'legacy' });
    const whole = (): string => encoder.encode(store.collect({ legacy: true }), REQUEST).bytes.toString();
    const selected = (): string => encoder.encode(store.collect({ legacy: true }), { ...REQUEST, selection: LEGACY }).bytes.toString();
    const before = whole();
    expect(selected()).toBe('');
    expect(whole()).toBe(before);
  });
});
