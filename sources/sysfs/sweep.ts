import { AgentError } from '../../src/errors.ts';
import type { ErrorCode } from '../../src/errors.ts';
import { errnoName, fileErrorCode } from '../../src/file-error.ts';
import type { NumberMap } from '../../src/readings.ts';
import type { SourceFailure } from '../../src/source.ts';
import type { NamedFiles } from './inventory.ts';
import { parseDecimalLine } from './node-file.ts';
import type { NodeFile, NodeReader } from './node-file.ts';

/** Errors of a file that is no longer there: the driver was reloaded, or took the device away. */
const GONE = new Set(['ENOENT', 'ENOTDIR', 'ENODEV', 'ENXIO', 'ESTALE']);

/** Groups that are read from the files of a device. */
export type SysfsGroup = 'neuron_hw_counters' | 'neuron_device_counters';

/** `Sweep` is one pass over the files of one device: values that can be read, and one failure of each kind for those that cannot. */
export class Sweep {
  /** True after a file was not there any more: the inventory is out of date. */
  gone = false;
  readonly #reader: NodeReader;
  readonly #device: string;
  readonly #group: SysfsGroup;
  readonly #failed = new Map<ErrorCode, AgentError>();
  /** Values of the list that is being read; longer than that list when another list was longer. */
  readonly #values: (number | undefined)[] = [];

  /** Failures are those of `group`. */
  constructor(reader: NodeReader, deviceIndex: number, group: SysfsGroup) {
    this.#reader = reader;
    this.#device = `neuron${deviceIndex}`;
    this.#group = group;
  }

  failures(): readonly SourceFailure[] {
    return [...this.#failed.values()].map((error) => ({ error, group: this.#group }));
  }

  /** Reads a counter that a double holds exactly; undefined when it is missing, broken or above `max`. */
  count(file: NodeFile | undefined, max = Number.MAX_SAFE_INTEGER): number | undefined {
    const value = this.wide(file);
    if (file === undefined || value === undefined) return undefined;
    return typeof value === 'bigint' || value > max ? this.malformed(file) : value;
  }

  /** Reads a counter that may use all 64 bits. */
  wide(file: NodeFile | undefined): number | bigint | undefined {
    if (file === undefined) return undefined;
    let length: number;
    try {
      length = this.#reader.read(file);
    } catch (thrown) {
      this.#fail(file, thrown);
      return undefined;
    }
    return parseDecimalLine(this.#reader.buffer, length) ?? this.#lookTwice(file, length);
  }

  /** Reads text without spaces at either end. */
  text(file: NodeFile | undefined): string | undefined {
    if (file === undefined) return undefined;
    try {
      return this.#reader.readText(file);
    } catch (thrown) {
      this.#fail(file, thrown);
      return undefined;
    }
  }

  /**
   * Reads counters by name; undefined when there is none. `before` is the last result of the same files: it is returned again when
   * nothing has changed.
   */
  counts(
    files: NamedFiles,
    { before, max }: { readonly before?: NumberMap | undefined; readonly max?: number } = {},
  ): NumberMap | undefined {
    const { names } = files;
    const values = this.#values;
    for (let index = 0; index < names.length; index += 1) values[index] = this.count(files.files[index], max);
    if (before !== undefined && isEqual(before, names, values)) return before;
    let counts: Record<string, number> | undefined;
    for (const [index, name] of names.entries()) {
      const value = values[index];
      if (value !== undefined) (counts ??= {})[name] = value;
    }
    return counts;
  }

  /** Links, pipes and folders in place of files: they are never opened, and each device has one failure for all of them. */
  irregular(paths: readonly string[]): void {
    const [path] = paths;
    if (path !== undefined) this.#record('source_malformed', `${this.#device}: ${this.#below(path)} is no regular file and is not read`);
  }

  malformed(file: NodeFile): undefined {
    this.#record('source_malformed', `${this.#device}: ${this.#relative(file)} has no value the driver would print`);
    return undefined;
  }

  /** Every counter ends with a line end: without one the read may have been cut short, unless a second read gives the same. */
  #lookTwice(file: NodeFile, length: number): number | bigint | undefined {
    const { buffer } = this.#reader;
    const first = buffer.toString('latin1', 0, length);
    if (!/^\d+$/.test(first)) return this.malformed(file);
    if (this.text(file) !== first) return this.malformed(file);
    buffer[length] = 10;
    return parseDecimalLine(buffer, length + 1) ?? this.malformed(file);
  }

  #fail(file: NodeFile, thrown: unknown): void {
    const errno = errnoName(thrown);
    if (errno !== undefined && GONE.has(errno)) this.gone = true;
    else this.#record(fileErrorCode(thrown), `${this.#device}: ${this.#relative(file)} cannot be read`, thrown);
  }

  #record(code: ErrorCode, message: string, cause?: unknown): void {
    if (!this.#failed.has(code)) this.#failed.set(code, new AgentError(code, 'sysfs', message, { cause }));
  }

  #relative(file: NodeFile): string {
    return this.#below(file.path);
  }

  /** Returns the path below the device's directory. */
  #below(path: string): string {
    return path.slice(path.indexOf(`/${this.#device}/`) + this.#device.length + 2);
  }
}

function isEqual(before: NumberMap, names: readonly string[], values: readonly (number | undefined)[]): boolean {
  for (let index = 0; index < names.length; index += 1) if (before[names[index] ?? ''] !== values[index]) return false;
  return true;
}
