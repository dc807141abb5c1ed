/** A trie over UTF-16 code units in one open-addressing hash table: (node, unit) → node. */
export class CodeUnitTrie {
  private readonly mask: number;
  private readonly parent: Int32Array;
  private readonly unit: Uint16Array;
  private readonly child: Int32Array;
  private readonly values: Int32Array;
  private nodes = 1;

  /** @param units upper bound of the number of nodes */
  constructor(units: number) {
    const size = 2 ** Math.ceil(Math.log2(2 * units + 1));
    this.mask = size - 1;
    this.parent = new Int32Array(size).fill(-1);
    this.unit = new Uint16Array(size);
    this.child = new Int32Array(size);
    this.values = new Int32Array(units).fill(-1);
  }

  /** A trie of texts and what they stand for; of equal texts the last counts. */
  static of(entries: readonly (readonly [string, number])[]): CodeUnitTrie {
    let units = 1;
    for (const [text] of entries) units += text.length;
    const trie = new CodeUnitTrie(units);
    for (const [text, value] of entries) if (text.length > 0) trie.add(text, value);
    return trie;
  }

  add(key: string, value: number): void {
    let node = 0;
    for (let i = 0; i < key.length; i++) {
      const slot = this.slot(node, key.charCodeAt(i));
      if (this.parent[slot]! < 0) {
        this.parent[slot] = node;
        this.unit[slot] = key.charCodeAt(i);
        this.child[slot] = this.nodes++;
      }
      node = this.child[slot]!;
    }
    this.values[node] = value;
  }

  /** The child of `node` along `unit`, or −1. */
  step(node: number, unit: number): number {
    const slot = this.slot(node, unit);
    return this.parent[slot]! < 0 ? -1 : this.child[slot]!;
  }

  /** The id of the piece that ends at `node`, or −1. */
  value(node: number): number {
    return this.values[node]!;
  }

  private slot(node: number, unit: number): number {
    let slot = (Math.imul(node, 0x9e3779b1) ^ Math.imul(unit, 0x85ebca6b)) >>> 0;
    for (slot = (slot ^ (slot >>> 15)) & this.mask; ; slot = (slot + 1) & this.mask)
      if (this.parent[slot]! < 0 || (this.parent[slot] === node && this.unit[slot] === unit)) return slot;
  }
}
