import { isUtf8 } from 'node:buffer';
import { AgentError } from '../../src/errors.ts';
import type { SourceFailure } from '../../src/source.ts';
import { isJsonObject } from './fields.ts';
import type { JsonObject } from './fields.ts';

/** Top-level members of a report, in the order neuron-monitor prints them. A line with none of them is no report. */
const TOP_LEVEL = ['neuron_runtime_data', 'system_data', 'instance_info', 'neuron_hardware_info', 'neuron_k8s_info'] as const;

export type ParsedLine =
  | { readonly outcome: 'document'; readonly document: JsonObject; readonly failures: readonly SourceFailure[] }
  | { readonly outcome: 'malformed'; readonly error: AgentError };

/**
 * One line of the stream as a JSON document, or the reason why it is none: not UTF-8, not JSON, not a report.
 * Members named `__proto__` are removed and counted: no later copy of the document can change a prototype.
 */
export function parseLine(bytes: Uint8Array): ParsedLine {
  if (!isUtf8(bytes)) return malformed('line is not UTF-8');
  const text = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString('utf8');
  let document: unknown;
  try {
    document = JSON.parse(text);
  } catch (thrown) {
    return malformed('line is not JSON', thrown);
  }
  if (!isJsonObject(document)) return malformed('line is not a JSON object');
  const report = document;
  if (!TOP_LEVEL.some((member) => Object.hasOwn(report, member))) return malformed('line is not a neuron-monitor report');
  const removed = mayNamePrototype(text) ? removePrototypeMembers(report) : 0;
  return { outcome: 'document', document: report, failures: removed === 0 ? [] : [prototypeFailure()] };
}

/** The message is constant, so that a stream of bad lines is one log entry; the parser's words are the cause. */
function malformed(message: string, cause?: unknown): ParsedLine {
  const error = new AgentError('source_malformed', 'neuron-monitor', message, cause === undefined ? undefined : { cause });
  return { outcome: 'malformed', error };
}

function prototypeFailure(): SourceFailure {
  return { error: new AgentError('source_malformed', 'neuron-monitor', 'members named __proto__ were left out') };
}

/** `_` can be written `\u005f` in JSON. */
function mayNamePrototype(text: string): boolean {
  return text.includes('__proto__') || text.includes('\\u005f') || text.includes('\\u005F');
}

/** With a stack of its own: JSON may nest deeper than calls can. */
function removePrototypeMembers(document: object): number {
  let removed = 0;
  const open: object[] = [document];
  for (let value = open.pop(); value !== undefined; value = open.pop()) {
    if (Object.hasOwn(value, '__proto__')) {
      Reflect.deleteProperty(value, '__proto__');
      removed += 1;
    }
    for (const inner of Object.values(value)) if (typeof inner === 'object' && inner !== null) open.push(inner);
  }
  return removed;
}
