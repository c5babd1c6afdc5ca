import { readFileSync, readdirSync } from 'node:fs';
import { join } from 'node:path';

/** Licences under which a package may be part of what ships. */
const PERMISSIVE: ReadonlySet<string> = new Set([
  'Apache-2.0',
  'MIT',
  'ISC',
  'BSD-2-Clause',
  'BSD-3-Clause',
  '0BSD',
  'BlueOak-1.0.0',
  'Unlicense',
]);

interface BundledPackage {
  readonly name: string;
  readonly version: string;
  readonly licence: string;
  /** Texts of the licence and notice files the package brings. */
  readonly texts: readonly string[];
}

/**
 * One text with name, version and licence of every package of the bundle, then the licence texts and the comments that must be kept.
 * `folders` are relative to `root`. Throws when a package's licence is unknown or not permissive.
 */
export function thirdPartyLicences(
  folders: ReadonlySet<string>,
  options: { readonly root: string; readonly legalComments: string },
): string {
  const packages = [...folders].map((folder) => readPackage(join(options.root, folder))).toSorted((a, b) => (a.name < b.name ? -1 : 1));
  const refused = packages.filter(({ licence }) => !PERMISSIVE.has(licence));
  if (refused.length > 0) throw new Error(`not permissive: ${refused.map(({ name, licence }) => `${name} (${licence})`).join(', ')}`);

  const list = packages.map(({ name, version, licence }) => `  ${name} ${version}: ${licence}`).join('\n');
  const sections = [...packagesByText(packages)].map(([text, names]) => `${names.join(', ')}\n\n${text}`);
  if (options.legalComments.trim() !== '') sections.push(`Comments kept from the sources\n\n${options.legalComments.trim()}`);
  const rule = '-'.repeat(80);
  return `Packages contained in the files of this folder:\n\n${list}\n\n${sections.map((section) => `${rule}\n${section.trimEnd()}\n`).join('\n')}`;
}

/** Many packages bring the same text: it is printed once. */
function packagesByText(packages: readonly BundledPackage[]): ReadonlyMap<string, readonly string[]> {
  const byText = new Map<string, string[]>();
  for (const { name, texts } of packages) {
    for (const text of texts) byText.set(text, [...(byText.get(text) ?? []), name]);
  }
  return byText;
}

function readPackage(folder: string): BundledPackage {
  const manifest: unknown = JSON.parse(readFileSync(join(folder, 'package.json'), 'utf8'));
  const texts = readdirSync(folder)
    .filter((file) => /^(licen[cs]e|copying|notice)(\.|-|$)/i.test(file))
    .toSorted()
    .map((file) => readFileSync(join(folder, file), 'utf8').replaceAll('\r\n', '\n').trim());
  return { name: member(manifest, 'name'), version: member(manifest, 'version'), licence: member(manifest, 'license'), texts };
}

function member(manifest: unknown, key: string): string {
  if (typeof manifest !== 'object' || manifest === null || !(key in manifest)) return 'unknown';
  const value: unknown = Reflect.get(manifest, key);
  return typeof value === 'string' ? value : 'unknown';
}
