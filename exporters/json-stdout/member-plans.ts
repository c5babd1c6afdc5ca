import type { JsonObject } from './json-object.ts';
import { JsonWriter } from './json-writer.ts';
import { ANY } from './shape.ts';
import type { Shape } from './shape.ts';

/** A member of an object, as far as its value does not matter. */
export interface PlannedMember {
  readonly name: string;
  /** `"name":` */
  readonly key: Uint8Array;
  readonly shape: Shape;
}

/** What to print of objects that have exactly these names in this order. */
interface Plan {
  readonly names: readonly string[];
  /** In the order in which they are printed. */
  readonly members: readonly PlannedMember[];
}

const ARRAY_INDEX = /^(?:0|[1-9]\d{0,9})$/;

/** Plans that begin with the same name: processes may differ in the names of their maps, such as the cores they use. */
const MAX_PLANS_OF_NAME = 16;
const MAX_KEPT_BYTES = 1024 * 1024;
/** About what a name costs besides its characters. */
const NAME_BYTES = 128;

/**
 * Order and key texts of members. Reports hold the same names again and again: what was found out for a sequence of names is kept, and all of
 * it is forgotten when so many names have come that a bound is reached.
 */
export class MemberPlans {
  /** By shape and first name. */
  readonly #plans = new Map<Shape, Map<string, Plan[]>>();
  #keptBytes = 0;

  /** The members of an object in the order in which they are printed. */
  of(object: JsonObject, shape: Shape): readonly PlannedMember[] {
    const known = this.#plans.get(shape)?.get(firstName(object));
    if (known !== undefined) for (const plan of known) if (hasNames(object, plan.names)) return plan.members;
    const plan = newPlan(Object.keys(object), shape);
    this.#keep(plan, shape);
    return plan.members;
  }

  #keep(plan: Plan, shape: Shape): void {
    const bytes = sizeOf(plan);
    if (bytes > MAX_KEPT_BYTES) return;
    if (this.#keptBytes + bytes > MAX_KEPT_BYTES) {
      this.#plans.clear();
      this.#keptBytes = 0;
    }
    this.#keptBytes += bytes;
    let ofShape = this.#plans.get(shape);
    if (ofShape === undefined) this.#plans.set(shape, (ofShape = new Map()));
    const [first = ''] = plan.names;
    const known = ofShape.get(first);
    if (known === undefined) ofShape.set(first, [plan]);
    else if (known.push(plan) > MAX_PLANS_OF_NAME) this.#forget(known.shift());
  }

  #forget(plan: Plan | undefined): void {
    if (plan !== undefined) this.#keptBytes -= sizeOf(plan);
  }
}

function firstName(object: JsonObject): string {
  for (const name in object) return name;
  return '';
}

/** A loop over the names makes no list of them. */
function hasNames(object: JsonObject, names: readonly string[]): boolean {
  let count = 0;
  for (const name in object) {
    if (names[count] !== name) return false;
    count += 1;
  }
  return count === names.length;
}

function newPlan(names: readonly string[], shape: Shape): Plan {
  const members = memberOrder(names, shape).map((name) => ({ name, key: keyOf(name), shape: memberShape(shape, name) }));
  return { names, members };
}

function sizeOf({ names }: Plan): number {
  let bytes = NAME_BYTES;
  for (const name of names) bytes += NAME_BYTES + name.length;
  return bytes;
}

function keyOf(name: string): Uint8Array {
  const writer = new JsonWriter(name.length + 3);
  writer.string(name);
  writer.byte(0x3a);
  return writer.bytes;
}

function memberShape(shape: Shape, name: string): Shape {
  if (shape.kind === 'map') return shape.of;
  return shape.kind === 'struct' ? (shape.members.get(name) ?? ANY) : ANY;
}

/** An unknown member keeps its place: it is the tool's order when the known ones around it are in order. */
function memberOrder(names: readonly string[], shape: Shape): readonly string[] {
  if (shape.kind === 'map') return names.toSorted();
  // JavaScript moves array indexes to the front whatever the text said; an object that has them is a map.
  if (shape.kind !== 'struct') return names.some((name) => ARRAY_INDEX.test(name)) ? names.toSorted() : names;
  return inOrder(names, shape.rank) ? names : ranked(names, shape.rank);
}

function inOrder(names: readonly string[], rank: ReadonlyMap<string, number>): boolean {
  let last = -1;
  for (const name of names) {
    const own = rank.get(name);
    if (own === undefined) continue;
    if (own < last) return false;
    last = own;
  }
  return true;
}

/** Known members in their order, the others after them. */
function ranked(names: readonly string[], rank: ReadonlyMap<string, number>): readonly string[] {
  return names.toSorted((a, b) => (rank.get(a) ?? rank.size) - (rank.get(b) ?? rank.size));
}
