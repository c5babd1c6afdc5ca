import { readFileSync, writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { DEFINITION } from '../cli/config.ts';
import { jsonSchema } from '../config/json-schema.ts';
import { withKeyReference } from '../config/key-reference.ts';

/** Writes the published JSON Schema and the key reference in docs/configuration.md; with `--check` only says whether they are fresh. */
function main(): void {
  const check = process.argv.includes('--check');
  const files = [
    { path: pathOf('config/neuron-otel.schema.json'), fresh: () => `${JSON.stringify(jsonSchema(DEFINITION), undefined, 2)}\n` },
    { path: pathOf('docs/configuration.md'), fresh: (text: string) => withKeyReference(text, DEFINITION) },
  ];
  for (const { path, fresh } of files) {
    const current = textOf(path);
    const wanted = fresh(current);
    if (current === wanted) continue;
    if (check) {
      console.error(`${path} is stale: run node scripts/config-schema.ts`);
      process.exitCode = 1;
    } else {
      writeFileSync(path, wanted);
      console.log(`wrote ${path}`);
    }
  }
}

function pathOf(relative: string): string {
  return fileURLToPath(new URL(`../${relative}`, import.meta.url));
}

function textOf(path: string): string {
  try {
    return readFileSync(path, 'utf8');
  } catch (thrown) {
    if (thrown instanceof Error && 'code' in thrown && thrown.code === 'ENOENT') return '';
    throw thrown;
  }
}

main();
