import { numberCount } from './family.ts';
import type { Family, Series } from './family.ts';
import { escapeHelp, metadataName, samplePrefix } from './labels.ts';
import { boundText } from './numbers.ts';

/** One number of the page, and all text before it: comments that belong to its family, its name and its labels. */
export interface Line {
  readonly before: string;
  readonly cell: number;
  readonly isPython: boolean;
}

/** `text` is Prometheus text 0.0.4 (and 1.0.0, which differs by quoted names only); `openmetrics` is OpenMetrics 1.0. */
export type TextDialect = 'text' | 'openmetrics';

/** A page of text: its numbers with the text before them, and what follows the last one. */
export interface PageLines {
  readonly lines: readonly Line[];
  readonly end: string;
}

/** Comments of a family without series stand before the next number, or at the end. */
export function pageLines(families: readonly Family[], dialect: TextDialect): PageLines {
  const lines: Line[] = [];
  let comments = '';
  for (const family of families) {
    if (family.series.length === 0) {
      comments += dialect === 'openmetrics' ? openMetricsHeader(family) : textHeader(family.name, family.help, textType(family));
      continue;
    }
    for (const line of dialect === 'openmetrics' ? openMetricsLines(family) : textLines(family)) {
      lines.push(comments === '' ? line : { ...line, before: `${comments}${line.before}` });
      comments = '';
    }
  }
  return { lines, end: `${comments}${dialect === 'openmetrics' ? '# EOF\n' : ''}` };
}

/** The lines of a family in text 0.0.4. */
function* textLines(family: Family): Iterable<Line> {
  yield* withHeader(textHeader(family.name, family.help, textType(family)), samples(family, family.name));
  if (family.created === 'family') {
    const created = `${baseName(family)}_created`;
    yield* withHeader(
      textHeader(created, family.help, 'gauge'),
      family.series.map((series) => createdSample(family, series, created)),
    );
  }
}

/** The lines of a family in OpenMetrics 1.0. */
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
