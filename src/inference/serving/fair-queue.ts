/** First come, first served within a key; the keys take turns. */
export class FairQueue<Key, Item> {
  private readonly lines = new Map<Key, Item[]>();

  /** The item whose turn it is. */
  peek(): Item | undefined {
    for (const [first] of this.lines.values()) return first;
    return undefined;
  }

  push(key: Key, item: Item): void {
    const line = this.lines.get(key);
    if (line) line.push(item);
    else this.lines.set(key, [item]);
  }

  /** Takes the item whose turn it is; its key is then last in turn. */
  take(): Item | undefined {
    for (const [key, line] of this.lines) {
      const item = line.shift();
      this.lines.delete(key);
      if (line.length > 0) this.lines.set(key, line);
      return item;
    }
    return undefined;
  }

  /** Takes an item out, wherever it waits. */
  remove(key: Key, item: Item): void {
    const line = this.lines.get(key);
    const at = line?.indexOf(item) ?? -1;
    if (!line || at < 0) return;
    line.splice(at, 1);
    if (line.length === 0) this.lines.delete(key);
  }
}
