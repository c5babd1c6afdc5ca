import { DataPointType } from '@opentelemetry/sdk-metrics';
import type { MetricData } from '@opentelemetry/sdk-metrics';
import type { Instrument } from '../../src/metric-table.ts';
import { PROMETHEUS_DEFAULTS } from './settings.ts';
import type { TranslationStrategy } from './settings.ts';

export const DEFAULT_STRATEGY: TranslationStrategy = PROMETHEUS_DEFAULTS.translation_strategy;

/** The facts that a name follows from; a `MetricDefinition` is one. */
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

/** Unit as a word, as names and OpenMetrics' `# UNIT` have it; empty when there is none. */
export function unitWord(unit: string): string {
  return unitSuffixes(unit)
    .filter((word) => word !== '')
    .join('_');
}

/** The instrument behind any SDK metric. */
export function instrumentOf(metric: MetricData): Instrument {
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

/** Schemes that a scraper may ask for in `Accept: …;escaping=`, as Prometheus spells them. */
export const ESCAPING_SCHEMES = ['underscores', 'dots', 'values', 'allow-utf-8'] as const;

export type EscapingScheme = (typeof ESCAPING_SCHEMES)[number];

const LEGACY_METRIC_NAME = /^[a-zA-Z_:][a-zA-Z0-9_:]*$/;
const LEGACY_LABEL_NAME = /^[a-zA-Z_][a-zA-Z0-9_]*$/;

export function isLegacyMetricName(name: string): boolean {
  return LEGACY_METRIC_NAME.test(name);
}

export function isLegacyLabelName(name: string): boolean {
  return LEGACY_LABEL_NAME.test(name);
}

/** Rewrites a name that may hold any UTF-8 into what the scraper asked for; the schemes of prometheus/common `model.EscapeName`. */
export function escapeName(name: string, scheme: EscapingScheme): string {
  switch (scheme) {
    case 'allow-utf-8':
      return name;
    case 'underscores':
      return mapRunes(name, () => '_');
    case 'dots':
      return mapRunes(name, (rune) => (rune === '.' ? '_dot_' : '__'), '__');
    case 'values':
      if (isLegacyMetricName(name)) return name;
      return `U__${mapRunes(name, (rune) => `_${hexOf(rune)}_`, '__')}`;
  }
}

/** Replaces what a legacy name cannot hold, and underscores where the scheme escapes them too. */
function mapRunes(name: string, replace: (rune: string) => string, underscore = '_'): string {
  let escaped = '';
  let index = 0;
  for (const rune of name) {
    if (rune === '_') escaped += underscore;
    else if (/[a-zA-Z:]/.test(rune) || (index > 0 && /\d/.test(rune))) escaped += rune;
    else escaped += replace(rune);
    index += 1;
  }
  return escaped;
}

function hexOf(rune: string): string {
  return rune.isWellFormed() ? (rune.codePointAt(0) ?? 0xfffd).toString(16) : 'FFFD';
}
