import { z } from 'zod';

const place = z.object({ rank: z.int().min(0), host: z.string(), pid: z.int() });

const schema = z.discriminatedUnion('kind', [
  z.object({ kind: z.literal('come'), ...place.shape, size: z.int(), run: z.string() }),
  z.object({ kind: z.literal('met'), id: z.base64(), places: z.array(place) }),
  z.object({ kind: z.literal('joined') }),
  z.object({ kind: z.literal('refused'), why: z.string() }),
]);

/** What ranks that meet say to rank 0, and it to them. */
export type MeetingWord = z.infer<typeof schema>;

/** A line of text. */
export function writeMeetingWord(word: MeetingWord): string {
  return `${JSON.stringify(word)}\n`;
}

/** The word of a line; undefined for anything else. */
export function parseMeetingWord(line: string): MeetingWord | undefined {
  try {
    return schema.parse(JSON.parse(line));
  } catch {
    return undefined;
  }
}
