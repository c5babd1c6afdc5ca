import type { ExporterEntry } from '../exporters/index.ts';
import type { Exporter } from '../src/exporter.ts';
import { Secret } from '../src/secret.ts';

/** `ExporterPool` keeps the exporters in use by their settings, so that a reload creates only those that changed. */
export class ExporterPool {
  readonly #create: (entry: ExporterEntry) => Promise<Exporter>;
  readonly #inUse: { readonly entry: ExporterEntry; readonly exporter: Exporter }[] = [];

  constructor(create: (entry: ExporterEntry) => Promise<Exporter>) {
    this.#create = create;
  }

  /**
   * Forgets the exporters that are not among the entries, and returns the others. The forgotten ones are the agent's to dispose. There is
   * one stdout with one listener for its end: its exporter stays, used or not.
   */
  keep(entries: readonly ExporterEntry[]): readonly Exporter[] {
    const kept = this.#inUse.filter(({ entry }) => entry.type === 'json_stdout' || entries.some((one) => isSame(one, entry)));
    this.#inUse.splice(0, Infinity, ...kept);
    return kept.map(({ exporter }) => exporter);
  }

  /** Returns one exporter for each entry, in their order. */
  async take(entries: readonly ExporterEntry[]): Promise<readonly Exporter[]> {
    return await Promise.all(
      entries.map(async (entry) => {
        const known = this.#inUse.find((one) => isSame(one.entry, entry));
        if (known !== undefined) return known.exporter;
        const exporter = await this.#create(entry);
        this.#inUse.push({ entry, exporter });
        return exporter;
      }),
    );
  }
}

/** Compares plain data; secrets by what they hold. */
export function isSame(a: unknown, b: unknown): boolean {
  return fingerprint(a) === fingerprint(b);
}

function fingerprint(value: unknown): string {
  if (value instanceof Secret) return `secret ${JSON.stringify(value.reveal())}`;
  if (Array.isArray(value)) return `[${value.map((item) => fingerprint(item)).join()}]`;
  if (typeof value !== 'object' || value === null) return JSON.stringify(value) ?? 'undefined';
  const members = Object.entries(value).map(([name, member]) => `${JSON.stringify(name)}:${fingerprint(member)}`);
  return `{${members.toSorted().join()}}`;
}
