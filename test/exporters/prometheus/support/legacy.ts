import type { ResourceMetrics } from '@opentelemetry/sdk-metrics';
import { Replay } from '../../../support/replay.ts';
import { freshPages } from './pages.ts';
import type { EncodedPages } from './pages.ts';

/** The collection after one record of neuron-monitor, with the rows that feed legacy families only. */
export async function legacyCollection(document: Readonly<Record<string, unknown>>): Promise<readonly ResourceMetrics[]> {
  const replay = new Replay();
  await replay.feed(document);
  return replay.store.collect({ legacy: true });
}

/** The legacy pages of it. */
export async function legacyPages(document: Readonly<Record<string, unknown>>): Promise<EncodedPages> {
  return freshPages(await legacyCollection(document), { naming: 'legacy' });
}

/** The legacy page in text 0.0.4. */
export async function legacyPage(document: Readonly<Record<string, unknown>>): Promise<string> {
  return (await legacyPages(document)).text;
}
