/** First come, first served within a key; the keys take turns. */
export class FairQueue<Key, Item> {
  private readonly lines = new Map<Key, Item[]>();

  /** The item whose turn it is, of those of some keys where that is asked. */
  peek(isAsked: (item: Item) => boolean = () => true): Item | undefined {
    for (const [first] of this.lines.values()) if (first !== undefined && isAsked(first)) return first;
    return undefined;
  }

  push(key: Key, item: Item): void {
    const line = this.lines.get(key);
    if (line) line.push(item);
    else this.lines.set(key, [item]);
  }

  /** Takes the first item of a key, which is then last in turn. */
  take(key: Key): Item | undefined {
    const line = this.lines.get(key);
    const item = line?.shift();
    this.lines.delete(key);
    if (line && line.length > 0) this.lines.set(key, line);
    return item;
  }

  /** Takes an item out, wherever it waits; the turns stay as they are. */
  remove(key: Key, item: Item): void {
    const line = this.lines.get(key);
    const at = line?.indexOf(item) ?? -1;
    if (!line || at < 0) return;
    line.splice(at, 1);
    if (line.length === 0) this.lines.delete(key);
  }
}
