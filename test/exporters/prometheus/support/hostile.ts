/** What a workload may put into a tag, a model's name or a pod's name. */
export function hostileValues(): readonly (readonly [name: string, value: string])[] {
  return [
    ['quotes', 'a"b""c"'],
    ['backslashes', String.raw`\a\\b\n\"`],
    ['a backslash at the end', 'end\\'],
    ['line ends', 'a\nb\r\nc\u2028d'],
    ['NUL', 'a\u0000b'],
    ['ANSI escapes', '\u001b[31mred\u001b[0m'],
    ['right-to-left marks', 'abc\u202edef\u200f'],
    ['braces and commas', 'a="b"} 1\n# TYPE x gauge\nx{a="b",c="'],
    ['emoji', '🔥 training 火'],
    ['a lone surrogate', 'a\ud800b'],
    ['a megabyte', 'm"\n\\é'.repeat(200_000)],
    ['nothing', ''],
  ];
}
