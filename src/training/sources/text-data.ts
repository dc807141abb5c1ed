import { resolve } from 'node:path';
import { z } from 'zod';
import { findTextFiles } from '../../data/text/files.js';
import { MIN_SEGMENT_TOKENS, TEXT_OBJECTIVES } from '../../data/text/objective.js';
import { DOCUMENTS_PER_GROUP } from '../../data/text/tokenized-groups.js';
import type { Tokenizer } from '../../formats/tokenizer/tokenizer.js';
import { HintError } from '../../util/errors.js';
import { readsInstruction } from '../../model/config/config.js';
import { SYSTEMS, type System } from '../../systems/index.js';
import type { ExampleSource } from './example-source.js';
import { TextSource } from './text-source.js';

const count = (min: number) =>
  z
    .int()
    .min(min)
    .max(2 ** 31 - 1);
const path = () => z.string().min(1);

/** Plain text for pretraining a hypernetwork. */
export const textSchema = z.strictObject({
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
  threads: count(0).optional(),
});

/** Settings of text, defaults filled in. */
export type TextDataConfig = z.infer<typeof textSchema>;

/** The same with absolute paths. */
export function resolveTextPaths(data: TextDataConfig): TextDataConfig {
  return { ...data, files: data.files.map((file) => resolve(file)) };
}

/**
 * Opens text as examples for a system whose hypernetwork reads an instruction: its first part takes that place.
 *
 * @throws HintError INVALID_CONFIG for another system or no files, as findTextFiles and TextSource.open
 */
export async function openText(
  data: TextDataConfig,
  context: { system: System; tokenizer: Tokenizer; seed: number; signal?: AbortSignal | undefined },
): Promise<ExampleSource> {
  const { system, tokenizer, seed, signal } = context;
  const reads = ({ hypernetwork }: System): boolean =>
    hypernetwork !== undefined && readsInstruction(hypernetwork.defaults);
  if (!reads(system))
    throw new HintError(
      'INVALID_CONFIG',
      `The system ${system.name} has no hypernetwork that reads an instruction, so text cannot pretrain it; choose one of ${SYSTEMS.filter(
        reads,
      )
        .map(({ name }) => name)
        .join(', ')}.`,
    );
  const { objective, files: patterns, documents, column, documentsPerGroup, shuffleBuffer, threads } = data;
  if (objective === 'none') return NO_TEXT;
  if (patterns.length === 0)
    throw new HintError('INVALID_CONFIG', 'data.files is missing; name the text files, folders or patterns.');
  const { splits, segmentTokens, maxDocumentTokens, lastSegment } = data;
  const files = await findTextFiles(patterns, documents, signal);
  const settings = { objective, splits, segmentTokens, maxDocumentTokens, lastSegment, seed };
  return TextSource.open(
    { files, tokenizer, settings, column, documentsPerGroup, shuffleBuffer, threads },
    signal,
  );
}

/** What a run without pretraining draws from: nothing, since it takes no step. */
const NO_TEXT: ExampleSource = {
  fingerprint: 'none',
  size: 0,
  state: null,
  restore: () => undefined,
  next: () =>
    Promise.reject(
      new HintError(
        'INVALID_CONFIG',
        'The objective is "none", which takes no step; set steps to 0, or data.objective to what to train on.',
      ),
    ),
};
