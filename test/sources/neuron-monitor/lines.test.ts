import { describe, expect, it } from 'vitest';
import { LineSplitter, MAX_LINE_BYTES } from '../../../sources/neuron-monitor/lines.ts';
import type { LineEvent } from '../../../sources/neuron-monitor/lines.ts';

/** Events as text: the line itself, or the loss in angle brackets. */
function split(chunks: readonly (string | Uint8Array)[], maxBytes?: number): string[] {
  const splitter = new LineSplitter(maxBytes);
  const seen: string[] = [];
  for (const chunk of chunks) {
    for (const event of splitter.push(typeof chunk === 'string' ? Buffer.from(chunk) : chunk)) {
      seen.push(shown(event));
    }
  }
  const rest = splitter.end();
  if (rest !== undefined) seen.push(shown(rest));
  return seen;
}

function shown(event: LineEvent): string {
  if (event.kind === 'too_long') return '<too_long>';
  const text = Buffer.from(event.bytes).toString('utf8');
  return event.kind === 'line' ? text : `<unterminated ${text}>`;
}

const BOM = '\ufeff';

describe('lines of a byte stream', () => {
  it.each([
    ['nothing', [''], []],
    ['one line', ['a\n'], ['a']],
    ['two lines in one chunk', ['a\nb\n'], ['a', 'b']],
    ['a line over three chunks', ['a', 'b', 'c\n'], ['abc']],
    ['a line end on a chunk border', ['ab', '\ncd\n'], ['ab', 'cd']],
    ['CRLF', ['a\r\nb\r\n'], ['a', 'b']],
    ['CR and LF in two chunks', ['a\r', '\nb\n'], ['a', 'b']],
    ['a CR within a line', ['a\rb\n'], ['a\rb']],
    ['empty lines', ['\n\r\na\n\n'], ['a']],
    ['a byte order mark', [`${BOM}a\nb\n`], ['a', 'b']],
    ['a byte order mark over two chunks', [Buffer.from([0xef, 0xbb]), Buffer.from([0xbf, 0x61, 0x0a])], ['a']],
    ['a byte order mark alone', [`${BOM}\na\n`], ['a']],
    ['a byte order mark in a later line, as in concatenated files', [`a\n${BOM}b\n`], ['a', 'b']],
    ['a last line without LF', ['a\nb'], ['a', '<unterminated b>']],
    ['a last line without LF that is a whole document', ['{}'], ['<unterminated {}>']],
    ['a last line that is a line end without LF', ['a\n\r'], ['a']],
  ] satisfies [string, (string | Uint8Array)[], string[]][])('%s', (_name, chunks, expected) => {
    expect(split(chunks)).toEqual(expected);
  });

  it.each([
    ['at the limit', ['12345678\n'], ['12345678']],
    ['at the limit, with CRLF and a byte order mark', [`${BOM}12345678\r\n`], ['12345678']],
    ['at the limit, byte by byte', '12345678\r\n'.split(''), ['12345678']],
    ['one over the limit', ['123456789\na\n'], ['<too_long>', 'a']],
    ['one over the limit, byte by byte', '123456789\na\n'.split(''), ['<too_long>', 'a']],
    ['far over the limit: one loss', ['1'.repeat(50), '1'.repeat(50), '1\na\n'], ['<too_long>', 'a']],
    ['far over the limit up to the end: one loss, not two', ['1'.repeat(50), '1'.repeat(50)], ['<too_long>']],
    ['two long lines', ['1'.repeat(50), '\n', '2'.repeat(50), '\nb\n'], ['<too_long>', '<too_long>', 'b']],
  ] satisfies [string, string[], string[]][])('%s', (_name, chunks, expected) => {
    expect(split(chunks, 8)).toEqual(expected);
  });

  it('is the same wherever the chunks are cut', () => {
    const text = `${BOM}{"a":"ä"}\r\n\n${'x'.repeat(40)}\n{"b":"😀"}\nrest`;
    const bytes = Buffer.from(text);
    const whole = split([bytes], 32);
    for (let at = 0; at <= bytes.length; at += 1) expect(split([bytes.subarray(0, at), bytes.subarray(at)], 32)).toEqual(whole);
    expect(
      split(
        [...bytes].map((byte) => Buffer.from([byte])),
        32,
      ),
    ).toEqual(whole);
    expect(whole).toEqual(['{"a":"ä"}', '<too_long>', '{"b":"😀"}', '<unterminated rest>']);
  });

  it('keeps its lines when more bytes come', () => {
    const splitter = new LineSplitter();
    const lines: Uint8Array[] = [];
    for (const chunk of ['first ', 'line\nsecond ', 'line\n']) {
      for (const event of splitter.push(Buffer.from(chunk))) if (event.kind === 'line') lines.push(event.bytes);
    }
    expect(lines.map((line) => Buffer.from(line).toString())).toEqual(['first line', 'second line']);
  });

  it('takes 8 MiB and refuses one byte more', () => {
    const line = Buffer.alloc(MAX_LINE_BYTES + 2, 'a');
    line[MAX_LINE_BYTES + 1] = 0x0a;
    expect(split([line])).toEqual(['<too_long>']);
    expect(split([line.subarray(1)]).map((text) => text.length)).toEqual([MAX_LINE_BYTES]);
  });

  it('holds no more than the limit of a line that never ends', () => {
    const splitter = new LineSplitter(1024 * 1024);
    const chunk = Buffer.alloc(64 * 1024, 'a');
    const before = process.memoryUsage().arrayBuffers;
    let losses = 0;
    for (let index = 0; index < 4096; index += 1) losses += [...splitter.push(chunk)].length;
    expect(losses).toBe(1);
    expect(process.memoryUsage().arrayBuffers - before).toBeLessThan(8 * 1024 * 1024);
    expect([...splitter.push(Buffer.from('\nb\n'))]).toEqual([{ kind: 'line', bytes: Buffer.from('b') }]);
  });

  it('holds small pieces of one line without an object for each', () => {
    const splitter = new LineSplitter();
    const piece = Buffer.from('a');
    for (let index = 0; index < 100_000; index += 1) expect([...splitter.push(piece)].length).toBe(0);
    const [event] = splitter.push(Buffer.from('\n'));
    expect(event?.kind === 'line' && event.bytes.length).toBe(100_000);
  });
});
