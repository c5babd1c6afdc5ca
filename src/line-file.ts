import { existsSync, readFileSync } from 'node:fs';
import { errnoName } from './file-error.ts';

/** The text of a file of one line, without the space around it; undefined when there is none to be read. */
export function readLine(path: string): string | undefined {
  try {
    // Each reading asks for these files, and most hosts lack some: an error that is thrown costs more than everything else here.
    return existsSync(path) ? readFileSync(path, 'latin1').trim() : undefined;
  } catch (thrown) {
    if (errnoName(thrown) === undefined) throw thrown;
    return undefined;
  }
}
