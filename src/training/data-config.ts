import { z } from 'zod';

const count = (min: number) =>
  z
    .int()
    .min(min)
    .max(2 ** 31 - 1);
const path = () => z.string().min(1);

/** Tasks of Super-NaturalInstructions. */
const sniSchema = z.strictObject({
  kind: z.literal('sni').default('sni'),
  /** A Super-NaturalInstructions checkout: holds tasks/ and splits/. */
  directory: path(),
  /** Folder under splits/. */
  track: path().default('default'),
  split: z.enum(['train', 'test']).default('train'),
  /** Positive examples in the instruction: 0 is the paper's Def, 2 its Def + 2 Pos. */
  positives: count(0).default(0),
  instancesPerTask: count(1).default(100),
  maxInstructionTokens: count(1).default(1024),
  maxInputTokens: count(1).default(1024),
  maxTargetTokens: count(1).default(256),
  /** Where tokenised tasks are kept between runs; nowhere by default. */
  cache: path().optional(),
});

const SCHEMAS = { sni: sniSchema };

/** What a run trains on; `kind` says which data it is, `sni` where nothing is said. */
export const dataSchema = z.discriminatedUnion('kind', [SCHEMAS.sni], {
  error: `must be an object whose kind is one of ${Object.keys(SCHEMAS).join(', ')}`,
});

/** Settings of one kind of data, defaults filled in. */
export type DataConfig = z.infer<typeof dataSchema>;
export type SniDataConfig = z.infer<typeof sniSchema>;

/** The settings there are for the kind of data that `json` names. */
export function dataKeys(json: unknown): object {
  const kind = String((json as { kind?: unknown } | undefined)?.kind);
  return (Object.entries(SCHEMAS).find(([name]) => name === kind)?.[1] ?? sniSchema).shape;
}
