import { resolve } from 'node:path';
import { findTextFiles } from '../../data/text/files.js';
import type { Tokenizer } from '../../formats/tokenizer/tokenizer.js';
import { HintError } from '../../util/errors.js';
import type { Notices } from '../../util/notices.js';
import { readsInstruction } from '../../model/config/config.js';
import { SYSTEMS, type System } from '../../systems/index.js';
import type { TextDataConfig } from '../config/text-config.js';
import type { ExampleSource } from './example-source.js';
import { TextSource } from './text-source.js';

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
  context: {
    system: System;
    tokenizer: Tokenizer;
    seed: number;
    signal?: AbortSignal | undefined;
    notices?: Notices | undefined;
  },
): Promise<ExampleSource> {
  const { system, tokenizer, seed, notices, signal } = context;
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
    throw new HintError(
      'INVALID_CONFIG',
      'data.files is missing; name the text files, folders or patterns (--text).',
    );
  const { splits, segmentTokens, maxDocumentTokens, lastSegment } = data;
  const files = await findTextFiles(patterns, documents, signal);
  const settings = { objective, splits, segmentTokens, maxDocumentTokens, lastSegment, seed };
  return TextSource.open(
    { files, tokenizer, settings, column, documentsPerGroup, shuffleBuffer, threads, notices },
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
