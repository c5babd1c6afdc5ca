import { newExposition } from '../../../../exporters/prometheus/expositions.ts';
import type { Exposition } from '../../../../exporters/prometheus/exposition.ts';
import { TextPageEncoder } from '../../../../exporters/prometheus/text.ts';
import { Replay } from '../../../support/replay.ts';

/** The legacy families after one record of neuron-monitor. */
export async function legacyExposition(document: Readonly<Record<string, unknown>>): Promise<Exposition> {
  const replay = new Replay();
  await replay.feed(document);
  const exposition = newExposition('underscores', { naming: 'legacy' });
  exposition.update(replay.store.collect({ legacy: true }));
  return exposition;
}

/** Their page in text 0.0.4. */
export async function legacyPage(document: Readonly<Record<string, unknown>>): Promise<string> {
  return new TextPageEncoder('text').encode(await legacyExposition(document)).toString();
}
