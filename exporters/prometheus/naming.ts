import { DataPointType } from '@opentelemetry/sdk-metrics';
import type { MetricData } from '@opentelemetry/sdk-metrics';
import type { Instrument } from '../../src/metric-table.ts';
import { PROMETHEUS_DEFAULTS } from './settings.ts';
import type { TranslationStrategy } from './settings.ts';

export const DEFAULT_STRATEGY: TranslationStrategy = PROMETHEUS_DEFAULTS.translation_strategy;

/** What a name depends on; a `MetricDefinition` is one. */
export interface MetricIdentity {
  readonly name: string;
  /** UCUM. */
  readonly unit: string;
  readonly instrument: Instrument;
}

const UNIT_WORDS: ReadonlyMap<string, string> = new Map([
  ['d', 'days'],
  ['h', 'hours'],
  ['min', 'minutes'],
  ['s', 'seconds'],
  ['ms', 'milliseconds'],
  ['us', 'microseconds'],
  ['ns', 'nanoseconds'],
  ['By', 'bytes'],
  ['KiBy', 'kibibytes'],
  ['MiBy', 'mebibytes'],
  ['GiBy', 'gibibytes'],
  ['TiBy', 'tibibytes'],
  ['KBy', 'kilobytes'],
  ['MBy', 'megabytes'],
  ['GBy', 'gigabytes'],
  ['TBy', 'terabytes'],
  ['m', 'meters'],
  ['V', 'volts'],
  ['A', 'amperes'],
  ['J', 'joules'],
  ['W', 'watts'],
  ['g', 'grams'],
  ['Cel', 'celsius'],
  ['Hz', 'hertz'],
  ['1', ''],
  ['%', 'percent'],
]);

const PER_UNIT_WORDS: ReadonlyMap<string, string> = new Map([
  ['s', 'second'],
  ['m', 'minute'],
  ['h', 'hour'],
  ['d', 'day'],
  ['w', 'week'],
  ['mo', 'month'],
  ['y', 'year'],
]);

/** Endings that Prometheus reserves for the series of histograms and summaries; `promtool check metrics` refuses them elsewhere. */
const RESERVED_ENDINGS: ReadonlySet<string> = new Set(['count', 'sum', 'bucket']);

/**
 * Name of a metric on the page, by the rules of prometheus/otlptranslator. One rule is added for the default strategy: a metric
 * that is no histogram and would end in `_count`, `_sum` or `_bucket` also gets its counted thing as a suffix
 * (`neuron.device.count` in `{device}` → `neuron_device_count_devices`).
 */
export function prometheusName(metric: MetricIdentity, strategy: TranslationStrategy = DEFAULT_STRATEGY): string {
  switch (strategy) {
    case 'UnderscoreEscapingWithSuffixes':
      return fromTokens(suffixedTokens(metric));
    case 'UnderscoreEscapingWithoutSuffixes':
      return fromTokens(tokensOf(metric.name));
    case 'NoUTF8EscapingWithSuffixes':
      return suffixedName(metric);
    case 'NoTranslation':
      return metric.name;
  }
}

/** Name of a label on the page. */
export function prometheusLabelName(attribute: string, strategy: TranslationStrategy = DEFAULT_STRATEGY): string {
  if (!escapesNames(strategy)) return attribute;
  const name = attribute.replaceAll(/[^a-zA-Z0-9]+/g, '_');
  return /^\d/.test(name) ? `key_${name}` : name;
}

/** False when names keep characters such as dots, which only newer scrapers accept. */
export function escapesNames(strategy: TranslationStrategy): boolean {
  return strategy === 'UnderscoreEscapingWithSuffixes' || strategy === 'UnderscoreEscapingWithoutSuffixes';
}

/** Unit as a word, as it stands in names and in OpenMetrics' `# UNIT`; empty when there is none. */
export function unitWord(unit: string): string {
  return unitSuffixes(unit)
    .filter((word) => word !== '')
    .join('_');
}

/** Identity of any SDK metric. */
export function identityOf(metric: MetricData): MetricIdentity {
  const { name, unit } = metric.descriptor;
  return { name, unit, instrument: instrumentOf(metric) };
}

function instrumentOf(metric: MetricData): Instrument {
  switch (metric.dataPointType) {
    case DataPointType.GAUGE:
      return 'gauge';
    case DataPointType.SUM:
      return metric.isMonotonic ? 'counter' : 'up_down_counter';
    case DataPointType.HISTOGRAM:
    case DataPointType.EXPONENTIAL_HISTOGRAM:
      return 'histogram';
  }
}

function suffixedTokens({ name, unit, instrument }: MetricIdentity): readonly string[] {
  const tokens = tokensOf(name);
  for (const suffix of unitSuffixes(unit)) if (suffix !== '' && !tokens.includes(suffix)) tokens.push(suffix);
  const ending = typeSuffix(unit, instrument);
  if (ending !== '') return [...tokens.filter((token) => token !== ending), ending];
  if (instrument !== 'histogram' && RESERVED_ENDINGS.has(tokens.at(-1) ?? '')) tokens.push(countedThing(unit));
  return tokens;
}

function suffixedName({ name, unit, instrument }: MetricIdentity): string {
  const ending = typeSuffix(unit, instrument);
  const [main, per] = unitSuffixes(unit);
  let suffixed = trimEnding(trimEnding(name, ending), per);
  if (main !== '' && !suffixed.endsWith(main)) suffixed += `_${main}`;
  if (per !== '') suffixed += `_${per}`;
  return ending === '' ? suffixed : `${suffixed}_${ending}`;
}

/** Cuts an ending and the delimiter before it. */
function trimEnding(name: string, ending: string): string {
  return ending !== '' && name.endsWith(ending) && name.length > ending.length + 1 ? name.slice(0, -(ending.length + 1)) : name;
}

function typeSuffix(unit: string, instrument: Instrument): string {
  if (instrument === 'counter') return 'total';
  return instrument === 'gauge' && unit === '1' ? 'ratio' : '';
}

/** `By/s` → `bytes`, `per_second`; annotations in braces are dropped. */
function unitSuffixes(unit: string): readonly [string, string] {
  const [main = '', per = ''] = unit.split('/', 2).map((part) => part.trim());
  const perWord = wordOf(per, PER_UNIT_WORDS);
  return [wordOf(main, UNIT_WORDS), perWord === '' ? '' : `per_${perWord}`];
}

function wordOf(unit: string, words: ReadonlyMap<string, string>): string {
  if (unit === '' || /[{}]/.test(unit)) return '';
  return tokensOf(words.get(unit) ?? unit).join('_');
}

function countedThing(unit: string): string {
  const [thing = ''] = tokensOf(unit);
  if (thing === '' || !unit.startsWith('{')) return 'value';
  return thing.endsWith('s') ? thing : `${thing}s`;
}

function tokensOf(name: string): string[] {
  return name.split(/[^a-zA-Z0-9:]+/).filter((token) => token !== '');
}

function fromTokens(tokens: readonly string[]): string {
  const name = tokens.join('_');
  return /^\d/.test(name) ? `_${name}` : name;
}
