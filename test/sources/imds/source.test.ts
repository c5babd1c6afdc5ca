import { createServer } from 'node:net';
import { describe, expect, onTestFinished, test } from 'vitest';
import { createImdsSource } from '../../../sources/imds/source.ts';
import type { MetricGroup } from '../../../src/readings.ts';
import type { PullSource, ReadingBatch } from '../../../src/source.ts';
import { fixtureHost, temporaryFolder, writeTree } from '../../support/fixture-host.ts';
import { METADATA, startMetadataService } from '../../support/metadata-service.ts';
import type { Misbehave } from '../../support/metadata-service.ts';

const GROUPS: ReadonlySet<MetricGroup> = new Set(['instance_info']);

const DMI = {
  'sys/class/dmi/id/sys_vendor': 'Amazon EC2\n',
  'sys/class/dmi/id/product_name': 'trn1.32xlarge\n',
  'sys/class/dmi/id/board_asset_tag': 'i-0123456789abcdef0\n',
};
const FROM_DMI = { instance_id: 'i-0123456789abcdef0', instance_type: 'trn1.32xlarge' };
const EVERYTHING = {
  ...FROM_DMI,
  instance_name: 'train-7',
  instance_availability_zone: 'us-west-2b',
  instance_availability_zone_id: 'usw2-az2',
  instance_region: 'us-west-2',
  ami_id: 'ami-0123456789abcdef0',
  subnet_id: 'subnet-0123456789abcdef0',
};

async function setUp(
  options: { readonly values?: Readonly<Record<string, string>>; readonly files?: Readonly<Record<string, string>> } = {},
) {
  const service = await startMetadataService(options.values ?? METADATA);
  const root = temporaryFolder();
  writeTree(root, options.files ?? {});
  const host = fixtureHost(root);
  const source = createImdsSource({ host, endpoint: service.endpoint });
  onTestFinished(() => source[Symbol.asyncDispose]());
  return { service, host, source };
}

async function read(source: PullSource): Promise<ReadingBatch> {
  return await source.read(GROUPS, new AbortController().signal);
}

function infoOf(batch: ReadingBatch): unknown {
  return batch.readings.find(({ group }) => group === 'instance_info')?.data;
}

/** Misbehaves at one path only. */
function only(path: string, misbehave: Misbehave): Misbehave {
  return (request, response, incoming) => request.path === path && misbehave(request, response, incoming);
}

function status(code: number, headers: Readonly<Record<string, string>> = {}): Misbehave {
  return (_request, response) => {
    response.writeHead(code, headers).end('no');
    return true;
  };
}

function body(text: string): Misbehave {
  return (_request, response) => {
    response.writeHead(200).end(text);
    return true;
  };
}

/** Reads until the round that is under way has ended: it talks to a real server, in real time. */
async function readAfterRound(source: PullSource, isOver: (batch: ReadingBatch) => boolean): Promise<ReadingBatch> {
  for (;;) {
    const batch = await read(source);
    if (isOver(batch)) return batch;
    await new Promise((resolve) => {
      setTimeout(resolve, 5);
    });
  }
}

describe('instance_info from the metadata service', () => {
  test('every field, with one token, in the first read', async () => {
    const { service, source } = await setUp();
    const batch = await read(source);
    expect(batch).toMatchObject({ source: 'imds', failures: [] });
    expect(batch.readings).toStrictEqual([{ group: 'instance_info', data: EVERYTHING }]);
    expect(service.requests[0]).toBe('PUT /latest/api/token');
    expect(service.requests.slice(1).every((request) => request.startsWith('GET /latest/meta-data/'))).toBe(true);
    expect(service.requests).toHaveLength(1 + Object.keys(METADATA).length);
  });

  test('tags that are not exposed leave the name out, and that is no failure', async () => {
    const { 'tags/instance/Name': _name, ...values } = METADATA;
    const { source } = await setUp({ values });
    const { instance_name: _instanceName, ...others } = EVERYTHING;
    expect(await read(source)).toMatchObject({ failures: [], readings: [{ data: others }] });
    expect(infoOf(await read(source))).not.toHaveProperty('instance_name');
  });

  test('asked again hourly when everything is known', async () => {
    const { service, host, source } = await setUp();
    await read(source);
    const asked = service.requests.length;
    await host.clock.advance(3_599_000);
    await read(source);
    expect(service.requests).toHaveLength(asked);
    await host.clock.advance(1_001);
    const round = service.nextRequest();
    expect(infoOf(await read(source))).toEqual(EVERYTHING);
    await round;
    expect(service.requests[asked]).toBe('PUT /latest/api/token');
  });

  test('the UltraServer comes from the driver', async () => {
    const files = {
      'sys/class/neuron_device/server_id_2': '0000000000000000\n',
      'sys/class/neuron_device/server_id_4': 'CAFB07773A569A23\n',
    };
    const { source } = await setUp({ files });
    expect(infoOf(await read(source))).toEqual({ ...EVERYTHING, ultraserver_id: 'u-cafb07773a569a23' });
  });
});

describe('a metadata service that misbehaves', () => {
  const TOKEN = '/latest/api/token';
  const TYPE = '/latest/meta-data/instance-type';

  test.each([
    ['switched off', only(TOKEN, status(403)), 'source_denied', 'switched off'],
    ['IMDSv1 only: no token', only(TOKEN, status(404)), 'source_malformed', 'answered 404'],
    ['token refused', only(TOKEN, status(401)), 'source_malformed', 'answered 401'],
    [
      'redirect instead of a token',
      only(TOKEN, status(302, { location: '/latest/meta-data/instance-id' })),
      'source_malformed',
      'answered 302',
    ],
    ['a token that would break a header', only(TOKEN, body('a\r\nb: c')), 'source_malformed', 'no token'],
    ['an empty token', only(TOKEN, body('')), 'source_malformed', 'no token'],
    ['an endless token', only(TOKEN, body('x'.repeat(65_537))), 'source_malformed', 'too long'],
    ['connection closed', only(TOKEN, (_request, response) => response.destroy() !== undefined), 'source_absent', 'ECONNRESET'],
  ] as const)('%s: the firmware’s facts, and the reason', async (_name, misbehave, code, words) => {
    const { service, source } = await setUp({ files: DMI });
    service.misbehave = misbehave;
    const batch = await read(source);
    expect(infoOf(batch)).toEqual(FROM_DMI);
    expect(batch.failures.map(({ group, error }) => [group, error.code, error.component])).toEqual([['instance_info', code, 'imds']]);
    expect(batch.failures[0]?.error.message).toContain(words);
    expect(service.requests).toEqual(['PUT /latest/api/token']);
  });

  test.each([
    ['the token is not accepted', only(TYPE, status(401)), 'source_denied', 'instance-type: refused with 401'],
    ['an error', only(TYPE, status(500)), 'source_malformed', 'status 500'],
    ['a redirect is not followed', only(TYPE, status(301, { location: '/secret' })), 'source_malformed', 'status 301'],
    ['garbage', only(TYPE, body('<html>')), 'source_malformed', 'cannot be right'],
    ['a value with a line end in it', only(TYPE, body('trn1.2xlarge\nx')), 'source_malformed', 'cannot be right'],
    ['nothing', only(TYPE, body('')), 'source_malformed', 'cannot be right'],
    ['64 KiB and a byte', only(TYPE, body(`t.${'x'.repeat(65_535)}`)), 'source_malformed', 'too long'],
  ] as const)('%s: only that value is missing', async (_name, misbehave, code, words) => {
    const { service, source } = await setUp();
    service.misbehave = misbehave;
    const batch = await read(source);
    const { instance_type: _type, ...others } = EVERYTHING;
    expect(infoOf(batch)).toEqual(others);
    expect(batch.failures.map(({ error }) => error.code)).toEqual([code]);
    expect(batch.failures[0]?.error.message).toContain(words);
    expect(service.requests).not.toContain('GET /secret');
  });

  test('a mac that is none leads to no further question', async () => {
    const { service, source } = await setUp({ values: { ...METADATA, mac: '../../user-data' } });
    const batch = await read(source);
    expect(infoOf(batch)).not.toHaveProperty('subnet_id');
    expect(service.requests.filter((request) => request.includes('user-data'))).toEqual([]);
  });

  test('an answer that never arrives: known facts when the budget is over, and the hop limit in words', async () => {
    const { service, host, source } = await setUp({ files: DMI });
    service.misbehave = () => true;
    const arrived = service.nextRequest();
    const first = read(source);
    await arrived;
    await host.clock.advance(1_000);
    const { failures, readings } = await first;
    expect(readings).toMatchObject([{ data: FROM_DMI }]);
    expect(failures).toMatchObject([
      { error: { code: 'source_timeout', message: expect.stringContaining('--http-put-response-hop-limit 2') } },
    ]);
  });

  test('an answer that drips ends with the budget', async () => {
    const { service, host, source } = await setUp();
    service.misbehave = only(TYPE, (_request, response) => {
      response.writeHead(200, { 'content-length': '100' }).write('trn1');
      return true;
    });
    const first = read(source);
    while (service.requests.length < 1 + Object.keys(METADATA).length) await service.nextRequest();
    await host.clock.advance(1_000);
    const batch = await first;
    expect(batch.failures).toMatchObject([{ error: { code: 'source_timeout', message: expect.stringContaining('instance-type') } }]);
    expect(infoOf(batch)).toMatchObject({ instance_id: 'i-0123456789abcdef0' });
  });

  test('nobody there', async () => {
    const port = await closedPort();
    const host = fixtureHost(temporaryFolder());
    const source = createImdsSource({ host, endpoint: `http://127.0.0.1:${port}` });
    expect(await read(source)).toMatchObject({ readings: [], failures: [{ error: { code: 'source_absent' } }] });
    await source[Symbol.asyncDispose]();
  });

  test('it is asked again after 5 s, 10 s, 20 s … 5 min, and told facts stay', async () => {
    const { service, host, source } = await setUp();
    service.misbehave = only(TOKEN, status(503));
    await read(source);
    for (const pauseSeconds of [5, 10, 20, 40, 80, 160, 300, 300]) {
      const asked = service.requests.length;
      await host.clock.advance(pauseSeconds * 1_000 - 1);
      await read(source);
      await aMoment();
      expect(service.requests, `before ${pauseSeconds} s`).toHaveLength(asked);
      await host.clock.advance(1);
      await readAfterRound(source, ({ failures }) => failures.length > 0);
      expect(service.requests, `after ${pauseSeconds} s`).toHaveLength(asked + 1);
    }
    service.misbehave = () => false;
    await host.clock.advance(300_000);
    expect(infoOf(await readAfterRound(source, ({ readings }) => readings.length > 0))).toEqual(EVERYTHING);
    service.misbehave = only(TOKEN, status(503));
    await host.clock.advance(3_600_000);
    expect(infoOf(await readAfterRound(source, ({ failures }) => failures.length > 0))).toEqual(EVERYTHING);
  });
});

describe('who is asked', () => {
  test('a machine that is no EC2 instance asks nobody and serves nothing', async () => {
    const root = temporaryFolder();
    writeTree(root, { 'sys/class/dmi/id/sys_vendor': 'QEMU\n', 'sys/class/dmi/id/product_name': 'Standard PC\n' });
    const source = createImdsSource({ host: fixtureHost(root) });
    expect(source.groups()).toEqual(new Set());
    expect(await read(source)).toMatchObject({ readings: [], failures: [] });
  });

  test('switched off, an instance still knows its type and id', async () => {
    const { service, host } = await setUp({ files: DMI });
    const source = createImdsSource({ host, endpoint: service.endpoint, enabled: false });
    expect(source.groups()).toEqual(GROUPS);
    expect(infoOf(await read(source))).toEqual(FROM_DMI);
    expect(service.requests).toEqual([]);
  });

  test('firmware that says nonsense is not believed', async () => {
    const files = { ...DMI, 'sys/class/dmi/id/product_name': 'x'.repeat(99), 'sys/class/dmi/id/board_asset_tag': 'none' };
    const { host, service } = await setUp({ files });
    expect(infoOf(await read(createImdsSource({ host, endpoint: service.endpoint, enabled: false })))).toBeUndefined();
  });

  test.each(['https://169.254.169.254', 'file:///etc/passwd', 'nonsense'])('%s is no metadata service', (endpoint) => {
    expect(() => createImdsSource({ host: fixtureHost(temporaryFolder()), endpoint })).toThrow(
      expect.objectContaining({ code: 'config_invalid' }),
    );
  });
});

describe('life', () => {
  test('other groups start nothing', async () => {
    const { service, source } = await setUp();
    expect(await source.read(new Set(['vcpu_usage']), new AbortController().signal)).toMatchObject({ readings: [], failures: [] });
    expect(service.requests).toEqual([]);
  });

  test('a read that is called off returns what is known', async () => {
    const { service, source } = await setUp({ files: DMI });
    service.misbehave = () => true;
    const caller = new AbortController();
    const arrived = service.nextRequest();
    const batch = source.read(GROUPS, caller.signal);
    await arrived;
    caller.abort();
    expect(infoOf(await batch)).toEqual(FROM_DMI);
  });

  test('dispose ends a round under way, may be repeated, and may come without a read', async () => {
    const { service, host, source } = await setUp();
    service.misbehave = () => true;
    const arrived = service.nextRequest();
    const batch = read(source);
    await arrived;
    await source[Symbol.asyncDispose]();
    await source[Symbol.asyncDispose]();
    expect(await batch).toMatchObject({ readings: [], failures: [] });
    await createImdsSource({ host })[Symbol.asyncDispose]();
  });
});

/** Long enough for a request on the loopback interface to arrive, if there were one. */
function aMoment(): Promise<void> {
  return new Promise((resolve) => {
    setTimeout(resolve, 20);
  });
}

async function closedPort(): Promise<number> {
  const server = createServer();
  await new Promise<void>((resolve) => {
    server.listen(0, '127.0.0.1', resolve);
  });
  const address = server.address();
  await new Promise((resolve) => {
    server.close(resolve);
  });
  if (address === null || typeof address === 'string') throw new Error('no port');
  return address.port;
}
