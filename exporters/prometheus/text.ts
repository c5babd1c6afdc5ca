import { Buffer } from 'node:buffer';
import type { Family, Series } from './family.ts';
import { escapeHelp, metadataName, samplePrefix } from './labels.ts';
import { MAX_NUMBER_BYTES, boundText, pythonNumber, writeAscii, writeNumber } from './numbers.ts';
import type { Exposition } from './exposition.ts';

/** `text` is Prometheus text 0.0.4 (and 1.0.0, which differs by quoted names only); `openmetrics` is OpenMetrics 1.0. */
export type TextDialect = 'text' | 'openmetrics';

/** Where the creation time of a series stands in for its value. */
const CREATED_CELL = -1;

/**
 * Writes pages of text. It keeps the last page and the place of every number on it: while the lines stay the same, the next page
 * is that page with the changed numbers replaced, everything between them copied as bytes.
 */
export class TextPageEncoder {
  readonly #dialect: TextDialect;
  #page = Buffer.alloc(0);
  #revision = -1;
  #series: Series[] = [];
  #cells: number[] = [];
  #isPython: boolean[] = [];
  #starts = new Uint32Array(0);
  #ends = new Uint32Array(0);
  #values = new Float64Array(0);

  constructor(dialect: TextDialect) {
    this.#dialect = dialect;
  }

  /** The page for the present values. The returned buffer is never written to again; the same buffer means nothing changed. */
  encode(exposition: Exposition): Buffer {
    if (this.#revision === exposition.revision) this.#replaceNumbers();
    else {
      this.#layOut(exposition.families);
      this.#revision = exposition.revision;
    }
    return this.#page;
  }

  #replaceNumbers(): void {
    const changed = this.#countChanged();
    if (changed === 0) return;
    const before = this.#page;
    const page = Buffer.allocUnsafeSlow(before.length + changed * MAX_NUMBER_BYTES);
    let position = 0;
    let copied = 0;
    for (let index = 0; index < this.#values.length; index += 1) {
      const start = this.#starts[index] ?? 0;
      const value = this.#valueOf(index);
      if (Object.is(value, this.#values[index])) {
        this.#starts[index] = start + position - copied;
        const end = this.#ends[index] ?? 0;
        this.#ends[index] = end + position - copied;
        continue;
      }
      before.copy(page, position, copied, start);
      position += start - copied;
      copied = this.#ends[index] ?? 0;
      this.#starts[index] = position;
      position = this.#write(page, position, index, value);
      this.#ends[index] = position;
      this.#values[index] = value;
    }
    before.copy(page, position, copied, before.length);
    this.#page = page.subarray(0, position + before.length - copied);
  }

  #countChanged(): number {
    let changed = 0;
    for (let index = 0; index < this.#values.length; index += 1) if (!Object.is(this.#valueOf(index), this.#values[index])) changed += 1;
    return changed;
  }

  #valueOf(index: number): number {
    const series = this.#series[index];
    if (series === undefined) return Number.NaN;
    const cell = this.#cells[index] ?? 0;
    return cell === CREATED_CELL ? series.createdSeconds : series.cell(cell);
  }

  #write(page: Uint8Array, at: number, index: number, value: number): number {
    return this.#isPython[index] === true ? writeAscii(page, at, pythonNumber(value)) : writeNumber(page, at, value);
  }

  /** Writes every line anew and remembers where the numbers stand. */
  #layOut(families: readonly Family[]): void {
    this.#series = [];
    this.#cells = [];
    this.#isPython = [];
    const starts: number[] = [];
    const ends: number[] = [];
    const values: number[] = [];
    let page = Buffer.allocUnsafeSlow(Math.max(64 * 1024, this.#page.length + 16 * 1024));
    let position = 0;
    const put = (text: string): void => {
      const most = position + text.length * 3 + MAX_NUMBER_BYTES;
      if (most > page.length) page = Buffer.concat([page.subarray(0, position)], Math.max(most, page.length * 2));
      position += page.write(text, position);
    };
    const line = (prefix: string, series: Series, cell: number, isPython: boolean): void => {
      put(prefix);
      const index = this.#series.push(series) - 1;
      this.#cells.push(cell);
      this.#isPython.push(isPython);
      const value = this.#valueOf(index);
      starts.push(position);
      position = this.#write(page, position, index, value);
      ends.push(position);
      values.push(value);
      put('\n');
    };
    for (const family of families) this.#layOutFamily(family, put, line);
    if (this.#dialect === 'openmetrics') put('# EOF\n');
    this.#page = page.subarray(0, position);
    this.#starts = Uint32Array.from(starts);
    this.#ends = Uint32Array.from(ends);
    this.#values = Float64Array.from(values);
  }

  #layOutFamily(family: Family, put: PutText, line: PutLine): void {
    const isPython = family.numbers === 'python';
    const isOpenMetrics = this.#dialect === 'openmetrics';
    put(isOpenMetrics ? openMetricsHeader(family) : textHeader(family.name, family.help, family.type === 'info' ? 'gauge' : family.type));
    const name = isOpenMetrics && family.type === 'counter' ? `${baseName(family)}_total` : family.name;
    for (const series of family.series) {
      if (series.bounds === undefined) line(samplePrefix(name, series.labelText), series, 0, isPython);
      else histogramLines(name, series, series.bounds, line);
      if (isOpenMetrics && hasCreated(family))
        line(samplePrefix(`${baseName(family)}_created`, series.labelText), series, CREATED_CELL, false);
    }
    if (isOpenMetrics || !family.createdFamily) return;
    const created = `${baseName(family)}_created`;
    put(textHeader(created, family.help, 'gauge'));
    for (const series of family.series) line(samplePrefix(created, series.labelText), series, CREATED_CELL, isPython);
  }
}

type PutText = (text: string) => void;
type PutLine = (prefix: string, series: Series, cell: number, isPython: boolean) => void;

function histogramLines(name: string, series: Series, bounds: readonly number[], line: PutLine): void {
  const before = series.labelText === '' ? '' : `${series.labelText},`;
  for (const [index, bound] of bounds.entries())
    line(samplePrefix(`${name}_bucket`, `${before}le="${boundText(bound)}"`), series, index, false);
  line(samplePrefix(`${name}_bucket`, `${before}le="+Inf"`), series, bounds.length, false);
  line(samplePrefix(`${name}_sum`, series.labelText), series, bounds.length + 1, false);
  line(samplePrefix(`${name}_count`, series.labelText), series, bounds.length + 2, false);
}

function hasCreated(family: Family): boolean {
  return family.type === 'counter' || family.type === 'histogram';
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
