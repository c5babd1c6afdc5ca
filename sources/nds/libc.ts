import { AgentError } from '../../src/errors.ts';

/** The calls into the C library that Node does not have. Descriptors are plain numbers; nothing throws. */
export interface Libc {
  open(path: string, flags: number): number;
  close(descriptor: number): number;
  ioctl(descriptor: number, request: number, argument: Buffer): number;
  /** Undefined when the mapping failed. */
  mmap(bytes: number, protection: number, flags: number, descriptor: number, offset: bigint): bigint | undefined;
  munmap(address: bigint, bytes: number): number;
  /** Memory at an address as it is, not a copy. */
  view(address: bigint, bytes: number): ArrayBuffer;
  /** `ENOENT` and the like, of the call just made. */
  errnoName(): string;
  /** Ends the process at once, without waiting for threads. */
  exitNow(code: number): void;
}

const MAP_FAILED = 0xffff_ffff_ffff_ffffn;

/**
 * Loads the foreign function interface and binds the functions of this process's own C library, interposed ones included.
 * Throws `source_absent` where the package is not installed or has no build for this machine.
 */
export async function loadLibc(): Promise<Libc> {
  const koffi = await importKoffi();
  const library = koffi.load(null);
  const open = library.func('int open(const char *path, int flags)');
  const close = library.func('int close(int fd)');
  // Variadic in C; on x86-64 and aarch64 Linux one pointer is passed the same way.
  const ioctl = library.func('int ioctl(int fd, unsigned long request, void *argument)');
  const mmap = library.func('uintptr_t mmap(uintptr_t address, size_t length, int protection, int flags, int fd, int64_t offset)');
  const munmap = library.func('int munmap(uintptr_t address, size_t length)');
  const exit = library.func('void _exit(int status)');
  const names = new Map(Object.entries(koffi.os.errno).map(([name, number]) => [number, name]));
  return {
    open: (path, flags) => Number(open(path, flags)),
    close: (descriptor) => Number(close(descriptor)),
    ioctl: (descriptor, request, argument) => Number(ioctl(descriptor, request, argument)),
    mmap: (bytes, protection, flags, descriptor, offset) => {
      const address = BigInt(mmap(0, bytes, protection, flags, descriptor, offset));
      return address === MAP_FAILED ? undefined : address;
    },
    munmap: (address, bytes) => Number(munmap(address, bytes)),
    view: (address, bytes) => koffi.view(address, bytes),
    errnoName: () => names.get(koffi.errno()) ?? `errno ${koffi.errno()}`,
    exitNow: (code) => void exit(code),
  };
}

async function importKoffi() {
  try {
    return await import('koffi');
  } catch (thrown) {
    throw new AgentError('source_absent', 'nds', 'package koffi is not installed for this machine', { cause: thrown });
  }
}

/**
 * Node waits for worker threads when the process ends, and a thread inside the driver cannot be ended: while a device is being
 * reset, `open` returns for a fatal signal only. After this, the exit that `main` asks for is the kernel's `_exit`, with the same code:
 * it ends all threads at once. Everything was flushed before, as exit handlers run last.
 */
export async function exitWithoutThreads(): Promise<void> {
  const libc = await loadLibc();
  process.once('exit', (code) => libc.exitNow(code));
}
