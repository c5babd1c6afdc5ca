/**
 * Preloaded into the agent by tests of its memory (`node --import`): answers each message with the bytes still in use after a full
 * garbage collection. V8 and glibc both keep pages of which nothing is in use, more or fewer by chance, and are made to give them back:
 * after the answer resident memory is what the program holds.
 */
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import koffi from 'koffi';

setFlagsFromString('--expose-gc');
const collectGarbage: unknown = runInNewContext('gc');
/** malloc_trim(3) */
const trimHeap = koffi.load('libc.so.6').func('int malloc_trim(size_t pad)');

process.on('message', () => {
  collect();
  // Buffers are released between two turns of the event loop, and what they held with the next collection.
  setImmediate(() => {
    collect();
    trimHeap(0);
    const { heapUsed, external } = process.memoryUsage();
    process.send?.({ heapBytes: heapUsed, externalBytes: external });
  });
});
// The probe must not keep a finished agent alive.
process.channel?.unref();

function collect(): void {
  if (typeof collectGarbage === 'function') collectGarbage({ type: 'major', execution: 'sync', flavor: 'last-resort' });
}
