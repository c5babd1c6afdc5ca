import type { HrTime } from '@opentelemetry/api';
import type { ExponentialHistogram, Histogram, ResourceMetrics } from '@opentelemetry/sdk-metrics';
import { T0_MS } from './metrics.ts';

/** One data point, or one attribute of a resource: the line that it is in a golden, and the part of the line that identifies it. */
interface Line {
  readonly resource: string;
  readonly scope: string;
  readonly key: string;
  readonly text: string;
}

/**
 * Writes collections as text for goldens. The first collection is written whole: a line for each resource, scope, attribute of a resource and
 * point (`metric{attributes} value @start`); of a process only the attributes that its host has not. Of each later collection only the lines that differ are written; `-` marks a line that is gone.
 * Times are seconds after T0. A point whose time is not that of its collection has it behind `^`.
 */
export class PointText {
  #before: ReadonlyMap<string, Line> = new Map();

  /** Returns the text of the collection that was made at `timeMs`. */
  write(title: string, collection: readonly ResourceMetrics[], timeMs: number): string {
    const lines = new Map<string, Line>();
    for (const line of linesOf(collection, timeMs)) {
      const id = [line.resource, line.scope, line.key].join('\n');
      if (lines.has(id)) throw new Error(`${line.key} of ${line.scope} is twice in ${line.resource}`);
      lines.set(id, line);
    }
    const changed = [...lines].filter(([id, { text }]) => this.#before.get(id)?.text !== text).map(([, line]) => line);
    const gone = [...this.#before].filter(([id]) => !lines.has(id)).map(([, line]) => ({ ...line, text: `- ${line.key}` }));
    this.#before = lines;
    return `${[title, ...grouped([...changed, ...gone])].join('\n')}\n`;
  }
}

function grouped(lines: readonly Line[]): string[] {
  const byResource = Map.groupBy(lines, ({ resource }) => resource);
  return [...byResource].flatMap(([resource, ofResource]) => [
    `resource ${resource}`,
    ...[...Map.groupBy(ofResource, ({ scope }) => scope)].flatMap(([scope, ofScope]) => [
      ...(scope === '' ? [] : [`  scope ${scope}`]),
      ...ofScope.map(({ text }) => `    ${text}`),
    ]),
  ]);
}

function linesOf(collection: readonly ResourceMetrics[], timeMs: number): Line[] {
  const host = collection.find(({ resource }) => resource.attributes['process.pid'] === undefined)?.resource.attributes ?? {};
  return collection.flatMap(({ resource: { attributes }, scopeMetrics }) => {
    const pid = attributes['process.pid'];
    const resource = pid === undefined ? 'host' : `process ${word(pid)}`;
    return [
      ...ownAttributes(attributes, host).map((text) => ({ resource, scope: '', key: text.split('=')[0] ?? '', text })),
      ...scopeMetrics.flatMap(({ scope, metrics }) =>
        metrics.flatMap(({ descriptor, dataPoints }) =>
          dataPoints.map((point) => {
            const key = `${descriptor.name}${attributesText(point.attributes)}`;
            const time = seconds(point.endTime);
            const late = time === (timeMs - T0_MS) / 1000 ? '' : ` ^${time}`;
            return { resource, scope: scope.name, key, text: `${key} ${valueText(point.value)} @${seconds(point.startTime)}${late}` };
          }),
        ),
      ),
    ];
  });
}

/** The attributes of a process, but those that it shares with its host; `!` marks one of the host that the process lacks. */
function ownAttributes(attributes: Readonly<Record<string, unknown>>, host: Readonly<Record<string, unknown>>): string[] {
  const own = Object.entries(attributes).filter(([name, value]) => attributes === host || host[name] !== value);
  const lacking = Object.keys(host).filter((name) => !(name in attributes));
  return [...own.map(([name, value]) => `${name}=${word(value)}`), ...lacking.map((name) => `!${name}`)];
}

function valueText(value: number | Histogram | ExponentialHistogram): string {
  if (typeof value === 'number') return Object.is(value, -0) ? '-0' : String(value);
  if (!('scale' in value)) throw new Error('no receiver makes a histogram with explicit buckets');
  const { count, sum, min, max, scale, zeroCount, positive, negative } = value;
  if (negative.bucketCounts.length > 0) throw new Error('no receiver measures what can be negative');
  return `count=${count} sum=${sum} min=${min} max=${max} scale=${scale} zero=${zeroCount} buckets=${positive.offset}:${runs(positive.bucketCounts)}`;
}

/** Counts of buckets side by side; `0*12` are twelve empty ones. */
function runs(counts: readonly number[]): string {
  return counts.join(' ').replaceAll(/\b0(?: 0)+\b/g, (zeros) => `0*${(zeros.length + 1) / 2}`);
}

function attributesText(attributes: Readonly<Record<string, unknown>>): string {
  const pairs = Object.entries(attributes).map(([name, value]) => `${name}=${word(value)}`);
  return pairs.length === 0 ? '' : `{${pairs.join(' ')}}`;
}

/** Strings are quoted only where they could be taken for something else, so that a number and its text differ. */
function word(value: unknown): string {
  return typeof value === 'string' && /^[A-Za-z][^\s"{}=]*$/.test(value) ? value : JSON.stringify(value);
}

/** Seconds after T0; nanoseconds are kept. */
function seconds([whole, nanos]: HrTime): number {
  return ((whole - T0_MS / 1000) * 1e9 + nanos) / 1e9;
}
