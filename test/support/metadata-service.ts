import { createServer } from 'node:http';
import type { IncomingMessage, ServerResponse } from 'node:http';
import { onTestFinished } from 'vitest';

/** What a trn1.32xlarge is told about itself. */
export const METADATA: Readonly<Record<string, string>> = {
  'instance-id': 'i-0123456789abcdef0',
  'instance-type': 'trn1.32xlarge',
  'ami-id': 'ami-0123456789abcdef0',
  'placement/availability-zone': 'us-west-2b',
  'placement/availability-zone-id': 'usw2-az2',
  'placement/region': 'us-west-2',
  mac: '06:12:34:56:78:9a',
  'network/interfaces/macs/06:12:34:56:78:9a/subnet-id': 'subnet-0123456789abcdef0',
  'tags/instance/Name': 'train-7',
};

/** Answers one request itself; returns false to let the service answer as it should. */
export type Misbehave = (
  request: { readonly method: string; readonly path: string },
  response: ServerResponse,
  incoming: IncomingMessage,
) => boolean;

export interface MetadataService {
  readonly endpoint: string;
  /** `METHOD path` of every request so far. */
  readonly requests: readonly string[];
  misbehave: Misbehave;
  /** Time that passes before each answer. */
  answerMs: number;
  /** Resolves when the next request has come. */
  nextRequest(): Promise<void>;
  stop(): Promise<void>;
}

/** An instance metadata service that speaks IMDSv2 only, on a free port of the loopback interface. */
export async function startMetadataService(values: Readonly<Record<string, string>> = METADATA): Promise<MetadataService> {
  const requests: string[] = [];
  const waiting: (() => void)[] = [];
  let token = 0;
  const server = createServer((incoming, response) => {
    const { method = '', url = '' } = incoming;
    requests.push(`${method} ${url}`);
    for (const resolve of waiting.splice(0)) resolve();
    if (service.misbehave({ method, path: url }, response, incoming)) return;
    const answer = (): void => {
      const value = values[url.replace('/latest/meta-data/', '')];
      if (url === '/latest/api/token') {
        const isAsked = method === 'PUT' && /^\d+$/.test(String(incoming.headers['x-aws-ec2-metadata-token-ttl-seconds']));
        token += isAsked ? 1 : 0;
        response.writeHead(isAsked ? 200 : 400).end(isAsked ? `token-${token}==` : '');
      } else if (incoming.headers['x-aws-ec2-metadata-token'] !== `token-${token}==`) response.writeHead(401).end();
      else if (value === undefined) response.writeHead(404).end('<html>404</html>');
      else response.writeHead(200).end(value);
    };
    if (service.answerMs === 0) answer();
    else setTimeout(answer, service.answerMs);
  });
  await new Promise<void>((resolve) => {
    server.listen(0, '127.0.0.1', resolve);
  });
  const address = server.address();
  if (address === null || typeof address === 'string') throw new Error('no port');
  const service: MetadataService = {
    endpoint: `http://127.0.0.1:${address.port}`,
    requests,
    misbehave: () => false,
    answerMs: 0,
    nextRequest: () =>
      new Promise((resolve) => {
        waiting.push(resolve);
      }),
    stop: async () => {
      server.closeAllConnections();
      await new Promise((resolve) => {
        server.close(resolve);
      });
    },
  };
  onTestFinished(() => service.stop());
  return service;
}
