import { pino } from 'pino';
import type { DestinationStream } from 'pino';

/** Data of one log line. An error goes under `err`; never secrets, never a whole report. */
export type LogFields = Readonly<Record<string, unknown>>;

/** Constant message, data as fields. */
export interface Logger {
  debug(fields: LogFields, message: string): void;
  info(fields: LogFields, message: string): void;
  warn(fields: LogFields, message: string): void;
  error(fields: LogFields, message: string): void;
  child(bindings: LogFields): Logger;
}

export type LogFormat = 'text' | 'json';

/** Lowest level of pino that is written at each verbosity. */
const LOWEST_LEVELS = [Infinity, 50, 40, 30, 20] as const;

/** Verbosity and form are read for each line: whoever changes them changes the log of a running agent. */
export interface LoggerOptions {
  /** neuron-monitor's `--verbose` levels: 0 silent, 1 errors, 2 warnings, 3 state changes, 4 every cycle. */
  readonly verbosity: number;
  readonly format: LogFormat;
  /** Writes a line; to the process's stderr when absent. */
  readonly write?: (line: string) => void;
}

/** One line per event on stderr. pino does levels, child bindings and error serialization; the text form is ours. */
export function createLogger(options: LoggerOptions): Logger {
  const write = options.write ?? ((line: string) => process.stderr.write(line));
  const destination: DestinationStream = {
    write: (line: string) => {
      write(options.format === 'json' ? line : textLine(line));
    },
  };
  return pino(
    {
      level: 'debug',
      base: null,
      timestamp: () => `,"time":"${new Date().toISOString()}"`,
      formatters: { level: (label) => ({ level: label }) },
      hooks: {
        logMethod(line, method, level) {
          if (level >= (LOWEST_LEVELS[options.verbosity] ?? 0)) method.apply(this, line);
        },
      },
    },
    destination,
  );
}

export const silentLogger: Logger = {
  debug: () => {},
  info: () => {},
  warn: () => {},
  error: () => {},
  child: () => silentLogger,
};

function textLine(json: string): string {
  const { level, time, msg, component, err, ...fields } = JSON.parse(json) as Record<string, unknown>;
  const where = component === undefined ? '' : ` ${printable(component)}:`;
  const cause = err === undefined ? '' : ` (${errorText(err)})`;
  const data = Object.entries(fields)
    .map(([key, value]) => ` ${key}=${typeof value === 'string' && /^[\w./:@+-]+$/.test(value) ? value : JSON.stringify(value)}`)
    .join('');
  return `${String(time)} ${String(level)}${where} ${printable(msg)}${cause}${data}\n`;
}

function errorText(err: unknown): string {
  if (typeof err === 'object' && err !== null && 'message' in err) {
    const code = 'code' in err ? `${printable(err.code)}: ` : '';
    return `${code}${printable(err.message)}`;
  }
  return printable(err);
}

/** Control characters, ANSI escapes among them, never reach the terminal: messages can quote what a workload chose. */
function printable(value: unknown): string {
  return String(value).replace(/[\p{Cc}\u2028\u2029]/gu, (character) => `\\u${character.charCodeAt(0).toString(16).padStart(4, '0')}`);
}
