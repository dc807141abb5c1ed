import { z } from 'zod';

const schema = z.discriminatedUnion('kind', [
  z.object({ kind: z.literal('hello'), rank: z.int(), token: z.string() }),
  z.object({ kind: z.literal('beat') }),
  z.object({ kind: z.literal('failed'), message: z.string() }),
  z.object({ kind: z.literal('lost'), what: z.string() }),
  z.object({ kind: z.literal('bye') }),
]);

/** What a rank says to another on the line between them. */
export type Word = z.infer<typeof schema>;

/** A line of text. */
export function writeWord(word: Word): string {
  return `${JSON.stringify(word)}\n`;
}

/** The word of a line; undefined for anything else. */
export function parseWord(line: string): Word | undefined {
  try {
    return schema.parse(JSON.parse(line));
  } catch {
    return undefined;
  }
}
