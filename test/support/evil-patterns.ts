/** What takes exponential time in a backtracking engine, or exponential memory in one that builds automata; ever harder with `depth`. */
const FAMILIES: readonly ((depth: number) => string)[] = [
  (depth) => `${nested('a+', depth, '+')}$`,
  (depth) => `${nested('a|aa', depth, '+')}$`,
  (depth) => `${nested('a*', depth, '*')}b`,
  (depth) => `${nested('.*', depth, '*')}=`,
  (depth) => `^${nested('[a-z]+', depth, '*')}\\d$`,
  (depth) => `${nested('x+x+', depth, '+')}y`,
  (depth) => `^${'a?'.repeat(depth * 4)}${'a'.repeat(depth * 4)}$`,
  (depth) => `[ab]*a[ab]{${depth}}!`,
];

/** Two hundred of them. */
export const EVIL_PATTERNS: readonly string[] = Array.from({ length: 25 }, (_, index) =>
  FAMILIES.map((family) => family(index + 1)),
).flat();

/** Tags as long as the documentation allows them to be. */
export const HOSTILE_TAGS: readonly string[] = ['a'.repeat(255), `${'a'.repeat(254)}!`, 'x'.repeat(255), scrambled(255)];

function nested(inner: string, depth: number, quantifier: '+' | '*'): string {
  return `${'('.repeat(depth)}${inner}${`)${quantifier}`.repeat(depth)}`;
}

/** The letters a and b in no order. */
function scrambled(length: number): string {
  let state = 1;
  return Array.from({ length }, () => {
    state = (state * 48_271) % 2_147_483_647;
    return state % 2 === 0 ? 'a' : 'b';
  }).join('');
}
