import type { DatastoreCounters } from './counters.ts';
import { CORE_COUNTER, DEVICE_COUNTER } from './layout.ts';
import type { MemoryKinds } from './work.ts';

/** More than any device has. */
const MAX_BELIEVABLE_BYTES = 2 ** 50;

/** Memory of one process on one device; undefined when it states more than there can be. */
export function memoryOf(counters: DatastoreCounters): { readonly host: MemoryKinds; readonly cores: readonly MemoryKinds[] } | undefined {
  const host = hostKinds(counters);
  if (!isBelievable(host)) return undefined;
  const cores: MemoryKinds[] = [];
  for (let core = 0; core < counters.coreCount; core += 1) {
    const kinds = coreKinds(counters, core);
    if (!isBelievable(kinds)) return undefined;
    cores.push(kinds);
  }
  return { host, cores };
}

function hostKinds(counters: DatastoreCounters): MemoryKinds {
  return {
    code: counters.device(DEVICE_COUNTER.codeHostBytes),
    tensors: counters.device(DEVICE_COUNTER.tensorsHostBytes),
    constants: counters.device(DEVICE_COUNTER.constantsHostBytes),
    scratchpad: counters.device(DEVICE_COUNTER.scratchpadHostBytes),
    misc: counters.device(DEVICE_COUNTER.miscHostBytes),
  };
}

function coreKinds(counters: DatastoreCounters, core: number): MemoryKinds {
  return {
    code: counters.core(core, CORE_COUNTER.codeBytes),
    tensors: counters.core(core, CORE_COUNTER.tensorsBytes),
    constants: counters.core(core, CORE_COUNTER.constantsBytes),
    scratchpad: counters.core(core, CORE_COUNTER.scratchpadBytes),
    misc: counters.core(core, CORE_COUNTER.miscBytes),
  };
}

function isBelievable({ code, tensors, constants, scratchpad, misc }: MemoryKinds): boolean {
  return Math.max(code, tensors, constants, scratchpad, misc) <= MAX_BELIEVABLE_BYTES;
}
