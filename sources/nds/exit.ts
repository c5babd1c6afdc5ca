import { loadLibc } from './libc.ts';

/**
 * Node waits for worker threads when the process ends, and a thread inside the driver cannot be ended: while a device is being
 * reset, `open` returns for a fatal signal only. After this, the exit that `main` asks for is the kernel's `_exit`, with the same code:
 * it ends all threads at once. Everything was flushed before, as exit handlers run last.
 */
export async function exitWithoutThreads(): Promise<void> {
  const libc = await loadLibc();
  process.once('exit', (code) => libc.exitNow(code));
}
