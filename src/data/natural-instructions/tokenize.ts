import { throwIfAborted } from '../../util/errors.js';
import { sha256 } from '../../util/hash.js';
import { Notices } from '../../util/notices.js';
import { decodeText, readBytes } from '../../util/read-file.js';
import type { TokenizedExample } from '../batch.js';
import { NOTICED } from '../noticed.js';
import { createPrompt, type PromptSetting } from './prompts.js';
import { chooseTarget, parseSniTask, selectInstances, type SniInstance, type SniSplit } from './tasks.js';
import { packExamples, readTokenCache, TOKEN_CACHE_VERSION, unpackExamples } from '../token-cache.js';
import type { JobKind, TokenizeResult, LazyTokenizer, TokenLimits } from '../tokenizing/job.js';
import { tokenizePacked, type TokenizeAheadOptions } from '../tokenizing/tokenize-ahead.js';
import type { Tokenizer } from '../../formats/tokenizer/tokenizer.js';

/** One task file to be read, formatted and tokenised: what crosses into a worker thread. */
export interface TokenizeJob extends TokenLimits {
  /** The task file. */
  file: string;
  split: SniSplit;
  setting: PromptSetting;
  instancesPerTask: number;
  /** Seed of the choice among several references. */
  seed: number;
  /** Where packed results are kept; null keeps none. */
  cacheDirectory: string | null;
}

/**
 * Does one job, or finds it done: the key is a hash of the file's bytes, the tokenizer's fingerprint, the format and
 * the limits, so a renamed file or another folder does not matter and any change does.
 *
 * @throws HintError as the reader and the formats do
 */
export async function runTokenizeJob(
  job: TokenizeJob,
  tokenizer: LazyTokenizer,
  signal?: AbortSignal,
): Promise<TokenizeResult> {
  const { file, cacheDirectory, ...settings } = job;
  const bytes = await readBytes(file, 'the task file', signal);
  const name = file.replace(/^.*[/\\]/, '');
  const identity = JSON.stringify(
    [TOKEN_CACHE_VERSION, name, Object.entries(settings).sort()],
    infinityAsText,
  );
  const key = sha256(identity, tokenizer.idsKey, bytes);
  const stored = cacheDirectory === null ? undefined : await readTokenCache(cacheDirectory, key);
  throwIfAborted(signal);
  if (stored) return { packed: stored, cached: true };
  const notices = new Notices();
  const examples = tokenizeTask(decodeText(bytes, file), job, await tokenizer.get(), notices);
  return { packed: packExamples(examples, key, notices.list), cached: false };
}

/** Task files of Super-NaturalInstructions. */
export const SNI_TASKS: JobKind<TokenizeJob, TokenizeResult> = { name: 'sni-task', run: runTokenizeJob };

/**
 * Reads, formats and tokenises task files ahead of their use, in worker threads, and yields the examples of each
 * in the order of the jobs. The calling thread only hands results on and writes the cache. However the iteration
 * ends (all done, `break`, an error, an abort), no thread is left when it has.
 *
 * @throws HintError `ABORTED`; `NOT_FOUND` when the compiled worker is missing; `IO` when the cache cannot be written;
 *   as {@link runTokenizeJob} for a bad task file
 */
export async function* tokenizeAhead(
  jobs: Iterable<TokenizeJob>,
  options: TokenizeAheadOptions & { notices?: Notices | undefined },
): AsyncGenerator<TokenizedExample[], void, undefined> {
  for await (const packed of tokenizePacked(SNI_TASKS, jobs, options))
    yield unpackExamples(packed, options.notices);
}

function tokenizeTask(
  text: string,
  job: TokenizeJob,
  tokenizer: Tokenizer,
  notices: Notices,
): TokenizedExample[] {
  const task = parseSniTask(text, job.file, 'dataset', notices);
  const instances = selectInstances(task.instances, job.split, job.instancesPerTask);
  noteRepeated(instances, notices);
  const budget = job.setting.format === 'tk-instruct' ? job.maxInputTokens : job.maxInstructionTokens;
  const prompt = createPrompt(task, job.setting, tokenizer, budget);
  const instruction =
    prompt.instruction === null
      ? new Int32Array(0)
      : tokenizer.encode(prompt.instruction, { maxLength: job.maxInstructionTokens });
  return instances.map((instance) => ({
    id: instance.id,
    task: task.name,
    instruction,
    input: tokenizer.encode(prompt.formatInput(instance.input), { maxLength: job.maxInputTokens }),
    target: tokenizer.encode(chooseTarget(instance, job.seed), { maxLength: job.maxTargetTokens }),
    references: instance.outputs,
  }));
}

function noteRepeated(instances: readonly SniInstance[], notices: Notices): void {
  const seen = new Set<string>();
  for (const { id, input, outputs } of instances) {
    const content = JSON.stringify([input, outputs]);
    if (seen.has(content)) notices.add(NOTICED.repeated, id);
    seen.add(content);
  }
}

function infinityAsText(_key: string, value: unknown): unknown {
  return value === Infinity ? 'Infinity' : value;
}
