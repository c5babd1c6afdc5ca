/** A non-negative decimal number as the kernel prints it; undefined for anything else, and beyond what a double holds exactly. */
export function parseCount(text: string | undefined): number | undefined {
  if (text === undefined || !/^\d{1,16}$/.test(text)) return undefined;
  const value = Number(text);
  return Number.isSafeInteger(value) ? value : undefined;
}

/** Clock ticks in a second of every time in procfs: USER_HZ, fixed at 100 on all architectures Neuron instances have. */
export const TICKS_PER_SECOND = 100;
