import { HintError } from '../../util/errors.js';
import { openRegularFile } from '../../util/open-input.js';
import type { TokenizedExample } from '../batch.js';
import { packedKey, packedLayout, tokenCacheFile, type PackedLayout } from '../token-cache.js';

// Up to this many ids, the distinct instructions of a block stay in memory: they are read with every example.
const RESIDENT_INSTRUCTION_IDS = 16_384;

interface Block {
  offsets: Int32Array;
  /** Number of distinct instructions, which come first. */
  instructions: number;
  /** Per example its instruction, −1 for none. */
  instructionOf: Int32Array;
  /** Their sequences, where they stay in memory. */
  resident: Int32Array[] | undefined;
  /** The ids, or the cache file that has them from byte `idsAt` on. */
  ids: Int32Array | { file: string; idsAt: number };
}

/**
 * Examples by task, in memory or in the token cache: then only the places of the sequences are held, some 20 bytes an
 * example, and an example is read from its file when it is drawn.
 */
export class P3Pool {
  private readonly blocks: Block[] = [];
  private readonly byTask = new Map<string, GrowingPairs>();

  /** Adds packed examples; those that lie in `cacheDirectory` are not kept in memory. @returns what they hold */
  add(packed: Uint8Array, cacheDirectory: string | null): PackedLayout {
    const layout = packedLayout(packed);
    const { offsets, ids, idsAt, instructions, examples } = layout;
    const own = offsets[instructions] ?? 0;
    const isResident = cacheDirectory === null || own <= RESIDENT_INSTRUCTION_IDS;
    // Copies, so that the rest of the buffer can go.
    const keep = (view: Int32Array): Int32Array => view.slice();
    const number = this.blocks.length;
    this.blocks.push({
      offsets: keep(offsets),
      instructions,
      instructionOf: Int32Array.from(examples, ({ instruction }) => instruction),
      resident: isResident
        ? Array.from({ length: instructions }, (_, i) => keep(ids.subarray(offsets[i], offsets[i + 1])))
        : undefined,
      ids: cacheDirectory === null ? ids : { file: tokenCacheFile(cacheDirectory, packedKey(packed)), idsAt },
    });
    examples.forEach(({ task }, row) => {
      let list = this.byTask.get(task);
      if (!list) this.byTask.set(task, (list = new GrowingPairs()));
      list.push(number, row);
    });
    return layout;
  }

  /** The tasks that have examples, in the order they came. */
  get tasks(): { name: string; size: number }[] {
    return [...this.byTask].map(([name, list]) => ({ name, size: list.length }));
  }

  get size(): number {
    return this.tasks.reduce((sum, { size }) => sum + size, 0);
  }

  /**
   * One example. Its id is its place in the task, and it has no references: both are for training.
   *
   * @throws HintError IO when the cache file is gone or shorter than it was
   */
  async read(task: string, example: number): Promise<TokenizedExample> {
    const [blockNumber, row] = this.byTask.get(task)?.at(example) ?? [-1, 0];
    const block = this.blocks[blockNumber];
    if (!block) throw new HintError('INTERNAL', `The pool has no example ${example} of ${task}.`);
    const { offsets, instructions, instructionOf, resident } = block;
    const first = instructions + 2 * row;
    const [begin, middle, end] = offsets.subarray(first, first + 3) as unknown as [number, number, number];
    const instruction = instructionOf[row] as number;
    const pieces: [number, number][] = [[begin, end]];
    if (instruction >= 0 && !resident)
      pieces.push([offsets[instruction] as number, offsets[instruction + 1] as number]);
    const [sequences, read] = (await readIds(block.ids, pieces)) as [Int32Array, Int32Array | undefined];
    return {
      id: `${task}-${example}`,
      task,
      instruction: read ?? resident?.[instruction] ?? new Int32Array(0),
      input: sequences.subarray(0, middle - begin),
      target: sequences.subarray(middle - begin),
      references: [],
    };
  }
}

async function readIds(ids: Block['ids'], pieces: readonly [number, number][]): Promise<Int32Array[]> {
  if (ids instanceof Int32Array) return pieces.map(([begin, end]) => ids.subarray(begin, end));
  const { file, idsAt } = ids;
  try {
    await using handle = await openRegularFile(file);
    return await Promise.all(
      pieces.map(async ([begin, end]) => {
        const sequence = new Int32Array(end - begin);
        const { bytesRead } = await handle.read(sequence, 0, sequence.byteLength, idsAt + 4 * begin);
        if (bytesRead < sequence.byteLength) throw new Error('it is shorter than it was');
        return sequence;
      }),
    );
  } catch (cause) {
    throw new HintError(
      'IO',
      `Cannot read the token cache ${file} (${(cause as Error).message}); leave the cache alone while a run uses it, and start again.`,
      { cause },
    );
  }
}

/** A list of pairs of integers that takes 8 bytes a pair. */
class GrowingPairs {
  private values = new Int32Array(64);
  length = 0;

  push(a: number, b: number): void {
    const at = 2 * this.length++;
    if (at === this.values.length) {
      const larger = new Int32Array(2 * at);
      larger.set(this.values);
      this.values = larger;
    }
    this.values[at] = a;
    this.values[at + 1] = b;
  }

  at(index: number): [number, number] | undefined {
    if (!(index >= 0 && index < this.length)) return undefined;
    return [this.values[2 * index] as number, this.values[2 * index + 1] as number];
  }
}
