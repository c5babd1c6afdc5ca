/**
 * What the child may know of our environment. PATH and HOME, so that neuron-monitor finds the aws command line tools, which it uses
 * for the instance's name; Go's own switches; which region and metadata service to ask; Neuron's own settings (logical core config).
 * Credentials and proxies stay here: the child needs the instance's role at most, and the metadata service answers no proxy.
 */
const NAMES: ReadonlySet<string> = new Set([
  'PATH',
  'HOME',
  'LANG',
  'LC_ALL',
  'TZ',
  'TMPDIR',
  'GOMEMLIMIT',
  'GOGC',
  'GOMAXPROCS',
  'GODEBUG',
  'AWS_REGION',
  'AWS_DEFAULT_REGION',
  'AWS_EC2_METADATA_DISABLED',
  'AWS_EC2_METADATA_SERVICE_ENDPOINT',
  'AWS_EC2_METADATA_SERVICE_ENDPOINT_MODE',
]);
const NEURON_PREFIX = 'NEURON_';
const OWN_PREFIX = 'NEURON_OTEL_';

export function childEnv(env: Readonly<Record<string, string | undefined>>): Record<string, string> {
  const kept: Record<string, string> = {};
  for (const [name, value] of Object.entries(env)) {
    const passes = NAMES.has(name) || (name.startsWith(NEURON_PREFIX) && !name.startsWith(OWN_PREFIX));
    if (passes && value !== undefined) kept[name] = value;
  }
  return kept;
}
