/** Descriptors before it are stdin, stdout and stderr. */
const FIRST_DESCRIPTOR = 3;

/**
 * Descriptors of the sockets that systemd listens on for this process (sd_listen_fds(3)): as many as `LISTEN_FDS` says, from 3 on.
 * None where the variables are missing or were meant for another process.
 */
export function systemdSockets(env: Readonly<Record<string, string | undefined>>, pid: number = process.pid): readonly number[] {
  const count = env['LISTEN_FDS'] ?? '';
  if (env['LISTEN_PID'] !== String(pid) || !/^\d{1,4}$/.test(count)) return [];
  return Array.from({ length: Number(count) }, (_, index) => FIRST_DESCRIPTOR + index);
}
