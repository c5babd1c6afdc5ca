/** A pending timer; disposing it twice, or after it fired, does nothing. */
export interface Timer {
  [Symbol.dispose](): void;
}

/** Time as the agent sees it. Tests bring their own. */
export interface Clock {
  /** Wall clock, milliseconds since the epoch. May jump; used for timestamps only. */
  nowMs(): number;
  /** Monotonic clock, milliseconds from an arbitrary origin. Used for every period and deadline. */
  monotonicMs(): number;
  /** Calls back once after `delayMs`. Keeps the process alive unless `background` is set. */
  setTimer(callback: () => void, delayMs: number, options?: { readonly background?: boolean }): Timer;
}

/** The outside world, as one constructor argument: filesystem roots, clock and environment. */
export interface Host {
  readonly clock: Clock;
  readonly env: Readonly<Record<string, string | undefined>>;
  /** Root of procfs, `/proc` in production. */
  readonly procRoot: string;
  /** Root of sysfs, `/sys` in production. */
  readonly sysRoot: string;
  /** Root of device nodes, `/dev` in production. */
  readonly devRoot: string;
  /** Root for files such as `/opt/aws/neuron/bin` and `/etc/hostname`, `/` in production. */
  readonly fsRoot: string;
}

export const systemClock: Clock = {
  nowMs: () => Date.now(),
  monotonicMs: () => performance.now(),
  setTimer(callback, delayMs, options) {
    const timer = setTimeout(callback, delayMs);
    if (options?.background === true) timer.unref();
    return { [Symbol.dispose]: () => clearTimeout(timer) };
  },
};

/** The machine this process runs on. `NEURON_OTEL_*_ROOT` variables move the roots, for containers with a mounted host. */
export function systemHost(env: Readonly<Record<string, string | undefined>> = process.env): Host {
  return {
    clock: systemClock,
    env,
    procRoot: env['NEURON_OTEL_PROC_ROOT'] ?? '/proc',
    sysRoot: env['NEURON_OTEL_SYS_ROOT'] ?? '/sys',
    devRoot: env['NEURON_OTEL_DEV_ROOT'] ?? '/dev',
    fsRoot: env['NEURON_OTEL_FS_ROOT'] ?? '/',
  };
}
