/** One sample line of a text page. */
export interface Sample {
  readonly name: string;
  readonly labels: Readonly<Record<string, string>>;
  readonly value: string;
}

/** Reads text 0.0.4 and OpenMetrics strictly: any line that is neither a comment nor a sample throws. */
export function parsePage(text: string): readonly Sample[] {
  return splitLines(text)
    .filter((line) => line !== '' && !line.startsWith('#'))
    .map((line) => parseSample(line));
}

/** `name → type` of every family. */
export function familyTypes(text: string): ReadonlyMap<string, string> {
  const types = new Map<string, string>();
  for (const line of splitLines(text)) {
    const match = /^# TYPE (\S+) (\S+)$/.exec(line);
    if (match?.[1] !== undefined && match[2] !== undefined) types.set(match[1], match[2]);
  }
  return types;
}

export function sampleKey({ name, labels }: Sample): string {
  const pairs = Object.entries(labels)
    .toSorted(([a], [b]) => (a < b ? -1 : 1))
    .map(([label, value]) => `${label}=${JSON.stringify(value)}`);
  return `${name}{${pairs.join(',')}}`;
}

/** Only `\n` ends a line; other line ends may stand inside label values. */
function splitLines(text: string): readonly string[] {
  return text.split('\n');
}

const METRIC_NAME = /[a-zA-Z_:][a-zA-Z0-9_:]*/y;
const LABEL_START = /([a-zA-Z_][a-zA-Z0-9_]*)="/y;
const LABEL_VALUE = /(?:[^"\\]|\\["\\n])*/y;
const LABEL_END = /",?/y;
const VALUE = / (?:[+-]?(?:\d[\d.e+-]*|Inf)|NaN)/y;

function parseSample(line: string): Sample {
  let at = 0;
  const expect = (pattern: RegExp): string => {
    pattern.lastIndex = at;
    if (!pattern.test(line)) throw new Error(`cannot read ${JSON.stringify(line.slice(0, 200))} at ${at}`);
    const from = at;
    at = pattern.lastIndex;
    return line.slice(from, at);
  };
  const name = expect(METRIC_NAME);
  const labels: Record<string, string> = {};
  if (line[at] === '{') {
    at += 1;
    while (line[at] !== '}') {
      const label = expect(LABEL_START).slice(0, -2);
      const value = expect(LABEL_VALUE);
      expect(LABEL_END);
      if (label in labels) throw new Error(`label ${label} twice in ${JSON.stringify(line.slice(0, 200))}`);
      labels[label] = value.includes('\\')
        ? value.replaceAll(/\\(.)/g, (_, character: string) => (character === 'n' ? '\n' : character))
        : value;
    }
    at += 1;
  }
  const value = expect(VALUE).slice(1);
  if (at !== line.length) throw new Error(`more than a sample: ${JSON.stringify(line.slice(0, 200))}`);
  return { name, labels, value };
}
