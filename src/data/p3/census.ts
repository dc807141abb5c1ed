import type { Notices } from '../../util/notices.js';
import { fnv1a32 } from '../../util/hash.js';
import { NOTICED } from '../noticed.js';
import type { P3Template } from './format.js';

/** Notices of rows that are there twice, and of templates that no row shows; in 16 bytes a row of one dataset. */
export class P3Census {
  private readonly shown = new Set<string>();
  private rows = new HashSet();
  private dataset: string | undefined;

  constructor(
    private readonly templates: ReadonlyMap<string, P3Template>,
    private readonly notices: Notices | undefined,
  ) {}

  /** Takes note of examples, those of a dataset one after another. */
  see(examples: readonly { id: string; task: string }[]): void {
    if (!this.notices) return;
    for (const { id, task } of examples) {
      const dataset = this.templates.get(task)?.dataset;
      if (dataset !== this.dataset) {
        this.rows = new HashSet();
        this.dataset = dataset;
      }
      this.shown.add(task);
      if (!this.rows.add(fnv1a32(id), fnv1a32(`again ${id}`))) this.notices.add(NOTICED.rows, id);
    }
  }

  /** Takes note of the tasks that were to be shown and were not. */
  end(wanted: Iterable<string>): void {
    for (const task of wanted) if (!this.shown.has(task)) this.notices?.add(NOTICED.noRows, task);
  }
}

/** Pairs of hashes, without what they are of. */
class HashSet {
  private slots = new Uint32Array(2 * 1024);
  private size = 0;

  /** @returns whether it was not there */
  add(a: number, b: number): boolean {
    // A pair of zeros means a free slot.
    const first = a === 0 && b === 0 ? 1 : a >>> 0;
    const at = this.find(first, b >>> 0);
    if (this.slots[at] !== 0 || this.slots[at + 1] !== 0) return false;
    this.slots[at] = first;
    this.slots[at + 1] = b;
    if (4 * ++this.size > this.slots.length) this.grow();
    return true;
  }

  private find(a: number, b: number): number {
    const last = this.slots.length - 2;
    let at = (2 * (a ^ (b >>> 7))) & last;
    while (
      (this.slots[at] !== 0 || this.slots[at + 1] !== 0) &&
      (this.slots[at] !== a || this.slots[at + 1] !== b)
    )
      at = (at + 2) & last;
    return at;
  }

  private grow(): void {
    const before = this.slots;
    this.slots = new Uint32Array(2 * before.length);
    for (let i = 0; i < before.length; i += 2) {
      const [a, b] = [before[i] as number, before[i + 1] as number];
      if (a === 0 && b === 0) continue;
      const at = this.find(a, b);
      this.slots[at] = a;
      this.slots[at + 1] = b;
    }
  }
}
