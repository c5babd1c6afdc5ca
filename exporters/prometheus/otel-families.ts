import type { Family, FamilyType, HistogramSeries, NumberSeries } from './family.ts';
import type { PointSegment } from './point-segment.ts';

/** A family without its series. */
export type Heading = Omit<Family, 'series'>;

export type OtelSeries = NumberSeries | HistogramSeries;

/** What a metric adds to the page: one series for each of its points, in their order. */
export interface OtelMetric {
  readonly heading: Heading;
  readonly series: readonly OtelSeries[];
}

/** The points of one metric; nothing is known of a metric that is not for this page. */
export type OtelSegment = PointSegment<OtelMetric | undefined>;

/**
 * The families of the points of one collection, in the order of their first points. A family that consists of the same segments as
 * before stays the same object.
 */
export class OtelFamilies {
  shown: readonly Family[] = [];
  /** Names with two types, points with the same name and labels. */
  conflicts: readonly string[] = [];
  #known: ReadonlyMap<string, KnownFamily> = new Map();

  /** `first` stands before the families of the points. */
  assemble(segments: readonly OtelSegment[], first: Family | undefined): void {
    const known = new Map<string, KnownFamily>();
    const shown: Family[] = [];
    const conflicts: string[] = [];
    for (const draft of draftsOf(segments, first)) {
      const { name, type } = draft.heading;
      if (draft.otherTypes.size > 0) {
        // One name cannot have two types; the specification drops the metric.
        for (const other of draft.otherTypes) conflicts.push(`${name}: is ${type} and ${other}`);
        for (const segment of draft.segments) segment.direct([]);
        continue;
      }
      const assembled = this.#assembled(draft);
      known.set(name, assembled);
      shown.push(assembled.family);
      if (assembled.hasDuplicates) conflicts.push(`${name}: two points have the same labels`);
    }
    this.shown = shown;
    this.conflicts = conflicts;
    this.#known = known;
  }

  #assembled({ heading, segments, fixed }: FamilyDraft): KnownFamily {
    if (fixed !== undefined) return { family: fixed, segments, hasDuplicates: false };
    const before = this.#known.get(heading.name);
    return before !== undefined && haveSameItems(before.segments, segments) ? before : newFamily(heading, segments);
  }
}

interface KnownFamily {
  readonly family: Family;
  readonly segments: readonly OtelSegment[];
  readonly hasDuplicates: boolean;
}

interface FamilyDraft {
  /** Of the first metric. */
  readonly heading: Heading;
  readonly segments: OtelSegment[];
  otherTypes: ReadonlySet<FamilyType>;
  /** Present for a family that does not come from points. */
  readonly fixed: Family | undefined;
}

const NO_TYPES: ReadonlySet<FamilyType> = new Set();

function draftsOf(segments: readonly OtelSegment[], first: Family | undefined): Iterable<FamilyDraft> {
  const drafts = new Map<string, FamilyDraft>();
  if (first !== undefined) drafts.set(first.name, { heading: first, segments: [], otherTypes: NO_TYPES, fixed: first });
  for (const segment of segments) {
    const { known } = segment;
    if (known === undefined || known.series.length === 0) continue;
    const { heading } = known;
    let draft = drafts.get(heading.name);
    if (draft === undefined) drafts.set(heading.name, (draft = { heading, segments: [], otherTypes: NO_TYPES, fixed: undefined }));
    draft.segments.push(segment);
    if (draft.heading.type !== heading.type) draft.otherTypes = new Set([...draft.otherTypes, heading.type]);
  }
  return drafts.values();
}

/** Of points with the same labels the first is shown. */
function newFamily(heading: Heading, segments: readonly OtelSegment[]): KnownFamily {
  const series: OtelSeries[] = [];
  const labelTexts = new Set<string>();
  let hasDuplicates = false;
  for (const segment of segments) {
    const own = segment.known?.series ?? [];
    const sinks = own.map((candidate) => (addOnce(labelTexts, candidate.labelText) ? candidate : undefined));
    const isComplete = !sinks.includes(undefined);
    segment.direct(isComplete ? own : sinks);
    for (const sink of sinks) if (sink !== undefined) series.push(sink);
    hasDuplicates ||= !isComplete;
  }
  return { family: { ...heading, series }, segments, hasDuplicates };
}

function addOnce(texts: Set<string>, text: string): boolean {
  if (texts.has(text)) return false;
  texts.add(text);
  return true;
}

function haveSameItems<T>(a: readonly T[], b: readonly T[]): boolean {
  return a.length === b.length && a.every((item, index) => item === b[index]);
}
