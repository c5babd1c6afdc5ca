import { gunzipSync } from 'node:zlib';
import { describe, expect, it } from 'vitest';
import { newExposition } from '../../../exporters/prometheus/expositions.ts';
import type { ResourceMetrics } from '@opentelemetry/sdk-metrics';
import type { PageFormat } from '../../../exporters/prometheus/negotiation.ts';
import { Pages } from '../../../exporters/prometheus/pages.ts';
import type { Page, PageRequest } from '../../../exporters/prometheus/pages.ts';
import { TextPageEncoder } from '../../../exporters/prometheus/text.ts';
import { ManualClock } from '../../support/manual-clock.ts';
import { TEST_METRICS, cycle, testStore } from '../../support/metrics.ts';

const REQUEST: PageRequest = { format: 'text', escaping: 'underscores', selection: undefined };

function pagesOf(collect?: () => Promise<readonly ResourceMetrics[]>) {
  const store = testStore();
  const clock = new ManualClock();
  const encoders: PageFormat[] = [];
  const conflicts: (readonly string[])[] = [];
  const pages = new Pages({
    collect: collect ?? (() => Promise.resolve(store.collect())),
    generation: () => store.sequence,
    clock,
    newExposition: (escaping) => newExposition(escaping, { target_info: false }),
    newEncoder: (format) => {
      encoders.push(format);
      return new TextPageEncoder('text');
    },
    onConflicts: (found) => conflicts.push(found),
  });
  const next = (value: number): Promise<Page> => {
    store.apply(cycle(1), (recorder) => recorder.set(TEST_METRICS.memory, value, { core: 0 }));
    return pages.page(REQUEST);
  };
  return { pages, next, conflicts, clock, encoders };
}

function text(page: Page): string {
  return Buffer.from(page.bytes).toString();
}

describe('memory of pages', () => {
  it('is used again once nobody reads it', async () => {
    const { next } = pagesOf();
    const buffers = new Set<ArrayBufferLike>();
    for (let value = 1; value <= 50; value += 1) {
      const page = await next(value);
      const release = page.hold();
      expect(text(page)).toMatch(new RegExp(`"0"} ${value}\n$`));
      buffers.add(page.bytes.buffer);
      release();
    }
    expect(buffers.size).toBeLessThanOrEqual(3);
  });

  it('is left alone while somebody reads', async () => {
    const { next } = pagesOf();
    const held: { readonly page: Page; readonly shown: string; readonly release: () => void }[] = [];
    for (let value = 1; value <= 20; value += 1) {
      const page = await next(value * 7);
      held.push({ page, shown: text(page), release: page.hold() });
    }
    for (const { page, shown } of held) expect(text(page)).toBe(shown);
    for (const { release } of held) release();
  });

  it('is left alone while it is compressed', async () => {
    const { next } = pagesOf();
    const compressing: { readonly shown: string; readonly bytes: Promise<Uint8Array> }[] = [];
    for (let value = 1; value <= 20; value += 1) {
      const page = await next(value * 1_001);
      compressing.push({ shown: text(page), bytes: page.encoded('gzip') });
    }
    for (const { shown, bytes } of compressing) expect(gunzipSync(await bytes).toString()).toBe(shown);
  });

  it('may be released twice', async () => {
    const { next } = pagesOf();
    const page = await next(1);
    const [first, second] = [page.hold(), page.hold()];
    first();
    first();
    const shown = text(page);
    await next(2);
    await next(3);
    expect(text(page)).toBe(shown);
    second();
  });
});

it('a collection that does not end is given up', async () => {
  const { pages, clock } = pagesOf(() => new Promise(() => {}));
  const page = pages.page(REQUEST);
  await Promise.all([expect(page).rejects.toMatchObject({ code: 'source_timeout' }), clock.advance(10_000)]);
});

it('what nobody asks for any more is dropped', async () => {
  const { pages, next, clock, encoders } = pagesOf();
  await pages.page({ ...REQUEST, format: 'openmetrics' });
  for (let minute = 1; minute <= 11; minute += 1) {
    await clock.advance(60_000);
    await next(minute);
  }
  expect(encoders).toEqual(['openmetrics', 'text']);
  await pages.page({ ...REQUEST, format: 'openmetrics' });
  expect(encoders).toEqual(['openmetrics', 'text', 'openmetrics']);
});
