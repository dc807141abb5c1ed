import { parseExample, type Feature } from '../../formats/tfrecord/example.js';
import { readTfRecords, type TfRecord } from '../../formats/tfrecord/records.js';
import { stripped } from '../../formats/jinja/python/characters.js';
import { HintError } from '../../util/errors.js';
import { checkBytes } from '../../util/limits.js';
import { decodeText } from '../../util/read-file.js';
import type { P3TaskFiles } from './p3-tasks.js';

/** A prompted example of P3's cached form. */
export interface CachedPrompt {
  readonly prompt: string;
  readonly target: string;
  readonly choices: readonly string[] | undefined;
}

/**
 * The examples of a task. Where its records have no answer choices, but those for rank classification are there, these
 * are read: each is one choice of an example.
 *
 * @throws HintError as `readTfRecords` and `parseExample`; INVALID_DATA for records that are none of P3
 */
export async function* cachedPrompts(
  { plain, scored }: P3TaskFiles,
  signal: AbortSignal | undefined,
): AsyncGenerator<CachedPrompt, void, undefined> {
  const takesScored = scored.length > 0 && !(await haveChoices(plain, signal));
  if (takesScored) yield* rankedPrompts(recordsOf(scored, signal));
  else for await (const record of recordsOf(plain, signal)) yield plainPrompt(record);
}

async function* recordsOf(
  files: readonly string[],
  signal?: AbortSignal,
): AsyncGenerator<TfRecord, void, undefined> {
  for (const file of files) yield* readTfRecords(file, signal);
}

async function haveChoices(files: readonly string[], signal?: AbortSignal): Promise<boolean> {
  for await (const record of recordsOf(files, signal)) return plainPrompt(record).choices !== undefined;
  return false;
}

function plainPrompt(record: TfRecord): CachedPrompt {
  const example = parseExample(record);
  const choices = example.get('answer_choices')?.bytes.map((bytes) => textOf(bytes, record));
  return {
    prompt: textIn(example, 'inputs_pretokenized', record),
    target: textIn(example, 'targets_pretokenized', record),
    choices: choices && choices.length > 0 ? choices : undefined,
  };
}

/** Examples from records of one choice each, those of an example one after another. */
async function* rankedPrompts(
  records: AsyncIterable<TfRecord>,
): AsyncGenerator<CachedPrompt, void, undefined> {
  let group:
    | { number: number; where: string; prompt: string; choices: string[]; right: number; size: number }
    | undefined;
  const close = (): CachedPrompt[] => {
    if (!group) return [];
    const { prompt, choices, right, where } = group;
    const target = choices[right];
    if (target === undefined)
      throw new HintError(
        'INVALID_DATA',
        `${where} begins an example of which no choice is_correct; fetch the file again.`,
      );
    return [{ prompt, target, choices }];
  };
  for await (const record of records) {
    const example = parseExample(record);
    const number = example.get('idx')?.integers[0];
    if (number === undefined) throw notOfP3(record, 'idx');
    if (group?.number !== number) {
      yield* close();
      const prompt = textIn(example, 'inputs_pretokenized', record);
      group = { number, where: record.where, prompt, choices: [], right: -1, size: 0 };
    }
    const choice = textIn(example, 'targets_pretokenized', record);
    if ((example.get('is_correct')?.integers[0] ?? 0) !== 0) group.right = group.choices.length;
    group.choices.push(choice);
    group.size += record.bytes.length;
    checkBytes(group.where, 'with those after it that are choices of the same example, it has', group.size);
  }
  yield* close();
}

function textIn(example: ReadonlyMap<string, Feature>, name: string, record: TfRecord): string {
  const [bytes] = example.get(name)?.bytes ?? [];
  if (bytes === undefined) throw notOfP3(record, name);
  return textOf(bytes, record);
}

function textOf(bytes: Uint8Array, { where }: TfRecord): string {
  return stripped(decodeText(bytes, where));
}

function notOfP3({ where }: TfRecord, name: string): HintError {
  return new HintError(
    'INVALID_DATA',
    `${where} has no ${name}, as records of bigscience/P3 have; give the files as they are published there.`,
  );
}
