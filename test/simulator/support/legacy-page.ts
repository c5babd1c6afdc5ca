import { parsePage } from '../../exporters/prometheus/support/parse.ts';
import type { ExpectedPoint } from './expected-process.ts';
import { ownerKey } from './series.ts';
import type { ExpectedValue, MetricName, SeriesMap } from './series.ts';

/** `share` is a sum of several processes that is at most 1. */
type Fold = 'total' | 'sum' | 'share' | 'mean';

/** Families of the AWS script that the truth has an answer for. */
const FAMILIES = [
  'execution_status_total',
  'execution_errors_total',
  'neuron_runtime_memory_used_bytes',
  'neuroncore_memory_usage_constants',
  'neuroncore_memory_usage_model_code',
  'neuroncore_memory_usage_model_shared_scratchpad',
  'neuroncore_memory_usage_runtime_memory',
  'neuroncore_memory_usage_tensors',
  'neuroncore_utilization_ratio',
  'neuron_runtime_vcpu_usage_ratio',
  'hardware_ecc_events_total',
  'system_memory_total_bytes',
  'system_memory_used_bytes',
];

/** Labels that every series has. */
const INSTANCE_LABELS = ['availability_zone', 'instance_id', 'instance_name', 'instance_type', 'region', 'subnet_id'];

type Labels = Readonly<Record<string, string | number>>;

/** What a page in the names of neuron-monitor-prometheus.py says. */
export function seriesOfLegacyPage(page: string): SeriesMap {
  const series: SeriesMap = new Map();
  for (const { name, labels, value } of parsePage(page)) {
    if (!FAMILIES.includes(name)) continue;
    const own = Object.fromEntries(Object.entries(labels).filter(([label]) => !INSTANCE_LABELS.includes(label)));
    series.set(lineKey(name, own), Number(value));
  }
  return series;
}

/** What such a page has to say, scrape by scrape: processes with one tag are one. */
export class LegacyLedger {
  /** Line of a counter → contributor → what it had counted when it was last seen. */
  #counted = new Map<string, Map<string, number>>();

  scrape(points: readonly ExpectedPoint[]): ReadonlyMap<string, ExpectedValue> {
    const lines = Map.groupBy(
      points.flatMap((point) => linesOf(point).map((line) => ({ ...line, point }))),
      ({ key }) => key,
    );
    const before = this.#counted;
    this.#counted = new Map();
    const expected = new Map<string, ExpectedValue>();
    for (const [key, parts] of lines) {
      const fold = parts[0]?.fold;
      // While somebody carries a line on it keeps what others had counted.
      const contributors = new Map(fold === 'total' ? before.get(key) : undefined);
      for (const { point } of parts) contributors.set(ownerKey(point.owner), point.value);
      if (fold === 'total') this.#counted.set(key, contributors);
      const sum = [...contributors.values()].reduce((total, value) => total + value, 0);
      const tolerance = parts[0]?.point.tolerance;
      expected.set(key, { value: folded(fold, sum, contributors.size), ...(tolerance !== undefined && { tolerance }) });
    }
    return expected;
  }
}

function folded(fold: Fold | undefined, sum: number, contributors: number): number {
  if (fold === 'mean') return sum / contributors;
  return fold === 'share' && contributors > 1 ? Math.min(sum, 1) : sum;
}

function linesOf(point: ExpectedPoint): readonly { readonly key: string; readonly fold: Fold }[] {
  const line = LEGACY[point.metric]?.((attribute) => point.attributes[attribute] ?? '');
  if (line === undefined) return [];
  const [name, fold, labels] = line;
  const { owner } = point;
  return [{ key: lineKey(name, { ...labels, ...(owner !== undefined && { runtime_tag: owner.tag }) }), fold }];
}

type Legacy = readonly [name: string, fold: Fold, labels: Labels];

/** The script's name, labels and arithmetic. */
const LEGACY: Readonly<Partial<Record<MetricName, (of: (attribute: string) => string | number) => Legacy | undefined>>> = {
  'neuron.executions': (of) => ['execution_status_total', 'total', { status_type: of('neuron.execution.outcome') }],
  'neuron.execution.errors': (of) => ['execution_errors_total', 'total', { error_type: of('error.type') }],
  'neuron.runtime.memory.usage': (of) => {
    const location = of('neuron.memory.location');
    return ['neuron_runtime_memory_used_bytes', 'sum', { memory_location: location === 'device' ? 'neuron_device' : location }];
  },
  'neuron.core.memory.usage': (of) => {
    const labels = { memory_location: 'None', neuroncore: of('neuron.core.index') };
    return [`neuroncore_memory_usage_${of('neuron.memory.category')}`, 'sum', labels];
  },
  'neuron.core.utilization': (of) => ['neuroncore_utilization_ratio', 'share', { neuroncore: of('neuron.core.index') }],
  'process.cpu.utilization': (of) => ['neuron_runtime_vcpu_usage_ratio', 'mean', { usage_type: of('cpu.mode') }],
  'hw.errors': (of) => legacyErrors(String(of('hw.memory.type')), String(of('error.type')), of('neuron.device.index')),
  'system.memory.limit': () => ['system_memory_total_bytes', 'sum', {}],
  'system.memory.usage': (of) => (of('system.memory.state') === 'used' ? ['system_memory_used_bytes', 'sum', {}] : undefined),
};

/** The script does not know errors that a repair can mend. */
function legacyErrors(memoryType: string, errorType: string, device: string | number): Legacy | undefined {
  if (errorType === 'repairable_uncorrected') return undefined;
  const eventType = `${memoryType === 'SRAM' ? 'sram' : 'mem'}_ecc_${errorType}`;
  return ['hardware_ecc_events_total', 'total', { event_type: eventType, neuron_device_index: device }];
}

function lineKey(name: string, labels: Labels): string {
  const pairs = Object.entries(labels)
    .toSorted(([a], [b]) => (a < b ? -1 : 1))
    .map(([label, value]) => `${label}=${value}`);
  return `${name}{${pairs.join(',')}}`;
}
