import { throwIfAborted } from '../../util/errors.js';
import { sha256 } from '../../util/hash.js';
import type { Tokenizer } from '../../formats/tokenizer/tokenizer.js';
import type { TokenizedExample } from '../batch.js';
import { createPrompt, type PromptSetting } from '../natural-instructions/prompts.js';
import { chooseTarget } from '../natural-instructions/tasks.js';
import { packExamples, readTokenCache, TOKEN_CACHE_VERSION } from '../token-cache.js';
import type { JobKind, LazyTokenizer, TokenizeResult, TokenLimits } from '../tokenizing/job.js';
import type { OwnRecord } from './record.js';

/** A record with its task and an id that no other has. */
export interface OwnRow extends OwnRecord {
  task: string;
  id: string;
}

/** Records to be formatted and tokenised: what crosses into a worker thread. */
export interface OwnJob extends TokenLimits {
  rows: OwnRow[];
  setting: PromptSetting;
  /** Seed of the choice among several outputs. */
  seed: number;
  /** Where packed results are kept; null keeps none. */
  cacheDirectory: string | null;
}

/** Does one job, or finds it done, under a hash of the records and of everything else their ids depend on. */
async function runOwnJob(
  job: OwnJob,
  tokenizer: LazyTokenizer,
  signal?: AbortSignal,
): Promise<TokenizeResult> {
  const { cacheDirectory, ...settings } = job;
  const identity = JSON.stringify([TOKEN_CACHE_VERSION, 'own', Object.entries(settings).sort()]);
  const key = sha256(identity, tokenizer.idsKey);
  const stored = cacheDirectory === null ? undefined : await readTokenCache(cacheDirectory, key);
  throwIfAborted(signal);
  if (stored) return { packed: stored, cached: true };
  return { packed: packExamples(tokenizeRows(job, await tokenizer.get()), key), cached: false };
}

/** Records of own data. */
export const OWN_RECORDS: JobKind<OwnJob, TokenizeResult> = { name: 'own-records', run: runOwnJob };

function tokenizeRows({ rows, setting, seed, ...limits }: OwnJob, tokenizer: Tokenizer): TokenizedExample[] {
  const { maxInstructionTokens, maxInputTokens, maxTargetTokens } = limits;
  const budget = setting.format === 'tk-instruct' ? maxInputTokens : maxInstructionTokens;
  const none = new Int32Array(0);
  // Neighbouring records often have the same instruction; a list of examples differs from record to record at most.
  const prompts = new Map<string, { instruction: Int32Array; formatInput: (input: string) => string }>();
  return rows.map(({ instruction, input, outputs, examples, id, task }) => {
    const key = JSON.stringify([instruction, examples]);
    let prompt = prompts.get(key);
    if (!prompt) {
      const made = createPrompt(
        { definition: instruction, positiveExamples: examples },
        setting,
        tokenizer,
        budget,
      );
      prompt = {
        formatInput: made.formatInput,
        instruction:
          made.instruction === null
            ? none
            : tokenizer.encode(made.instruction, { maxLength: maxInstructionTokens }),
      };
      prompts.set(key, prompt);
    }
    return {
      id,
      task,
      instruction: prompt.instruction,
      input: tokenizer.encode(prompt.formatInput(input), { maxLength: maxInputTokens }),
      target: tokenizer.encode(chooseTarget({ id, input, outputs }, seed), { maxLength: maxTargetTokens }),
      references: outputs,
    };
  });
}
