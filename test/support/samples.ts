import { existsSync, readFileSync, readdirSync } from 'node:fs';
import { join, resolve } from 'node:path';

const folder = resolve(import.meta.dirname, '../../../shared/samples');

/** Real captures live next to the project, not in it. Tests on them are left out, and say so, where the folder is absent. */
export const hasSamples: boolean = existsSync(folder);

export interface Sample {
  readonly name: string;
  readonly bytes: Buffer;
}

/** Captured records: files of one document each, and streams of one document per line. */
export function samples(prefix: 'json-' | 'ndjson-'): readonly Sample[] {
  if (!hasSamples) return [];
  return readdirSync(folder)
    .filter((name) => name.startsWith(prefix) && !name.endsWith('.source.txt'))
    .map((name) => ({ name, bytes: readFileSync(join(folder, name)) }));
}

/** Every line of every captured stream and one-line file, without line ends. */
export function sampleLines(): readonly Sample[] {
  return [...samples('json-'), ...samples('ndjson-')].flatMap(({ name, bytes }) => {
    const lines = bytes.toString('utf8').trimEnd().split('\n');
    return lines[0]?.startsWith('{"') === true ? lines.map((line, index) => ({ name: `${name}#${index}`, bytes: Buffer.from(line) })) : [];
  });
}
