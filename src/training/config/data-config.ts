import { z } from 'zod';
import { SPLIT_FIELD, SPLIT_UNITS, TEST_FRACTION } from '../../data/own/dataset.js';
import { P3_LIMITS } from '../../data/p3/forms.js';
import { MIXTURE_CAP } from '../../data/p3/mixture.js';
import { count, text as path } from './fields.js';
import { textSchema } from './text-config.js';

/** Tasks of Super-NaturalInstructions. */
const sniSchema = z.strictObject({
  /** Which data these are. */
  kind: z.literal('sni').default('sni'),
  /** A Super-NaturalInstructions checkout: holds tasks/ and splits/. */
  directory: path(),
  /** Folder under splits/. */
  track: path().default('default'),
  /** Which tasks: those of train_tasks.txt or test_tasks.txt. */
  split: z.enum(['train', 'test']).default('train'),
  /** Positive examples in the instruction: 0 is the paper's Def, 2 its Def + 2 Pos. */
  positives: count(0).default(0),
  /** Most examples of each task. */
  instancesPerTask: count(1).default(100),
  /** Where an instruction is cut off, end included. */
  maxInstructionTokens: count(1).default(1024),
  /** Where an input is cut off, end included. */
  maxInputTokens: count(1).default(1024),
  /** Where a target is cut off, end included. */
  maxTargetTokens: count(1).default(256),
  /** Where tokenised tasks are kept between runs; nowhere by default. */
  cache: path().optional(),
});

/** Prompted examples of P3. */
const p3Schema = z.strictObject({
  /** Which data these are. */
  kind: z.literal('p3'),
  /** Holds templates.json, splits.json and train/. */
  directory: path(),
  /** Which datasets, as splits.json divides them. */
  split: z.enum(['train', 'eval', 'fewshot', 'extra']).default('train'),
  /** Only these datasets of the split. */
  datasets: z.array(path()).min(1).optional(),
  /** For systems whose hypernetwork reads the prompt: whether the model reads all of it too, or the fields alone. */
  form: z.enum(['joint', 'split']).optional(),
  /** Worked examples in front of the instruction, or of the prompt where there is none. */
  shots: count(0).default(0),
  /** Rows above which a dataset is capped: each of its templates then counts as cap div templates. */
  cap: count(1).default(MIXTURE_CAP),
  /** Whether tasks are mixed by the rows that are there, or as the published mixture is. */
  mixture: z.enum(['rows', 'published']).default('rows'),
  /** Where an instruction is cut off, end included. */
  maxInstructionTokens: count(1).default(P3_LIMITS.maxInstructionTokens),
  /** Where an input is cut off, end included. */
  maxInputTokens: count(1).default(P3_LIMITS.maxInputTokens),
  /** Where a target is cut off, end included. */
  maxTargetTokens: count(1).default(P3_LIMITS.maxTargetTokens),
  /** Where tokenised lines are kept between runs; with it, examples stay on disk instead of in memory. */
  cache: path().optional(),
});

/** Records of a user's own: instruction, input and output. */
const ownSchema = z.strictObject({
  /** Which data these are. */
  kind: z.literal('own'),
  /** Files, folders and glob patterns: JSON lines or lists, CSV, TSV, each also as .gz, and parquet. */
  files: z.union([path().transform((one) => [one]), z.array(path()).min(1)]),
  /** `train`, `test`, a split that the field names, or `all`. */
  split: path().default('train'),
  /** The field that says which split a record is in; records without it are split by fraction. */
  splitField: path().default(SPLIT_FIELD),
  /** Share of the records without a split that is `test`, by a hash of their content. */
  testFraction: z.number().min(0).max(1).default(TEST_FRACTION),
  /** What goes into a split as one: an example, or a task with all its examples. */
  splitBy: z.enum(SPLIT_UNITS).default('example'),
  /** How many of a record's examples the instruction shows. */
  positives: count(0).default(0),
  /** Where an instruction is cut off, end included. */
  maxInstructionTokens: count(1).default(1024),
  /** Where an input is cut off, end included. */
  maxInputTokens: count(1).default(1024),
  /** Where a target is cut off, end included. */
  maxTargetTokens: count(1).default(256),
  /** Where tokenised records are kept between runs; nowhere by default. */
  cache: path().optional(),
});

const SCHEMAS = { sni: sniSchema, p3: p3Schema, own: ownSchema, text: textSchema };

/** What a run trains on; `kind` says which data it is, `sni` where nothing is said. */
export const dataSchema = z.discriminatedUnion('kind', [SCHEMAS.sni, SCHEMAS.p3, SCHEMAS.own, SCHEMAS.text], {
  error: `must be an object whose kind is one of ${Object.keys(SCHEMAS).join(', ')}`,
});

/** Data whose examples have answers, which can be scored. */
export const labelledDataSchema = z.discriminatedUnion('kind', [SCHEMAS.sni, SCHEMAS.p3, SCHEMAS.own], {
  error: 'must be an object whose kind is one of sni, p3, own',
});

/** What a run draws its examples from. */
export const dataPart = z.strictObject({
  /** What it trains on; `kind` says which data it is. */
  data: dataSchema,
});
export type DataSettings = z.infer<typeof dataPart>;

/** Settings of one kind of data, defaults filled in. */
export type DataConfig = z.infer<typeof dataSchema>;
/** Settings of data that can be validated on. */
export type LabelledDataConfig = z.infer<typeof labelledDataSchema>;
export type SniDataConfig = z.infer<typeof sniSchema>;
/** What a file needs to say about SNI tasks. */
export type SniDataInput = z.input<typeof sniSchema>;
export type P3DataConfig = z.infer<typeof p3Schema>;
/** What a file needs to say about prompts of P3. */
export type P3DataInput = z.input<typeof p3Schema>;
export type OwnDataConfig = z.infer<typeof ownSchema>;

/** The settings there are for the kind of data that `json` names. */
export function dataKeys(json: unknown): object {
  const kind = String((json as { kind?: unknown } | undefined)?.kind);
  return (Object.entries(SCHEMAS).find(([name]) => name === kind)?.[1] ?? sniSchema).shape;
}
