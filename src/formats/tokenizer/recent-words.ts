/** Longer words (base64, unspaced scripts) hardly repeat and would fill the memory with themselves. */
const LONGEST_WORD = 48;
const MOST_WORDS = 131_072;

/** The ids of words that were met lately: two generations, so that what was used since the last turn survives the next one. */
export class RecentWords {
  private words = new Map<string, readonly number[]>();
  private olderWords = new Map<string, readonly number[]>();

  get(word: string): readonly number[] | undefined {
    const found = this.words.get(word);
    if (found) return found;
    const older = this.olderWords.get(word);
    if (older) this.set(word, older);
    return older;
  }

  set(word: string, ids: readonly number[]): void {
    if (word.length > LONGEST_WORD) return;
    if (this.words.size >= MOST_WORDS) {
      this.olderWords = this.words;
      this.words = new Map();
    }
    // A substring keeps its whole text alive; the copy keeps the word only.
    this.words.set(Buffer.from(word, 'utf16le').toString('utf16le'), ids);
  }
}
