/** Schemes a scraper may ask for in `Accept: …;escaping=`, as Prometheus spells them. */
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
