import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { crc32c } from '../../../exporters/otlp/crc32c.ts';

describe('crc32c', () => {
  it.each([
    // RFC 3720, appendix B.4.
    { name: '32 bytes of zeros', bytes: Buffer.alloc(32), expected: 0x8a91_36aa },
    { name: '32 bytes of ones', bytes: Buffer.alloc(32, 0xff), expected: 0x62a8_ab43 },
    { name: '0 to 31', bytes: Buffer.from(Array.from({ length: 32 }, (_, index) => index)), expected: 0x46dd_794e },
    { name: '31 to 0', bytes: Buffer.from(Array.from({ length: 32 }, (_, index) => 31 - index)), expected: 0x113f_db5c },
    { name: 'the check value', bytes: Buffer.from('123456789'), expected: 0xe306_9283 },
    { name: 'nothing', bytes: Buffer.alloc(0), expected: 0 },
  ])('is right for $name', ({ bytes, expected }) => {
    expect(crc32c(bytes)).toBe(expected);
  });

  it('goes on from the checksum of what came before', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 100 }), fc.uint8Array({ maxLength: 100 }), (first, second) => {
        expect(crc32c(second, crc32c(first))).toBe(crc32c(Buffer.concat([first, second])));
      }),
    );
  });
});
