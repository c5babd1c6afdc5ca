/**
 * Preloaded into the agent by the soak test (`node --import`): answers each message with the bytes still in use after a full
 * garbage collection. Resident memory cannot tell a leak from a young generation that V8 lets grow.
 */
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';

setFlagsFromString('--expose-gc');
const collectGarbage: unknown = runInNewContext('gc');

process.on('message', () => {
  collect();
  // Buffers are released between two turns of the event loop, and what they held with the next collection.
  setImmediate(() => {
    collect();
    const { heapUsed, external } = process.memoryUsage();
    process.send?.({ heapBytes: heapUsed, externalBytes: external });
  });
});
// The probe must not keep a finished agent alive.
process.channel?.unref();

function collect(): void {
  if (typeof collectGarbage === 'function') collectGarbage();
}
