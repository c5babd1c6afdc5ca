import { AgentError } from '../../../src/errors.ts';

/** An address to listen on; without a host, all addresses. Port 0 takes any free port. */
export interface ListenAddress {
  readonly host: string | undefined;
  readonly port: number;
}

/** An address, or the descriptor of a socket that another program listens on already. */
export type ListenTarget = ListenAddress | { readonly fd: number };

/** Reads `HOST:PORT`, `[IPV6]:PORT` or `:PORT`, as `--web.listen-address` of Prometheus exporters takes them. */
export function parseListenAddress(text: string): ListenAddress {
  const match = /^(?:\[([0-9a-fA-F:.]+(?:%[\w.-]+)?)\]|([^:[\]\s/]*)):(\d{1,5})$/.exec(text);
  const port = Number(match?.[3]);
  if (match === null || port > 65_535) {
    throw new AgentError('config_invalid', 'prometheus', `${JSON.stringify(text)} is no listen address: HOST:PORT, [IPV6]:PORT or :PORT`);
  }
  const host = match[1] ?? match[2] ?? '';
  return { host: host === '' ? undefined : host, port };
}

export function formatListenAddress(target: ListenTarget): string {
  if ('fd' in target) return `descriptor ${target.fd}`;
  const { host, port } = target;
  if (host === undefined) return `:${port}`;
  return host.includes(':') ? `[${host}]:${port}` : `${host}:${port}`;
}

/** True when only this machine can connect. */
export function isLoopback({ host }: ListenAddress): boolean {
  return host !== undefined && /^(localhost|127(\.\d{1,3}){3}|::1)$/i.test(host);
}

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
