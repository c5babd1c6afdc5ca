import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { negotiateEncoding, negotiateFormat } from '../../../exporters/prometheus/negotiation.ts';
import { TEST_METRICS, cycle, testStore } from '../../support/metrics.ts';
import { startEndpoint } from './support/endpoint.ts';

const PROTOBUF = 'application/vnd.google.protobuf;proto=io.prometheus.client.MetricFamily;encoding=delimited';
const TEXT = 'text/plain; version=0.0.4; charset=utf-8';

describe('the format of a page', () => {
  it.each([
    ['nothing said', undefined, 'text', TEXT],
    ['anything', '*/*', 'text', TEXT],
    ['a browser', 'text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8', 'text', TEXT],
    ['curl for JSON', 'application/json', 'text', TEXT],
    [
      'Prometheus 2.42',
      'application/openmetrics-text;version=1.0.0,application/openmetrics-text;version=0.0.1;q=0.75,text/plain;version=0.0.4;q=0.5,*/*;q=0.1',
      'openmetrics',
      'application/openmetrics-text; version=1.0.0; charset=utf-8',
    ],
    [
      'Prometheus 2.42 with native histograms',
      `${PROTOBUF},application/openmetrics-text;version=1.0.0;q=0.8,application/openmetrics-text;version=0.0.1;q=0.75,text/plain;version=0.0.4;q=0.5,*/*;q=0.1`,
      'protobuf',
      'application/vnd.google.protobuf; proto=io.prometheus.client.MetricFamily; encoding=delimited',
    ],
    [
      'Prometheus 3',
      'application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.6,application/openmetrics-text;version=0.0.1;q=0.5,text/plain;version=1.0.0;escaping=allow-utf-8;q=0.4,text/plain;version=0.0.4;q=0.3,*/*;q=0.2',
      'openmetrics',
      'application/openmetrics-text; version=1.0.0; charset=utf-8; escaping=allow-utf-8',
    ],
    ['text 1.0.0', 'text/plain;version=1.0.0;escaping=values', 'text', 'text/plain; version=1.0.0; charset=utf-8; escaping=values'],
    [
      'OpenMetrics without a version',
      'application/openmetrics-text',
      'openmetrics',
      'application/openmetrics-text; version=0.0.1; charset=utf-8',
    ],
    ['OpenMetrics of the future', 'application/openmetrics-text;version=3.0.0', 'text', TEXT],
    ['protobuf as text', `${PROTOBUF.replace('delimited', 'text')},text/plain;version=0.0.4`, 'text', TEXT],
    ['protobuf of something else', 'application/vnd.google.protobuf;proto=a.B;encoding=delimited', 'text', TEXT],
    ['an unknown scheme', 'text/plain;version=1.0.0;escaping=rot13', 'text', 'text/plain; version=1.0.0; charset=utf-8'],
    ['OpenMetrics refused', 'application/openmetrics-text;q=0,text/plain', 'text', TEXT],
    [
      'the order of likings',
      'text/plain;q=0.1, application/openmetrics-text;version=1.0.0;q=0.2',
      'openmetrics',
      'application/openmetrics-text; version=1.0.0; charset=utf-8',
    ],
  ] as const)('%s', (_name, accept, format, contentType) => {
    expect(negotiateFormat(accept)).toMatchObject({ format, contentType });
  });

  it('is always one of ours, whatever is asked', () => {
    fc.assert(
      fc.property(
        fc.string({ maxLength: 300, unit: fc.constantFrom('a', 'q', '=', ';', ',', '/', '*', '.', '0', '1', '5', ' ', '"', 'text/plain') }),
        (accept) => {
          expect(['text', 'openmetrics', 'protobuf']).toContain(negotiateFormat(accept).format);
          expect(['identity', 'gzip', 'zstd']).toContain(negotiateEncoding(accept));
        },
      ),
    );
  });
});

it.each([
  [undefined, 'identity'],
  ['', 'identity'],
  ['gzip', 'gzip'],
  ['GZIP', 'gzip'],
  ['gzip;q=0', 'identity'],
  ['gzip, deflate, br, zstd', 'zstd'],
  ['gzip;q=1.0, zstd;q=0.5', 'gzip'],
  ['*', 'identity'],
] as const)('Accept-Encoding %s is answered with %s', (accept, encoding) => {
  expect(negotiateEncoding(accept)).toBe(encoding);
});

describe('names beyond the legacy alphabet', () => {
  const page = async (accept: string): Promise<string> => {
    const store = testStore();
    store.apply(cycle(1), (recorder) => recorder.set(TEST_METRICS.memory, 1, { core: 0 }));
    await using endpoint = await startEndpoint({ translation_strategy: 'NoUTF8EscapingWithSuffixes', target_info: false }, {}, () =>
      store.collect(),
    );
    return (await endpoint.get('/metrics', { headers: { accept } })).text;
  };

  it.each([
    ['text/plain;version=0.0.4', 'test_memory_usage_bytes{core="0"} 1'],
    ['text/plain;version=1.0.0;escaping=allow-utf-8', '{"test.memory.usage_bytes",core="0"} 1'],
    ['text/plain;version=1.0.0;escaping=dots', 'test_dot_memory_dot_usage__bytes{core="0"} 1'],
    ['text/plain;version=1.0.0;escaping=values', 'U__test_2e_memory_2e_usage__bytes{core="0"} 1'],
    ['text/plain;version=1.0.0;escaping=underscores', 'test_memory_usage_bytes{core="0"} 1'],
  ])('for %s', async (accept, line) => {
    expect(await page(accept)).toContain(`\n${line}\n`);
  });
});
