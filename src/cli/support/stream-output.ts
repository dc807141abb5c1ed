import type { GeneratedText, GenerationEvent } from '../../inference/task/task.js';

/**
 * Writes outputs as they are generated: the text of the first input that has not ended, then that of the next, each on
 * lines of its own; as JSON one event a line, in the order in which they happen.
 *
 * @returns in the order of the inputs
 */
export async function writeStream(
  events: AsyncIterable<GenerationEvent>,
  write: (text: string) => void,
  asJson: boolean,
): Promise<GeneratedText[]> {
  const generations: GeneratedText[] = [];
  const waiting = new Map<number, string>();
  let current = 0;
  for await (const event of events) {
    if (event.type === 'end') generations[event.input] = event.generation;
    if (asJson) {
      write(
        `${JSON.stringify(event, (_, value: unknown) => (ArrayBuffer.isView(value) ? plain(value) : value))}\n`,
      );
      continue;
    }
    waiting.set(event.input, (waiting.get(event.input) ?? '') + event.text);
    for (;;) {
      const text = waiting.get(current);
      waiting.delete(current);
      if (text !== undefined && text !== '') write(text);
      if (!generations[current]) break;
      write('\n');
      current++;
    }
  }
  return generations;
}

/** Typed arrays are objects with numbered keys to JSON. */
function plain(value: ArrayBufferView): number[] {
  return Array.from(value as unknown as ArrayLike<number>);
}
