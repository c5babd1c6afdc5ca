/** `npm run bench -- NAME [ARGUMENTS]` runs `bench/NAME.ts`; without a name it lists them. */
import { readFileSync, readdirSync } from 'node:fs';
import { join, resolve } from 'node:path';

const folder = resolve(import.meta.dirname, '../bench');
const [name, ...args] = process.argv.slice(2);
const names = benchmarks();

if (name === undefined) {
  console.log(`npm run bench -- NAME, where NAME is one of: ${names.join(', ')}`);
} else if (names.includes(name)) {
  const benchmark = await load(name);
  await benchmark.run(args);
} else {
  console.error(`bench: no benchmark "${name}"; there are: ${names.join(', ')}`);
  process.exitCode = 2;
}

/** Files of `bench/` that export `run`; the others are their parts. */
function benchmarks(): string[] {
  return readdirSync(folder)
    .filter((file) => file.endsWith('.ts') && /^export (?:async )?function run\(/m.test(readFileSync(join(folder, file), 'utf8')))
    .map((file) => file.slice(0, -'.ts'.length))
    .toSorted();
}

async function load(file: string): Promise<{ run(args: readonly string[]): Promise<void> | void }> {
  return (await import(join(folder, `${file}.ts`))) as { run(args: readonly string[]): Promise<void> | void };
}
