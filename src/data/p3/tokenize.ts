import { HintError, throwIfAborted } from '../../util/errors.js';
import { CounterRng } from '../../util/counter-rng.js';
import { fnv1a32, sha256 } from '../../util/hash.js';
import type { Choice, TokenizedExample } from '../batch.js';
import { Notices } from '../../util/notices.js';
import { linesOf } from '../line-blocks.js';
import { NOTICED } from '../noticed.js';
import { packExamples, readTokenCache, TOKEN_CACHE_VERSION } from '../token-cache.js';
import type { JobKind, TokenizeResult, LazyTokenizer, TokenLimits } from '../tokenizing/job.js';
import type { Tokenizer } from '../../formats/tokenizer/tokenizer.js';
import { p3RowId, p3TaskName, parseP3Row, type P3Row } from './format.js';
import { formatP3Row, prependShots, type P3Prompt, type P3Setting, type P3Shot } from './forms.js';

/** What a job needs to know of a task (a template of a dataset). */
export interface P3TaskUse {
  /** The template's text, for rows without one of their own; null when there is none. */
  text: string | null;
  /** Share of the rows that are used; 0 leaves the task out. */
  keep: number;
  /** The worked examples of every row; null draws them from the rows around it. */
  shots: P3Shot[] | null;
}

/** Lines of a data file to be parsed, formatted and tokenised: what crosses into a worker thread. */
export interface P3Job extends TokenLimits {
  bytes: Uint8Array;
  /** The file, for errors. */
  file: string;
  firstLine: number;
  setting: P3Setting;
  /** The tasks that may occur, by name. */
  tasks: Record<string, P3TaskUse>;
  /** Seed of the choice of rows and shots. */
  seed: number;
  /** Whether the answer choices are tokenised too, for evaluation. */
  withChoices: boolean;
  /** Where packed results are kept; null keeps none. */
  cacheDirectory: string | null;
}

/**
 * Does one job, or finds it done; the key is a hash of the lines and of everything else their ids depend on.
 *
 * @throws HintError INVALID_JSON, INVALID_DATA naming file and line
 */
export async function runP3Job(
  job: P3Job,
  tokenizer: LazyTokenizer,
  signal?: AbortSignal,
): Promise<TokenizeResult> {
  const { bytes, cacheDirectory, ...settings } = job;
  const ofContent = Object.entries(settings).filter(([name]) => name !== 'file' && name !== 'firstLine');
  const identity = JSON.stringify([TOKEN_CACHE_VERSION, 'p3', ofContent.sort()]);
  const key = sha256(identity, tokenizer.idsKey, bytes);
  const stored = cacheDirectory === null ? undefined : await readTokenCache(cacheDirectory, key);
  throwIfAborted(signal);
  if (stored) return { packed: stored, cached: true };
  const notices = new Notices();
  const examples = tokenizeRows(readRows(job, notices), job, await tokenizer.get());
  return { packed: packExamples(examples, key, notices.list), cached: false };
}

interface FormattedRow {
  row: P3Row;
  id: string;
  task: string;
  use: P3TaskUse;
  prompt: P3Prompt;
}

/** The rows that are used, formatted without shots. */
function readRows({ bytes, file, firstLine, setting, tasks, seed }: P3Job, notices: Notices): FormattedRow[] {
  const rows: FormattedRow[] = [];
  for (const { text, where } of linesOf({ bytes, firstLine }, file)) {
    const row = parseP3Row(text, where);
    const task = p3TaskName(row);
    const use = Object.hasOwn(tasks, task) ? tasks[task] : undefined;
    if (!use)
      throw new HintError(
        'INVALID_DATA',
        `${where} has the template ${JSON.stringify(row.template)} of ${row.dataset}, which templates.json does not list; add it there.`,
      );
    const id = p3RowId(row);
    if (use.keep < 1 && randomOf(seed, id, 'keep').uniform() >= use.keep) continue;
    const prompt = formatP3Row(row, setting.form, use.text ?? undefined);
    if (prompt) rows.push({ row, id, task, use, prompt });
    else notices.add(NOTICED.noFields, task);
  }
  return rows;
}

/** Blocks of rows of P3. */
export const P3_BLOCKS: JobKind<P3Job, TokenizeResult> = { name: 'p3-block', run: runP3Job };

function tokenizeRows(rows: readonly FormattedRow[], job: P3Job, tokenizer: Tokenizer): TokenizedExample[] {
  const { setting, seed, withChoices } = job;
  const count = (text: string): number => tokenizer.encode(text, { addEos: false }).length;
  const neighbours = new Map<string, FormattedRow[]>();
  for (const row of rows) {
    const others = neighbours.get(row.task);
    if (others) others.push(row);
    else neighbours.set(row.task, [row]);
  }
  // An encoder needs at least one token.
  const encode = (text: string, maxLength: number): Int32Array => {
    const ids = tokenizer.encode(text, { addEos: false, maxLength });
    return ids.length > 0 ? ids : Int32Array.of(tokenizer.eosId);
  };
  const instructions = new Memo((text) => encode(text, job.maxInstructionTokens));
  const choices = new Memo<Choice>((text) => ({
    text,
    ids: tokenizer.encode(text, { maxLength: job.maxTargetTokens }),
  }));
  return rows.map((formatted) => {
    const { row, id, task, use } = formatted;
    let { prompt } = formatted;
    if (setting.shots > 0) {
      const shots = use.shots ?? drawShots(formatted, neighbours.get(task) ?? [], setting.shots, seed);
      prompt = prependShots(prompt, shots, count);
    }
    return {
      id,
      task,
      instruction: prompt.instruction === null ? new Int32Array(0) : instructions.get(prompt.instruction),
      input: encode(prompt.input, job.maxInputTokens),
      target: tokenizer.encode(row.target, { maxLength: job.maxTargetTokens }),
      references: [row.target],
      ...(withChoices && row.choices ? { choices: row.choices.map((text) => choices.get(text)) } : {}),
    };
  });
}

/** Other rows of the same task, always the same for the same seed and row. */
function drawShots(of: FormattedRow, rows: readonly FormattedRow[], count: number, seed: number): P3Shot[] {
  const random = randomOf(seed, of.id, 'shots');
  // The same instance may stand in several rows; it must not show its own answer.
  const others = rows.filter(({ row }) => row.idx !== of.row.idx || row.source !== of.row.source);
  const shots: P3Shot[] = [];
  while (shots.length < count && others.length > 0) {
    const [drawn] = others.splice(random.below(others.length), 1);
    if (drawn) shots.push({ input: drawn.prompt.input, target: drawn.row.target });
  }
  return shots;
}

function randomOf(seed: number, id: string, purpose: string): CounterRng {
  return new CounterRng(seed, fnv1a32(id), fnv1a32(purpose));
}

class Memo<T> {
  private readonly known = new Map<string, T>();

  constructor(private readonly make: (text: string) => T) {}

  get(text: string): T {
    let value = this.known.get(text);
    if (value === undefined) this.known.set(text, (value = this.make(text)));
    return value;
  }
}
