/** Place in the configuration file, counted from 1. */
export interface Position {
  readonly line: number;
  readonly column: number;
}

/** One thing that is wrong, or odd, and where: a path in the file, a flag (`--source`) or an environment variable. */
export interface ConfigProblem {
  /** A path such as `neuron_runtimes[0].metrics[2].period`, `--source` or `OTEL_EXPORTER_OTLP_TIMEOUT`; `(root)` for the whole file. */
  readonly path: string;
  readonly message: string;
  readonly line?: number;
  readonly column?: number;
}

/** Path of the whole document. */
export const ROOT = '(root)';

const MAX_PROBLEMS = 200;

/** Everything found so far. Keeps the first 200 problems and as many warnings. */
export class Problems {
  readonly #errors: ConfigProblem[] = [];
  readonly #warnings: ConfigProblem[] = [];

  error(path: string, message: string, at?: Position): void {
    keep(this.#errors, { path, message, ...at });
  }

  warn(path: string, message: string, at?: Position): void {
    keep(this.#warnings, { path, message, ...at });
  }

  /** In the order of the file; what has no place in it comes first. */
  get errors(): readonly ConfigProblem[] {
    return this.#errors.toSorted(byPosition);
  }

  get warnings(): readonly ConfigProblem[] {
    return this.#warnings.toSorted(byPosition);
  }
}

/** Path of a member: `a.b`, `a["odd key"]`. */
export function memberPath(parent: string, key: string): string {
  const name = clip(key);
  if (!/^[A-Za-z_][\w/-]*$/.test(name)) return `${parent === ROOT ? '' : parent}[${quote(key)}]`;
  return parent === ROOT ? name : `${parent}.${name}`;
}

export function itemPath(parent: string, index: number): string {
  return `${parent}[${index}]`;
}

/** A value of the user's as it may stand in a message: bounded. */
export function quote(value: unknown): string {
  const isNumber = typeof value === 'number';
  const text =
    typeof value === 'string' ? JSON.stringify(clip(value)) : isNumber ? String(value) : (JSON.stringify(value) ?? String(value));
  return text.length > 160 ? `${text.slice(0, 157)}...` : text;
}

/** One line for people: `config.json:3:14: neuron_runtimes[0].period: …`. */
export function formatProblem(problem: ConfigProblem, file?: string): string {
  const place = problem.line === undefined ? '' : `${file ?? 'config'}:${problem.line}:${problem.column ?? 1}: `;
  return `${place}${problem.path}: ${problem.message}`;
}

function keep(list: ConfigProblem[], problem: ConfigProblem): void {
  if (list.length < MAX_PROBLEMS) list.push({ ...problem, path: printable(problem.path), message: printable(problem.message) });
  else if (list.length === MAX_PROBLEMS) list.push({ path: ROOT, message: `there is more; only the first ${MAX_PROBLEMS} are listed` });
}

/** One line, without control characters and without what turns the direction of writing. */
function printable(text: string): string {
  // oxlint-disable-next-line no-control-regex
  return text.replaceAll(/[\u0000-\u001f\u007f-\u009f\u2028\u2029\u202a-\u202e\u2066-\u2069]/g, (character) => {
    return `\\u${character.charCodeAt(0).toString(16).padStart(4, '0')}`;
  });
}

function byPosition(a: ConfigProblem, b: ConfigProblem): number {
  return (a.line ?? 0) - (b.line ?? 0) || (a.column ?? 0) - (b.column ?? 0);
}

function clip(text: string): string {
  return text.length > 80 ? `${text.slice(0, 77)}...` : text;
}
