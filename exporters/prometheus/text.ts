import { Buffer } from 'node:buffer';
import { numberCount } from './family.ts';
import type { Family, Series } from './family.ts';
import { escapeHelp, metadataName, samplePrefix } from './labels.ts';
import { MAX_NUMBER_BYTES, boundText, pythonNumber, writeAscii, writeNumber } from './numbers.ts';
import type { Exposition } from './exposition.ts';

/** `text` is Prometheus text 0.0.4 (and 1.0.0, which differs by quoted names only); `openmetrics` is OpenMetrics 1.0. */
export type TextDialect = 'text' | 'openmetrics';

/**
 * Writes pages of text. It keeps the last page and the place of every number on it: while the lines stay the same, the next page
 * is that page with the changed numbers replaced, everything between them copied as bytes.
 */
export class TextPageEncoder {
  readonly #dialect: TextDialect;
  #page = Buffer.alloc(0);
  #revision = -1;
  #cells = new Uint32Array(0);
  #isPython = new Uint8Array(0);
  /** Where each number stands, how long it is, and which one it is. */
  #starts = new Uint32Array(0);
  #lengths = new Uint8Array(0);
  #values = new Float64Array(0);
  /** Room for the numbers that change: their indexes, new lengths and text, and which of them change their length. */
  #changed = new Uint32Array(0);
  #newLengths = new Uint8Array(0);
  #moved = new Uint32Array(0);
  #scratch = new Uint8Array(0);

  constructor(dialect: TextDialect) {
    this.#dialect = dialect;
  }

  /** The page for the present values. The returned buffer is never written to again; the same buffer means nothing changed. */
  encode(exposition: Exposition): Buffer {
    if (this.#revision === exposition.revision) this.#replaceNumbers(exposition.cells);
    else this.#layOut(exposition);
    this.#revision = exposition.revision;
    return this.#page;
  }

  #replaceNumbers(cells: Float64Array): void {
    const changed = this.#writeChanged(cells);
    if (changed === 0) return;
    const { moved, growth } = this.#measure(changed);
    const before = this.#page;
    const page = Buffer.allocUnsafeSlow(before.length + growth);
    this.#copyText(before, page, moved);
    this.#placeNumbers(page, changed);
    this.#page = page;
  }

  /** Writes the numbers that are not the same any more into the scratch buffer; returns how many there are. */
  #writeChanged(cells: Float64Array): number {
    let changed = 0;
    let position = 0;
    for (let index = 0; index < this.#values.length; index += 1) {
      const value = cells[this.#cells[index] ?? 0] ?? Number.NaN;
      const shown = this.#values[index] ?? Number.NaN;
      // The second part: NaN is still NaN.
      // oxlint-disable-next-line no-self-compare
      if (value === shown || (value !== value && shown !== shown)) continue;
      this.#values[index] = value;
      const end = this.#write(this.#scratch, position, index, value);
      this.#changed[changed] = index;
      this.#newLengths[changed] = end - position;
      changed += 1;
      position = end;
    }
    return changed;
  }

  /** How many of the changed numbers also changed their length, and by how much the page grows. */
  #measure(changed: number): { readonly moved: number; readonly growth: number } {
    let moved = 0;
    let growth = 0;
    for (let position = 0; position < changed; position += 1) {
      const difference = (this.#newLengths[position] ?? 0) - (this.#lengths[this.#changed[position] ?? 0] ?? 0);
      if (difference === 0) continue;
      growth += difference;
      this.#moved[moved] = position;
      moved += 1;
    }
    return { moved, growth };
  }

  /** Copies everything between the numbers that changed their length, each time as far as possible. */
  #copyText(before: Buffer, page: Buffer, moved: number): void {
    let from = 0;
    let to = 0;
    for (let position = 0; position < moved; position += 1) {
      const place = this.#moved[position] ?? 0;
      const index = this.#changed[place] ?? 0;
      const start = this.#starts[index] ?? 0;
      before.copy(page, to, from, start);
      to += start - from + (this.#newLengths[place] ?? 0);
      from = start + (this.#lengths[index] ?? 0);
    }
    before.copy(page, to, from, before.length);
  }

  /** Puts the changed numbers where they belong now, and remembers where that is. */
  #placeNumbers(page: Buffer, changed: number): void {
    let shift = 0;
    let next = 0;
    let read = 0;
    for (let index = 0; index < this.#starts.length; index += 1) {
      const start = (this.#starts[index] ?? 0) + shift;
      this.#starts[index] = start;
      if (next === changed || this.#changed[next] !== index) continue;
      const length = this.#newLengths[next] ?? 0;
      for (let offset = 0; offset < length; offset += 1) page[start + offset] = this.#scratch[read + offset] ?? 0;
      read += length;
      shift += length - (this.#lengths[index] ?? 0);
      this.#lengths[index] = length;
      next += 1;
    }
  }

  #write(page: Uint8Array, at: number, index: number, value: number): number {
    return this.#isPython[index] === 1 ? writeAscii(page, at, pythonNumber(value)) : writeNumber(page, at, value);
  }

  /** Writes every line anew and remembers where the numbers stand. */
  #layOut({ families, cells }: Exposition): void {
    const linesOf = this.#dialect === 'openmetrics' ? openMetricsLines : textLines;
    const lines: Line[] = [];
    for (const family of families) for (const line of linesOf(family)) lines.push(line);
    const end = this.#dialect === 'openmetrics' ? '# EOF\n' : '';
    this.#makeRoom(lines.length);
    let page = Buffer.allocUnsafeSlow(Math.max(64 * 1024, this.#page.length + 16 * 1024));
    let position = 0;
    const put = (text: string): void => {
      const most = position + text.length * 3 + MAX_NUMBER_BYTES;
      if (most > page.length) page = Buffer.concat([page.subarray(0, position)], Math.max(most, page.length * 2));
      position += page.write(text, position);
    };
    for (const [index, { before, cell, isPython }] of lines.entries()) {
      put(index === 0 ? before : `\n${before}`);
      const value = cells[cell] ?? Number.NaN;
      this.#cells[index] = cell;
      this.#isPython[index] = isPython ? 1 : 0;
      this.#starts[index] = position;
      position = this.#write(page, position, index, value);
      this.#lengths[index] = position - (this.#starts[index] ?? 0);
      this.#values[index] = value;
    }
    put(lines.length === 0 ? end : `\n${end}`);
    this.#page = page.subarray(0, position);
  }

  #makeRoom(lines: number): void {
    this.#cells = new Uint32Array(lines);
    this.#isPython = new Uint8Array(lines);
    this.#starts = new Uint32Array(lines);
    this.#lengths = new Uint8Array(lines);
    this.#values = new Float64Array(lines);
    this.#changed = new Uint32Array(lines);
    this.#newLengths = new Uint8Array(lines);
    this.#moved = new Uint32Array(lines);
    this.#scratch = new Uint8Array(lines * MAX_NUMBER_BYTES);
  }
}

/** One number of the page, and all text before it: comments that belong to its family, its name and its labels. */
interface Line {
  readonly before: string;
  readonly cell: number;
  readonly isPython: boolean;
}

function* textLines(family: Family): Iterable<Line> {
  const type = family.type === 'info' ? 'gauge' : family.type;
  yield* withHeader(textHeader(family.name, family.help, type), samples(family, family.name));
  if (family.created === 'family') {
    const created = `${baseName(family)}_created`;
    yield* withHeader(
      textHeader(created, family.help, 'gauge'),
      family.series.map((series) => createdSample(family, series, created)),
    );
  }
}

function* openMetricsLines(family: Family): Iterable<Line> {
  const base = baseName(family);
  const name = family.type === 'counter' ? `${base}_total` : family.name;
  const all = function* (): Iterable<Line> {
    for (const series of family.series) {
      yield* samplesOf(family, series, name);
      if (family.created !== 'unknown') yield createdSample(family, series, `${base}_created`);
    }
  };
  yield* withHeader(openMetricsHeader(family), all());
}

function* withHeader(header: string, lines: Iterable<Line>): Iterable<Line> {
  let isFirst = true;
  for (const line of lines) {
    yield isFirst ? { ...line, before: `${header}${line.before}` } : line;
    isFirst = false;
  }
}

function* samples(family: Family, name: string): Iterable<Line> {
  for (const series of family.series) yield* samplesOf(family, series, name);
}

function* samplesOf({ numbers }: Family, { labelText, bounds, cell }: Series, name: string): Iterable<Line> {
  if (bounds === undefined) {
    yield { before: samplePrefix(name, labelText), cell, isPython: numbers === 'python' };
    return;
  }
  const before = labelText === '' ? '' : `${labelText},`;
  for (const [index, bound] of [...bounds, Number.POSITIVE_INFINITY].entries()) {
    yield { before: samplePrefix(`${name}_bucket`, `${before}le="${boundText(bound)}"`), cell: cell + index, isPython: false };
  }
  yield { before: samplePrefix(`${name}_sum`, labelText), cell: cell + bounds.length + 1, isPython: false };
  yield { before: samplePrefix(`${name}_count`, labelText), cell: cell + bounds.length + 2, isPython: false };
}

function createdSample({ numbers }: Family, series: Series, name: string): Line {
  return { before: samplePrefix(name, series.labelText), cell: series.cell + numberCount(series), isPython: numbers === 'python' };
}

/** The family's name in OpenMetrics, which adds `_total` and `_info` to it. */
function baseName({ name, type }: Family): string {
  if (type === 'counter') return name.replace(/_total$/, '');
  return type === 'info' ? name.replace(/_info$/, '') : name;
}

function textHeader(name: string, help: string, type: string): string {
  const shown = metadataName(name);
  return `# HELP ${shown} ${escapeHelp(help, false)}\n# TYPE ${shown} ${type}\n`;
}

function openMetricsHeader(family: Family): string {
  const name = metadataName(baseName(family));
  const unit = family.unit === '' ? '' : `# UNIT ${name} ${family.unit}\n`;
  return `# HELP ${name} ${escapeHelp(family.help, true)}\n# TYPE ${name} ${family.type}\n${unit}`;
}
