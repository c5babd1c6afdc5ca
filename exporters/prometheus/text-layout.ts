import type { Buffer } from 'node:buffer';
import type { Exposition } from './exposition.ts';
import type { Family } from './family.ts';
import { LineTable } from './line-table.ts';
import { LineWriter } from './line-writer.ts';
import { writeFamily } from './text-lines.ts';
import type { TextDialect } from './text-lines.ts';

/** The lines of one family on a page. */
interface Block {
  readonly family: Family;
  /** Of each histogram, as they were when it was laid out. */
  readonly bounds: readonly (readonly number[] | undefined)[];
  readonly firstCell: number;
  readonly firstLine: number;
  readonly lineCount: number;
  /** Bytes before the first number. */
  readonly lead: number;
}

/** Remembers where the families of the last page stand: on the next one only those are written that have other lines. */
export class TextLayout {
  /** The numbers of the last page. */
  lines = new LineTable();
  readonly #dialect: TextDialect;
  #spareLines = new LineTable();
  #blocks: ReadonlyMap<string, Block> = new Map();

  constructor(dialect: TextDialect) {
    this.#dialect = dialect;
  }

  /** Lays out a page in this memory, or in larger one; `before` is the last page. */
  page({ families, cells }: Exposition, { before, memory }: { readonly before: Buffer; readonly memory: Buffer }): Buffer {
    const out = new LineWriter(memory, { lines: this.#spareLines, cells });
    const blocks = new Map<string, Block>();
    for (const family of families) {
      const block = this.#write(out, family, before);
      if (block !== undefined) blocks.set(family.name, block);
    }
    if (this.#dialect === 'openmetrics') out.text('# EOF\n');
    this.#spareLines = this.lines;
    this.lines = out.lines;
    this.#blocks = blocks;
    return out.bytes;
  }

  /** Comments without a number after them are not remembered: their place would have to be moved along with the numbers. */
  #write(out: LineWriter, family: Family, before: Buffer): Block | undefined {
    const start = out.length;
    const firstLine = out.lines.count;
    const firstCell = family.series[0]?.cell;
    const known = this.#blocks.get(family.name);
    if (firstCell === undefined || known === undefined || !hasSameLines(known, family)) writeFamily(out, family, this.#dialect);
    else this.#copy(out, known, { before, cellShift: firstCell - known.firstCell });
    if (firstCell === undefined) return undefined;
    const lead = (out.lines.starts[firstLine] ?? start) - start;
    return { family, bounds: boundsOf(family), firstCell, firstLine, lineCount: out.lines.count - firstLine, lead };
  }

  #copy(out: LineWriter, block: Block, { before, cellShift }: { readonly before: Buffer; readonly cellShift: number }): void {
    const { firstLine, lineCount, lead } = block;
    const start = (this.lines.starts[firstLine] ?? 0) - lead;
    out.copy({ bytes: before, start, lines: this.lines, firstLine, lineCount, cellShift });
  }
}

const NO_BOUNDS: readonly undefined[] = [];

/** A histogram that gets other bounds gets another array of them. */
function boundsOf({ type, series }: Family): readonly (readonly number[] | undefined)[] {
  return type === 'histogram' ? series.map(({ bounds }) => bounds) : NO_BOUNDS;
}

/** Whether a family is written as the one of the block was, but for its numbers. The cells of a family always stand in a row. */
function hasSameLines({ family: known, bounds }: Block, family: Family): boolean {
  if (known !== family && !isSpelledAlike(known, family)) return false;
  return family.type !== 'histogram' || family.series.every((series, index) => series.bounds === bounds[index]);
}

function isSpelledAlike(a: Family, b: Family): boolean {
  if (a.name !== b.name || a.type !== b.type || a.help !== b.help || a.unit !== b.unit) return false;
  if (a.numbers !== b.numbers || a.created !== b.created || a.series.length !== b.series.length) return false;
  return a.series.every(({ labelText }, index) => labelText === b.series[index]?.labelText);
}
