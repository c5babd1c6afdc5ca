/** What the environment of a Neuron process says about it. */
export interface NeuronEnvironment {
  /** `NEURON_PROCESS_TAG`, cut at 255 bytes as the Neuron runtime cuts it. */
  readonly tag?: string;
  /** Physical cores that form one logical core. */
  readonly logicalCoreConfig?: number;
}

/** `char tag[256]` of the Neuron runtime's public header nds/neuron_ds.h. */
const MAX_TAG_BYTES = 255;

/** AWS Neuron guide, Logical NeuronCore configuration; the second name is its older spelling. */
const LOGICAL_CORE_VARIABLES = ['NEURON_LOGICAL_NC_CONFIG', 'NEURON_RT_VIRTUAL_CORE_SIZE'];

/** Parses `/proc/<pid>/environ`: the variables the program was started with, not what it has set since. The last piece may be cut off. */
export function parseEnvironment(text: string): NeuronEnvironment {
  const end = text.lastIndexOf('\0');
  const variables = new Map<string, string>();
  for (const assignment of text.slice(0, Math.max(end, 0)).split('\0')) {
    const equals = assignment.indexOf('=');
    if (equals > 0 && assignment.startsWith('NEURON_')) variables.set(assignment.slice(0, equals), assignment.slice(equals + 1));
  }
  const tag = cutTag(variables.get('NEURON_PROCESS_TAG') ?? '');
  const logicalCoreConfig = LOGICAL_CORE_VARIABLES.map((name) => parseLogicalCoreConfig(variables.get(name))).find(
    (value) => value !== undefined,
  );
  return { ...(tag !== '' && { tag }), ...(logicalCoreConfig !== undefined && { logicalCoreConfig }) };
}

/** 1 or 2; undefined for anything else. */
export function parseLogicalCoreConfig(text: string | undefined): number | undefined {
  const trimmed = text?.trim();
  return trimmed === '1' || trimmed === '2' ? Number(trimmed) : undefined;
}

function cutTag(tag: string): string {
  const bytes = Buffer.from(tag, 'utf8');
  if (bytes.length <= MAX_TAG_BYTES) return tag;
  // A character that was cut in two decodes as U+FFFD.
  return bytes
    .subarray(0, MAX_TAG_BYTES)
    .toString('utf8')
    .replace(/\uFFFD+$/, '');
}
