/** Where two long texts part, with a little of each; `undefined` when they are the same. */
export function firstDifference(actual: string, expected: string): { readonly actual: string; readonly expected: string } | undefined {
  if (actual === expected) return undefined;
  let at = 0;
  while (at < expected.length && actual[at] === expected[at]) at += 1;
  const from = Math.max(0, at - 40);
  return { actual: actual.slice(from, at + 80), expected: expected.slice(from, at + 80) };
}
