import { createServer } from 'node:http';
import type { IncomingMessage, ServerResponse } from 'node:http';
import type { Random } from './random.ts';
import type { IdentityTruth, Truth } from './truth.ts';

/** A metadata service of a virtual instance. */
export interface ImdsServer {
  /** `http://127.0.0.1:PORT`. */
  readonly endpoint: string;
  [Symbol.asyncDispose](): Promise<void>;
}

const TOKEN = 'virtual-instance-token';
const MAC = '06:00:00:00:00:01';

/** Serves IMDSv2 on the loopback interface: a token first, then the paths of the EC2 user guide. Nothing without a token. */
export async function startImdsServer(truth: Truth): Promise<ImdsServer> {
  const answers = answersOf(truth);
  const server = createServer((request, response) => answer(request, response, answers));
  const listening = Promise.withResolvers<void>();
  server.once('error', listening.reject);
  server.listen(0, '127.0.0.1', listening.resolve);
  await listening.promise;
  server.unref();
  const address = server.address();
  const port = typeof address === 'object' && address !== null ? address.port : 0;
  return {
    endpoint: `http://127.0.0.1:${port}`,
    async [Symbol.asyncDispose]() {
      const closed = Promise.withResolvers<void>();
      server.close(() => closed.resolve());
      server.closeAllConnections();
      await closed.promise;
    },
  };
}

function answer(request: IncomingMessage, response: ServerResponse, answers: ReadonlyMap<string, string>): void {
  const path = (request.url ?? '').replace(/^\/latest\//, '');
  request.resume();
  if (path === 'api/token') {
    const ttl = request.headers['x-aws-ec2-metadata-token-ttl-seconds'];
    if (request.method !== 'PUT') end(response, 405);
    else if (typeof ttl !== 'string' || !/^\d{1,5}$/.test(ttl)) end(response, 400);
    else end(response, 200, TOKEN, { 'x-aws-ec2-metadata-token-ttl-seconds': ttl });
  } else if (request.headers['x-aws-ec2-metadata-token'] !== TOKEN) {
    end(response, 401);
  } else {
    const text = answers.get(path);
    if (text === undefined) end(response, 404);
    else end(response, 200, text);
  }
}

function end(response: ServerResponse, status: number, text = '', headers: Readonly<Record<string, string>> = {}): void {
  response.writeHead(status, { 'content-type': 'text/plain', ...headers });
  response.end(text);
}

function answersOf({ identity, instance, bootTimeMs }: Truth): ReadonlyMap<string, string> {
  const { instanceId, amiId, region, availabilityZone, availabilityZoneId, subnetId, accountId, name } = identity;
  const document = {
    accountId,
    architecture: 'x86_64',
    availabilityZone,
    imageId: amiId,
    instanceId,
    instanceType: instance.instanceType,
    pendingTime: new Date(bootTimeMs).toISOString().replace(/\.\d+Z$/, 'Z'),
    privateIp: '10.0.0.10',
    region,
    version: '2017-09-30',
  };
  return new Map([
    ['meta-data/instance-id', instanceId],
    ['meta-data/instance-type', instance.instanceType],
    ['meta-data/ami-id', amiId],
    ['meta-data/mac', MAC],
    ['meta-data/placement/region', region],
    ['meta-data/placement/availability-zone', availabilityZone],
    ['meta-data/placement/availability-zone-id', availabilityZoneId],
    ['meta-data/network/interfaces/macs/', `${MAC}/`],
    [`meta-data/network/interfaces/macs/${MAC}/subnet-id`, subnetId],
    ['meta-data/tags/instance/', 'Name'],
    ['meta-data/tags/instance/Name', name],
    ['dynamic/instance-identity/document', JSON.stringify(document, undefined, 2)],
  ]);
}

/** Who the virtual instance is to its metadata service. */
export function identityOf(random: Random): IdentityTruth {
  return {
    instanceId: `i-${random.hex(17)}`,
    region: 'us-west-2',
    availabilityZone: 'us-west-2d',
    availabilityZoneId: 'usw2-az4',
    amiId: `ami-${random.hex(17)}`,
    subnetId: `subnet-${random.hex(17)}`,
    accountId: '000000000000',
    name: 'virtual-trainium',
  };
}
