import { preparePeers } from '../../../scripts/peers.ts';
import type { PeerName } from '../../../scripts/peers.ts';

/** Path of a peer that `scripts/e2e.ts` has made ready; fails with the remedy when it is absent. */
export function peer(name: PeerName): string {
  const { paths, missing } = preparePeers([name]);
  const path = paths.get(name);
  if (path === undefined)
    throw new Error(missing.map(({ problem, remedy }) => `${name} is missing: ${problem}; remedy: ${remedy}`).join('\n'));
  return path;
}
