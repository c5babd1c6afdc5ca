/** What a reader of text gives back: the value, or why there is none, as the end of a sentence that begins with the text. */
export type Parsed<T> = { readonly ok: true; readonly value: T } | { readonly ok: false; readonly reason: string };
