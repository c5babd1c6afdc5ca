import { numberCount } from './family.ts';
import type { Family, Series } from './family.ts';
import { escapeHelp, metadataName, sampleName } from './labels.ts';
import type { SampleName } from './labels.ts';
import type { LineWriter } from './line-writer.ts';
import { boundText } from './numbers.ts';

/** `text` is Prometheus text 0.0.4 (and 1.0.0, which differs by quoted names only); `openmetrics` is OpenMetrics 1.0. */
export type TextDialect = 'text' | 'openmetrics';

/** Writes the lines of a family; one without series is only shown as comments. */
export function writeFamily(out: LineWriter, family: Family, dialect: TextDialect): void {
  if (dialect === 'openmetrics') writeOpenMetrics(out, family);
  else writeText(out, family);
}

/** A family in text 0.0.4. */
function writeText(out: LineWriter, family: Family): void {
  const { name, help, series, created } = family;
  out.text(textHeader(name, help, textType(family)));
  const names = sampleNames(family, name);
  for (const one of series) writeSamples(out, one, names);
  if (created !== 'family' || series.length === 0) return;
  const createdName = `${baseName(family)}_created`;
  out.text(textHeader(createdName, help, 'gauge'));
  const createdNames = sampleNames(family, createdName);
  for (const one of series) writeCreated(out, one, createdNames);
}

/** A family in OpenMetrics 1.0. */
function writeOpenMetrics(out: LineWriter, family: Family): void {
  const base = baseName(family);
  out.text(openMetricsHeader(family));
  const names = sampleNames(family, family.type === 'counter' ? `${base}_total` : family.name);
  const createdNames = sampleNames(family, `${base}_created`);
  for (const one of family.series) {
    writeSamples(out, one, names);
    if (family.created !== 'unknown') writeCreated(out, one, createdNames);
  }
}

/** How the samples of a family are called, and how their numbers are spelled. */
interface SampleNames {
  readonly single: SampleName;
  readonly bucket: SampleName;
  readonly sum: SampleName;
  readonly count: SampleName;
  readonly isPython: boolean;
  /** Most histograms of a family have the same bounds. */
  readonly boundTexts: Map<number, string>;
}

function sampleNames({ numbers }: Family, name: string): SampleNames {
  return {
    single: sampleName(name),
    bucket: sampleName(`${name}_bucket`),
    sum: sampleName(`${name}_sum`),
    count: sampleName(`${name}_count`),
    isPython: numbers === 'python',
    boundTexts: new Map(),
  };
}

function writeSamples(out: LineWriter, { labelText, bounds, cell }: Series, names: SampleNames): void {
  if (bounds === undefined) {
    writeSample(out, names.single, labelText, { cell, isPython: names.isPython });
    return;
  }
  for (let index = 0; index <= bounds.length; index += 1) {
    const bound = bounds[index] ?? Number.POSITIVE_INFINITY;
    out.text(names.bucket.beforeLabels);
    out.text(labelText);
    out.text(labelText === '' ? 'le="' : ',le="');
    out.text(textOfBound(names.boundTexts, bound));
    out.text('"} ');
    out.number(cell + index, false);
  }
  writeSample(out, names.sum, labelText, { cell: cell + bounds.length + 1, isPython: false });
  writeSample(out, names.count, labelText, { cell: cell + bounds.length + 2, isPython: false });
}

function writeCreated(out: LineWriter, series: Series, { single, isPython }: SampleNames): void {
  writeSample(out, single, series.labelText, { cell: series.cell + numberCount(series), isPython });
}

/** In pieces: putting them together first would cost a string for each line. */
function writeSample(
  out: LineWriter,
  name: SampleName,
  labelText: string,
  { cell, isPython }: { readonly cell: number; readonly isPython: boolean },
): void {
  if (labelText === '') {
    out.text(name.alone);
  } else {
    out.text(name.beforeLabels);
    out.text(labelText);
    out.text('} ');
  }
  out.number(cell, isPython);
}

function textOfBound(known: Map<number, string>, bound: number): string {
  let text = known.get(bound);
  if (text === undefined) known.set(bound, (text = boundText(bound)));
  return text;
}

/** The family's name in OpenMetrics, which adds `_total` and `_info` to it. */
function baseName({ name, type }: Family): string {
  if (type === 'counter') return name.replace(/_total$/, '');
  return type === 'info' ? name.replace(/_info$/, '') : name;
}

/** Text 0.0.4 has no info metrics. */
function textType({ type }: Family): string {
  return type === 'info' ? 'gauge' : type;
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
