import { Buffer } from 'node:buffer';
import { withRoom } from '../wire/growing-buffer.ts';
import { MAX_NUMBER_BYTES } from '../wire/number-text.ts';
import type { Family, Series } from './family.ts';
import { classicBuckets } from './histogram.ts';
import { escapeHelp, metadataName, sampleName } from './labels.ts';
import type { SampleName } from './labels.ts';
import { boundText, secondsOf, writeSpelled } from './numbers.ts';

/** `text` is Prometheus text 0.0.4 (and 1.0.0, which differs by quoted names only); `openmetrics` is OpenMetrics 1.0. */
export type TextDialect = 'text' | 'openmetrics';

/** Writes families as a page of text, into `memory` where it is large enough. */
export function writeText(families: readonly Family[], dialect: TextDialect, memory: Buffer = NO_MEMORY): Buffer {
  const out = new TextOutput(memory);
  for (const family of families) {
    if (dialect === 'openmetrics') writeOpenMetricsFamily(out, family);
    else writeTextFamily(out, family);
  }
  if (dialect === 'openmetrics') out.text('# EOF\n');
  return out.bytes;
}

/** A family in text 0.0.4; one without series consists of comments. */
function writeTextFamily(out: TextOutput, family: Family): void {
  const { name, help, series, created } = family;
  out.text(textHeader(name, help, family.type === 'info' ? 'gauge' : family.type));
  const names = sampleNames(family, name);
  for (const one of series) writeSeries(out, one, names);
  if (created !== 'family' || series.length === 0) return;
  const createdName = `${baseName(family)}_created`;
  out.text(textHeader(createdName, help, 'gauge'));
  const beginning = sampleName(createdName);
  for (const one of series) writeCreated(out, one, beginning, names.isPython);
}

/** A family in OpenMetrics 1.0. */
function writeOpenMetricsFamily(out: TextOutput, family: Family): void {
  const base = baseName(family);
  out.text(openMetricsHeader(family, metadataName(base)));
  const names = sampleNames(family, family.type === 'counter' ? `${base}_total` : family.name);
  const created = sampleName(`${base}_created`);
  for (const one of family.series) {
    writeSeries(out, one, names);
    if (family.created !== 'unknown') writeCreated(out, one, created, names.isPython);
  }
}

/** The beginnings of a family's sample lines, and the spelling of its numbers. */
interface SampleNames {
  readonly single: SampleName;
  readonly bucket: SampleName;
  readonly sum: SampleName;
  readonly count: SampleName;
  readonly isPython: boolean;
  /** True when `Series.textStart` begins with this family's name; OpenMetrics gives some counters another one. */
  readonly isKept: boolean;
}

function sampleNames(family: Family, name: string): SampleNames {
  return {
    single: sampleName(name),
    bucket: sampleName(`${name}_bucket`),
    sum: sampleName(`${name}_sum`),
    count: sampleName(`${name}_count`),
    isPython: family.numbers === 'python',
    isKept: name === family.name,
  };
}

function writeSeries(out: TextOutput, series: Series, names: SampleNames): void {
  const { value } = series.point;
  if (typeof value !== 'number') {
    writeHistogram(out, series, value, names);
  } else if (names.isKept) {
    out.text((series.textStart ??= lineStart(names.single, series.labels)));
    out.number(value, names.isPython);
  } else {
    out.text(lineStart(names.single, series.labels));
    out.number(value, names.isPython);
  }
}

function writeHistogram(out: TextOutput, series: Series, value: Exclude<Series['point']['value'], number>, names: SampleNames): void {
  const { labels } = series;
  const { boundaries, cumulativeCounts } = classicBuckets(value);
  series.textStart ??= flat([names.bucket.beforeLabels, labels, labels === '' ? 'le="' : ',le="']);
  for (let index = 0; index <= boundaries.length; index += 1) {
    out.text(series.textStart);
    out.bound(boundaries[index] ?? Number.POSITIVE_INFINITY);
    out.number(cumulativeCounts[index] ?? value.count, false);
  }
  out.text(lineStart(names.sum, labels));
  out.number(value.sum ?? Number.NaN, false);
  out.text(lineStart(names.count, labels));
  out.number(value.count, false);
}

function writeCreated(out: TextOutput, { labels, point }: Series, beginning: SampleName, isPython: boolean): void {
  out.text(lineStart(beginning, labels));
  out.number(secondsOf(point.startTime), isPython);
}

function lineStart({ beforeLabels, alone }: SampleName, labels: string): string {
  return labels === '' ? alone : flat([beforeLabels, labels, '} ']);
}

/** One flat string: it is kept for as long as its series lives, and a concatenation would keep its pieces as well. */
function flat(pieces: readonly string[]): string {
  return pieces.join('');
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

function openMetricsHeader({ help, type, unit }: Family, name: string): string {
  const unitLine = unit === '' ? '' : `# UNIT ${name} ${unit}\n`;
  return `# HELP ${name} ${escapeHelp(help, true)}\n# TYPE ${name} ${type}\n${unitLine}`;
}

const NO_MEMORY = Buffer.alloc(0);
const LINE_END = 10;
/** Bytes of one UTF-16 code unit at most. */
const MAX_UTF8_BYTES = 3;
const FIRST_PAGE_BYTES = 64 * 1024;
const GROWTH = 1.5;

/** A page that is being written, in memory that grows. */
class TextOutput {
  #memory: Buffer;
  #length = 0;
  /** Most histograms have the same bounds. */
  readonly #bounds = new Map<number, string>();

  constructor(memory: Buffer) {
    this.#memory = memory.length === 0 ? Buffer.allocUnsafeSlow(FIRST_PAGE_BYTES) : memory;
  }

  get bytes(): Buffer {
    return this.#memory.subarray(0, this.#length);
  }

  text(text: string): void {
    this.#reserve(text.length * MAX_UTF8_BYTES);
    this.#length += this.#memory.write(text, this.#length);
  }

  /** A number and the end of its line. */
  number(value: number, isPython: boolean): void {
    this.#reserve(MAX_NUMBER_BYTES + 1);
    const end = writeSpelled(this.#memory, this.#length, value, isPython);
    this.#memory[end] = LINE_END;
    this.#length = end + 1;
  }

  /** The value of a `le` label and the end of the labels. */
  bound(bound: number): void {
    let text = this.#bounds.get(bound);
    if (text === undefined) this.#bounds.set(bound, (text = `${boundText(bound)}"} `));
    this.text(text);
  }

  #reserve(size: number): void {
    if (this.#length + size > this.#memory.length) this.#memory = withRoom(this.#memory, this.#length, size, GROWTH);
  }
}
