import { shown } from './shown.js';

/** A remark about data that a person should see and that is no error. */
export interface Notice {
  /** What was found, in the plural: `empty files`. */
  readonly what: string;
  /** How often it was met, in all places. */
  readonly count: number;
  /** The first places where it was found. */
  readonly places: readonly string[];
}

// Places that a notice names; a person looks at the first few.
const MOST_PLACES = 3;
// Kinds of notices come from code, but their number must not grow with what a caller adds.
const MOST_KINDS = 1000;

/** Collects remarks while data are read: each kind once, with its count and its first places. */
export class Notices {
  private readonly found = new Map<string, { count: number; places: string[] }>();
  private readonly once = new Set<string>();

  /**
   * Counts one more of a kind, and keeps the first places.
   *
   * @param what see {@link Notice} @param place file, line, name or id @param count how often it was met there
   */
  add(what: string, place: string, count = 1): void {
    const known = this.found.get(what);
    if (known) {
      known.count += count;
      if (known.places.length < MOST_PLACES && !known.places.includes(place)) known.places.push(place);
    } else if (this.found.size < MOST_KINDS) this.found.set(what, { count, places: [place] });
  }

  /** {@link add}, but counts each place once, such as a file that is read in every pass. */
  addOnce(what: string, place: string): void {
    const key = `${what}\n${place}`;
    if (this.once.has(key)) return;
    this.once.add(key);
    this.add(what, place);
  }

  /** Adds the notices of another collection, such as a worker thread's. */
  addAll(notices: Iterable<Notice>): void {
    for (const { what, count, places } of notices) {
      const [first = ''] = places;
      this.add(what, first, count);
      for (const place of places.slice(1)) this.add(what, place, 0);
    }
  }

  /** In the order in which their kinds were met. */
  get list(): Notice[] {
    return Array.from(this.found, ([what, { count, places }]) => ({ what, count, places: [...places] }));
  }
}

/** A notice as one line: what was met, how often, and where. */
export function describeNotice({ what, count, places }: Notice): string {
  const where = places
    .filter((place) => place !== '')
    .map(shown)
    .join('; ');
  const more = count > places.length ? '; …' : '';
  return `${what}: ${count}${where === '' ? '' : ` (${where}${more})`}`;
}
