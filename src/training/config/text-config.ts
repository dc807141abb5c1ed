import { z } from 'zod';
import { MIN_SEGMENT_TOKENS, TEXT_OBJECTIVES } from '../../data/text/objective.js';
import { DOCUMENTS_PER_GROUP } from '../../data/text/tokenized-groups.js';
import { MOST_TOKENIZER_THREADS } from '../../data/tokenizing/job.js';
import { count } from './fields.js';

const path = () => z.string().min(1);

/** Plain text for pretraining a hypernetwork. */
export const textSchema = z.strictObject({
  /** Which data these are. */
  kind: z.literal('text'),
  /** Files, folders and glob patterns: JSON lines and .txt, each also as .gz, and parquet. */
  files: z.union([path().transform((one) => [one]), z.array(path())]).default([]),
  /** The field (JSON lines) or column (parquet) that holds the text. */
  column: path().default('text'),
  /** What a document of a .txt file is: a line or the whole file. */
  documents: z.enum(['line', 'file']).default('line'),
  /** How a segment becomes an example; `none`: not at all, the run only writes its starting model. */
  objective: z.enum([...TEXT_OBJECTIVES, 'none']).default('hint'),
  /** Split points of `hint` from two random words, or from one as in the original. */
  splits: z.enum(['independent', 'faithful']).default('independent'),
  /** Tokens of a segment. */
  segmentTokens: count(MIN_SEGMENT_TOKENS).default(512),
  /** Longer documents give one random chunk of so many tokens. */
  maxDocumentTokens: count(1).default(65_536),
  /** Documents concatenated before they are cut into segments. */
  documentsPerGroup: count(1).default(DOCUMENTS_PER_GROUP),
  /** The rest of a group that fills no segment: dropped, or cut as if it were padded to one. */
  lastSegment: z.enum(['drop', 'pad']).default('drop'),
  /** Segments that are shuffled together. */
  shuffleBuffer: count(1).default(4096),
  /** Worker threads that tokenise; by the number of cores unless given. */
  threads: count(0, MOST_TOKENIZER_THREADS).optional(),
});

/** Settings of text, defaults filled in. */
export type TextDataConfig = z.infer<typeof textSchema>;
