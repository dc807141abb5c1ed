import type { Group } from '../../../distributed/group.js';
import { loadP3Evaluation } from '../../../data/p3/evaluation.js';
import type { Tokenizer } from '../../../formats/tokenizer/tokenizer.js';
import { evaluateP3, type P3Evaluation, type P3Scores } from '../../../evaluation/rank-classification.js';
import type { AnyModel } from '../../../model/family.js';
import type { System } from '../../../systems/index.js';
import { describeNotice, Notices } from '../../../util/notices.js';
import { note, table } from '../../support/context.js';
import { Progress } from '../../support/progress.js';
import { formName, namesOf, p3SplitName } from '../../support/dataset-options.js';

/** What `hint eval` takes on P3. */
export interface P3EvalOptions {
  data: string;
  split?: string | undefined;
  datasets?: string | undefined;
  form?: string | undefined;
  shots?: number | undefined;
  allTemplates: boolean;
  lengthNormalised: boolean;
  seed: number;
  maxTokens: number;
  batchSize: number;
  predictions?: string | undefined;
  json: boolean;
}

/** What ends an evaluation, and who shares it. */
export interface Among {
  readonly signal: AbortSignal;
  readonly ranks: Group | undefined;
}

/** `hint eval MODEL` on P3: rank classification per template and dataset. */
export async function evaluateOnP3(
  { model, tokenizer, system }: { model: AnyModel; tokenizer: Tokenizer; system: System },
  options: P3EvalOptions,
  { signal, ranks }: Among,
): Promise<P3Evaluation> {
  const { form, shots } = options;
  const loading = new Progress('tokenising', options.json);
  const notices = new Notices();
  const set = await loadP3Evaluation({
    directory: options.data,
    split: p3SplitName(options.split ?? 'eval'),
    datasets: namesOf(options.datasets),
    setting: system.p3Setting({ form: formName(form), shots }),
    tokenizer,
    seed: options.seed,
    allTemplates: options.allTemplates,
    notices,
    signal,
    onProgress: ({ filesDone, filesTotal }) => loading.update(filesDone, filesTotal),
  });
  loading.stop();
  for (const notice of notices.list) note(`warning: ${describeNotice(notice)}`);
  const scoring = new Progress('scoring', options.json);
  const result = await evaluateP3({ model, tokenizer }, set, {
    lengthNormalised: options.lengthNormalised,
    maxTokens: options.maxTokens,
    batchSize: options.batchSize,
    predictionsFile: options.predictions,
    signal,
    ranks,
    onProgress: (done, total) => scoring.update(done, total),
  });
  scoring.stop();
  return result;
}

/** The result as tables for people. */
export function describeP3({ templates, datasets, average, unanswerable, seconds }: P3Evaluation): string {
  const cells = ({ accuracy, rougeL, exactMatch, count }: P3Scores): (string | number)[] => [
    ...[accuracy, rougeL, exactMatch].map((value) => value?.toFixed(2) ?? ''),
    count,
  ];
  const measures = ['accuracy', 'RougeL', 'exact match', 'examples'];
  return [
    table(
      ['dataset', 'template', ...measures],
      templates.map((one) => [one.dataset, one.template, ...cells(one)]),
    ),
    '',
    table(
      ['dataset', 'templates', ...measures],
      datasets.map((one) => [one.dataset, one.templates, ...cells(one)]),
    ),
    '',
    ...(average === undefined ? [] : [`Mean accuracy over ranked datasets: ${average.toFixed(2)}`]),
    ...(unanswerable > 0
      ? [`${unanswerable} examples have a target that is none of their choices; they count as wrong.`]
      : []),
    `${seconds.toFixed(1)} s without tokenising`,
  ].join('\n');
}
