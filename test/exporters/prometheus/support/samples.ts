import { existsSync, readFileSync } from 'node:fs';
import { join, resolve } from 'node:path';

/** Real captures that lie next to a working copy of the project, never inside it. */
const FOLDER = resolve(import.meta.dirname, '../../../../../shared/samples');

export const hasSamples = existsSync(FOLDER);

export function sampleText(name: string): string {
  return readFileSync(join(FOLDER, name), 'utf8');
}

export function sampleDocument(name: string): Readonly<Record<string, unknown>> {
  const document: Readonly<Record<string, unknown>> = JSON.parse(sampleText(name));
  return document;
}
