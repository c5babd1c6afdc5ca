import { absolutePath, boolean, choice, duration, text, url } from '../src/settings.ts';
import type { Parsed, Section, SettingsOf } from '../src/settings.ts';

const SECOND_MS = 1_000;
const DAY_MS = 24 * 3_600_000;

/** A source as `--source` and `source.spec` name it. */
export type SourceSpec =
  | { readonly kind: 'auto' }
  /** AWS's binary as a child process; without a path it is looked up. */
  | { readonly kind: 'neuron-monitor'; readonly path?: string }
  | { readonly kind: 'native' }
  | { readonly kind: 'stdin' }
  | { readonly kind: 'file'; readonly path: string }
  | { readonly kind: 'virtual'; readonly instanceType?: string };

const SPEC_PATTERN = '^(auto|native|-|neuron-monitor(:/[^\\u0000]+)?|file:[^\\u0000]+|virtual(:[a-z][a-z0-9-]{0,31}\\.[a-z0-9-]{1,31})?)$';

/** `source` of the configuration. */
export const SOURCE_SECTION = {
  spec: text({
    default: 'auto',
    flag: '--source',
    pattern: SPEC_PATTERN,
    values: ['auto', 'native', 'neuron-monitor', 'file', 'virtual'],
    expected: 'a source: auto, native, - (stdin), neuron-monitor[:PATH], file:PATH or virtual[:INSTANCE_TYPE]',
    refusal: (spec) => {
      const parsed = parseSourceSpec(spec);
      return parsed.ok ? undefined : parsed.reason;
    },
    doc: 'Where data come from: auto, native, - (a neuron-monitor stream on stdin), neuron-monitor[:PATH], file:PATH or virtual[:INSTANCE_TYPE].',
  }),
  speed: choice(['recorded', 'max'], {
    default: 'recorded',
    flag: '--speed',
    doc: 'Pace at which a recorded stream (file:PATH) is replayed.',
  }),
  procfs: choice(['auto', 'on', 'off'], {
    default: 'auto',
    doc: 'Whether the groups that /proc can serve are read from there: auto only where the chosen source does not serve them, on always, off never.',
  }),
  nds: {
    enabled: boolean({ default: false, doc: "Read per-process data from the driver's datastore. Not proven on hardware." }),
  },
  imds: {
    enabled: boolean({
      default: true,
      env: 'AWS_EC2_METADATA_DISABLED',
      envWords: { true: 'false', false: 'true' },
      doc: 'Ask the EC2 instance metadata service (IMDSv2) who this host is.',
    }),
    endpoint: url({
      default: 'http://169.254.169.254',
      env: 'AWS_EC2_METADATA_SERVICE_ENDPOINT',
      pattern: '^[Hh][Tt][Tt][Pp]://[^/?#@]',
      expected: 'a URL that begins with http://, as the metadata service is served',
      doc: 'Address of the instance metadata service.',
    }),
    budget: duration({
      default: SECOND_MS,
      min: 10,
      max: 60 * SECOND_MS,
      doc: 'Time that one round of questions to the instance metadata service may take.',
    }),
  },
  neuron_monitor: {
    path: absolutePath({
      default: null,
      doc: 'The neuron-monitor binary; looked up in PATH, then in /opt/aws/neuron/bin, when left out.',
    }),
    stall_after: duration({
      default: null,
      min: SECOND_MS,
      max: DAY_MS,
      doc: 'A neuron-monitor that says nothing for this long is started again; never when left out.',
    }),
  },
} satisfies Section;

export type SourceSettings = SettingsOf<typeof SOURCE_SECTION>;

/** Reads `auto`, `native`, `-`, `neuron-monitor[:PATH]`, `file:PATH` or `virtual[:INSTANCE_TYPE]`. */
export function parseSourceSpec(spec: string): Parsed<SourceSpec> {
  if (!new RegExp(SPEC_PATTERN).test(spec) || spec.length > 4096) return { ok: false, reason: reasonFor(spec) };
  const colon = spec.indexOf(':');
  const kind = colon < 0 ? spec : spec.slice(0, colon);
  const rest = colon < 0 ? undefined : spec.slice(colon + 1);
  switch (kind) {
    case 'native':
      return { ok: true, value: { kind } };
    case '-':
      return { ok: true, value: { kind: 'stdin' } };
    case 'neuron-monitor':
      return { ok: true, value: rest === undefined ? { kind } : { kind, path: rest } };
    case 'file':
      return { ok: true, value: { kind, path: rest ?? '' } };
    case 'virtual':
      return { ok: true, value: rest === undefined ? { kind } : { kind, instanceType: rest } };
    default:
      return { ok: true, value: { kind: 'auto' } };
  }
}

/** The source that checked settings name. */
export function sourceSpecOf({ spec }: Pick<SourceSettings, 'spec'>): SourceSpec {
  const parsed = parseSourceSpec(spec);
  return parsed.ok ? parsed.value : { kind: 'auto' };
}

function reasonFor(spec: string): string {
  if (/^(neuron-monitor|file|virtual):$/.test(spec)) return 'has nothing after the colon';
  if (spec === 'file') return 'names no file; write "file:PATH"';
  if (spec.startsWith('virtual:')) return 'does not name an instance type such as "virtual:trn2.48xlarge"';
  if (spec.startsWith('neuron-monitor:')) return 'does not name an absolute path; write "neuron-monitor:/PATH"';
  return 'is not a source: auto, native, - (stdin), neuron-monitor[:PATH], file:PATH or virtual[:INSTANCE_TYPE]';
}
