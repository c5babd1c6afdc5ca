import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { shownUrl } from '../../src/shown-url.ts';

describe('shownUrl', () => {
  it.each([
    ['http://localhost:4318/v1/metrics', 'http://localhost:4318/v1/metrics'],
    ['http://user:S3CRET@h:1/x', 'http://[redacted]@h:1/x'],
    ['https://S3CRET@h', 'https://[redacted]@h'],
    ['http://h/x?token=S3CRET', 'http://h/x?[redacted]'],
    ['http://h/x#S3CRET', 'http://h/x#[redacted]'],
    ['http://u:S3@CRET@h/x?a=S3CRET#S3CRET', 'http://[redacted]@h/x?[redacted]'],
    ['user:S3CRET@collector:4317', '[redacted]@collector:4317'],
    ['http:\\\\user:S3CRET@h', 'http:\\\\[redacted]@h'],
    ['http://user:S3/CRET@h:99999999', 'http://[redacted]@h:99999999'],
    ['http://user:1?S3CRET@h', 'http://[redacted]@h'],
    ['http://h/@tenant/v1/metrics', 'http://h/@tenant/v1/metrics'],
    ['collector:4317', 'collector:4317'],
    ['', ''],
  ])('shows %s as %s', (url, shown) => {
    expect(shownUrl(url)).toBe(shown);
  });

  it('never shows user info or a query, whatever they hold', () => {
    const secret = fc.stringMatching(/^[A-Za-z0-9:/@?#%&=.-]{0,20}$/).map((text) => `zq${text.replaceAll('zq', '')}zq`);
    fc.assert(
      fc.property(secret, fc.constantFrom('http://', 'https://', '', 'ftp://'), (text, scheme) => {
        expect(shownUrl(`${scheme}user:${text}@h/x`)).not.toContain('zq');
        expect(shownUrl(`${scheme}h/x?token=${text}`)).not.toContain('token');
      }),
    );
  });
});
