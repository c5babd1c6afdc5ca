import { chmodSync, existsSync, readFileSync, writeFileSync } from 'node:fs';
import type { TemporaryFolder } from './folder.ts';
import { parseObject } from './json.ts';
import type { JsonObject } from './json.ts';

/** What one life of the scripted neuron-monitor does. */
export interface Life {
  /** Printed one after another, this far apart. */
  readonly lines: readonly string[];
  readonly intervalMs: number;
  /** Exit code after the last line; without it, it prints the last line again and again until it is stopped. */
  readonly exitCode?: number;
}

export interface StartRecord {
  readonly pid: number;
  readonly args: readonly string[];
  readonly environment: JsonObject;
}

/**
 * An executable that behaves as neuron-monitor does, life by life, as the test says: it prints, dies, and is started again.
 * It runs on the Node that runs the tests.
 */
export class ScriptedMonitor {
  readonly path: string;
  readonly #startsPath: string;

  constructor(folder: TemporaryFolder, lives: readonly Life[]) {
    this.path = folder.file('neuron-monitor');
    this.#startsPath = folder.file('starts.ndjson');
    writeFileSync(folder.file('lives.json'), JSON.stringify(lives));
    writeFileSync(this.path, script(folder.file('lives.json'), this.#startsPath));
    chmodSync(this.path, 0o755);
  }

  /** One record for each time it was started. */
  starts(): readonly StartRecord[] {
    if (!existsSync(this.#startsPath)) return [];
    const lines = readFileSync(this.#startsPath, 'utf8')
      .split('\n')
      .filter((line) => line !== '');
    return lines.map((line) => {
      const { pid, args, environment } = parseObject(line);
      if (typeof pid !== 'number' || !Array.isArray(args) || typeof environment !== 'object' || environment === null) {
        throw new TypeError(`not a start record: ${line}`);
      }
      return { pid, args: args.map(String), environment: { ...environment } };
    });
  }
}

function script(livesPath: string, startsPath: string): string {
  return `#!${process.execPath}
const fs = require('node:fs');
const starts = ${JSON.stringify(startsPath)};
const before = fs.existsSync(starts) ? fs.readFileSync(starts, 'utf8').split('\\n').length - 1 : 0;
fs.appendFileSync(starts, JSON.stringify({ pid: process.pid, args: process.argv.slice(2), environment: process.env }) + '\\n');
const lives = JSON.parse(fs.readFileSync(${JSON.stringify(livesPath)}, 'utf8'));
const { lines, intervalMs, exitCode } = lives[Math.min(before, lives.length - 1)];
let next = 0;
function print() {
  if (next >= lines.length && exitCode !== undefined) process.exit(exitCode);
  process.stdout.write((lines[Math.min(next, lines.length - 1)] ?? '') + '\\n');
  next += 1;
  setTimeout(print, intervalMs);
}
print();
`;
}
