import type { SettingsReader } from '../src/settings.ts';
import type { DocumentNode, MapNode } from './document.ts';
import { isNull } from './document.ts';
import type { Environment } from './environment.ts';
import { itemPath, memberPath, quote } from './problems.ts';
import type { Position, Problems } from './problems.ts';
import type { ExporterConfig, ExporterConfigs, ExporterTypes } from './schema.ts';
import { SectionReader } from './section.ts';
import type { Flags } from './section.ts';
import { didYouMean } from './suggest.ts';

/** Flag that chooses among the exporters of the file: names or types; `none` for none. */
export const EXPORTER_FLAG = '--exporter';

const NAME_PATTERN = '[A-Za-z0-9_.-]{1,64}';

export interface ExporterContext {
  readonly environment: Environment;
  readonly flags: Flags;
  readonly problems: Problems;
  /** Exporters that are in use open the files that they will read. */
  readonly opensFiles: boolean;
}

/** An exporter as the file names it. */
interface Declared<Type extends string> {
  readonly id: string;
  readonly type: Type;
  readonly path: string;
  readonly node: MapNode | undefined;
  readonly at: Position | undefined;
}

interface ReadExporter<Exporters, Type extends keyof Exporters & string = keyof Exporters & string> {
  readonly config: ExporterConfigs<Exporters>[Type];
  readonly claims: readonly string[];
  readonly verify: () => void;
}

/** Regular expression of the ids of one type: `otlp`, `otlp/backup`; there is one stdout, so `json_stdout` takes no name. */
export function idPattern(type: string, isNamed: boolean): string {
  return isNamed ? `^${type}(/${NAME_PATTERN})?$` : `^${type}$`;
}

/** Reads `exporters`, a map or a list, and chooses among them. Exporters that are not chosen are checked all the same. */
export class ExportersReader<Exporters> {
  readonly #types: ExporterTypes<Exporters>;
  readonly #context: ExporterContext;

  constructor(types: ExporterTypes<Exporters>, context: ExporterContext) {
    this.#types = types;
    this.#context = context;
  }

  /** Flags count before `OTEL_METRICS_EXPORTER`, before the file; without any of them JSON lines go to stdout, as neuron-monitor's do. */
  read(node: DocumentNode | undefined): readonly ExporterConfig<Exporters>[] {
    const { environment, flags, problems } = this.#context;
    const declared = new Map<string, Declared<keyof Exporters & string>>();
    for (const exporter of node === undefined ? [] : this.#declarations(node)) {
      if (declared.has(exporter.id)) problems.error(exporter.path, `${quote(exporter.id)} is there twice`, exporter.at);
      else declared.set(exporter.id, exporter);
    }
    const chosen = this.#choose([...declared.values()], node !== undefined);
    const read = new Map<string, ReadExporter<Exporters>>();
    for (const exporter of new Set([...declared.values(), ...chosen])) read.set(exporter.id, this.#readOne(exporter.type, exporter));
    const effective = chosen.filter((exporter) => !environment.sdkDisabled || exporter.type === 'json_stdout');
    if (effective.length < chosen.length) problems.warn('OTEL_SDK_DISABLED', 'switches off every exporter but json_stdout');
    else if (effective.length === 0 && flags[EXPORTER_FLAG] === undefined && environment.exporters === undefined)
      problems.warn('exporters', 'is empty: nothing is exported', node?.at);
    const result = effective.flatMap((exporter) => read.get(exporter.id) ?? []);
    this.#refuseCollisions(result);
    if (this.#context.opensFiles) for (const { verify } of result) verify();
    return result.map(({ config }) => config);
  }

  #declarations(node: DocumentNode): readonly Declared<keyof Exporters & string>[] {
    const { problems } = this.#context;
    if (node.kind === 'map')
      return [...node.entries].flatMap(([id, body]) => this.#declare(id, body, memberPath('exporters', id), node.keyPositions.get(id)));
    if (node.kind === 'scalar') {
      if (node.value !== null) problems.error('exporters', 'is neither a map of exporters nor a list of their names', node.at);
      return [];
    }
    return node.items.flatMap((item, index) => {
      const path = itemPath('exporters', index);
      if (item?.kind === 'scalar' && typeof item.value === 'string') return this.#declare(item.value, undefined, path, item.at);
      if (item?.kind === 'map' && item.entries.size === 1)
        return [...item.entries].flatMap(([id, body]) => this.#declare(id, body, memberPath(path, id), item.keyPositions.get(id)));
      if (item !== undefined) problems.error(path, 'is neither the name of an exporter nor a map with one exporter', item.at);
      return [];
    });
  }

  #declare(id: string, body: DocumentNode | undefined, path: string, at: Position | undefined) {
    const { problems } = this.#context;
    const type = this.#typeOf(id);
    if (type === undefined) {
      problems.error(path, this.#unknown(id), at);
      return [];
    }
    if (body !== undefined && !isNull(body) && body.kind !== 'map') problems.error(path, 'is not a map', body.at);
    return [{ id, type, path, node: body?.kind === 'map' ? body : undefined, at }];
  }

  /** A type stands for the exporter of that name, else for all of that type, else for one with defaults. */
  #choose(declared: readonly Declared<keyof Exporters & string>[], isInFile: boolean): readonly Declared<keyof Exporters & string>[] {
    const { flags, environment, problems } = this.#context;
    const flag = flags[EXPORTER_FLAG];
    const names = Array.isArray(flag) ? flag.map(String) : environment.exporters;
    if (names === undefined) return isInFile ? declared : this.#withDefaults('json_stdout');
    const chosen = new Map<string, Declared<keyof Exporters & string>>();
    for (const name of names) {
      if (name === 'none' && names.length === 1) break;
      const exact = declared.filter(({ id }) => id === name);
      const ofType = declared.filter(({ type }) => type === name);
      const matches = exact.length > 0 ? exact : ofType.length > 0 ? ofType : this.#withDefaults(name);
      if (matches.length === 0)
        problems.error(EXPORTER_FLAG, this.#typeOf(name) === undefined ? this.#unknown(name) : `${quote(name)} is not in the file`);
      for (const match of matches) chosen.set(match.id, match);
    }
    return [...chosen.values()];
  }

  #withDefaults(name: string): readonly Declared<keyof Exporters & string>[] {
    const type = this.#isType(name) ? name : undefined;
    return type === undefined ? [] : [{ id: name, type, path: memberPath('exporters', name), node: undefined, at: undefined }];
  }

  #readOne<Type extends keyof Exporters & string>(type: Type, declared: Declared<string>): ReadExporter<Exporters, Type> {
    const { environment, flags, problems } = this.#context;
    const reader: SettingsReader = new SectionReader(declared.node, {
      path: declared.path,
      problems,
      environment,
      flags,
      isNamed: declared.id !== type,
    });
    const settings = this.#types[type].read(reader);
    const config: ExporterConfigs<Exporters>[Type] = { type, id: declared.id, settings };
    return { config, claims: this.#types[type].claims(settings), verify: () => this.#types[type].verify(settings, reader) };
  }

  /** Two exporters must not want the same address or the same folder. */
  #refuseCollisions(exporters: readonly ReadExporter<Exporters>[]): void {
    const owners = new Map<string, string>();
    for (const { config, claims } of exporters) {
      for (const claim of claims) {
        const owner = owners.get(claim);
        if (owner === undefined) owners.set(claim, config.id);
        else this.#context.problems.error(memberPath('exporters', config.id), `uses ${claim}, which is that of ${quote(owner)}`);
      }
    }
  }

  #typeOf(id: string): (keyof Exporters & string) | undefined {
    const [name = ''] = id.split('/', 1);
    return this.#isType(name) && new RegExp(idPattern(name, this.#types[name].isNamed)).test(id) ? name : undefined;
  }

  #isType(name: string): name is keyof Exporters & string {
    return Object.hasOwn(this.#types, name);
  }

  #unknown(id: string): string {
    const [name = ''] = id.split('/', 1);
    const types = Object.keys(this.#types).filter((type) => this.#isType(type));
    const kinds = types.map((type) => (this.#isType(type) && this.#types[type].isNamed ? `${type}[/NAME]` : type)).join(', ');
    return `${quote(id)} is not an exporter: ${kinds}${didYouMean(name, types)}`;
  }
}
