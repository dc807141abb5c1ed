import { basename, relative } from 'node:path';
import { scoreP3 } from '../../evaluation/rank-classification.js';
import { scorePredictions } from '../../evaluation/score.js';
import { parameterCount } from '../../model/parameters/parameter-shapes.js';
import type { Provenance } from '../provenance.js';
import { millions, type Scope } from '../scope.js';
import { datasetName } from '../t0-accuracy.js';
import type { Agreement } from './agreement.js';
import type { PrintedFigure, PublishedModel } from './models.js';
import { scoreOf, type PublishedResult, type PublishedSettings } from './run.js';

/** A printed figure beside ours. */
export interface ComparedFigure extends Pick<PrintedFigure, 'by' | 'place' | 'weights'> {
  readonly printed: number;
  /** The mean of what is printed of the data sets that ours are of, where these are not all. */
  readonly overSame?: number;
  /** Ours less the printed one; undefined where ours is not of all that the printed one is of. */
  readonly difference?: number;
}

/** Our score of a task or a data set, and what is printed of it. */
export interface PartScore {
  readonly name: string;
  /** RougeL or accuracy, times 100. */
  readonly score: number;
  readonly exactMatch?: number;
  readonly templates?: number;
  readonly instances: number;
  readonly printed?: number;
}

/** What is written of an evaluation, for programs. */
export interface PublishedReport {
  /** The model's name. */
  readonly published: string;
  readonly title: string;
  readonly repository: string;
  /** Of the download; absent for a folder of one's own. */
  readonly commit?: string;
  readonly licence: string;
  readonly metric: 'RougeL' | 'accuracy';
  /** Whether all examples have a prediction. */
  readonly complete: boolean;
  readonly scope: Scope;
  readonly made: Provenance;
  readonly settings: object;
  readonly protocol: PublishedModel['protocol'];
  /** The data that the printed figures are of. */
  readonly namedData: string;
  /** In what model and data differ from those; empty where they have the same counts. */
  readonly differences: readonly string[];
  readonly score: number;
  readonly exactMatch?: number;
  readonly predicted: number;
  readonly examples: number;
  readonly figures: readonly ComparedFigure[];
  /** Tasks, or data sets of P3. */
  readonly parts: readonly PartScore[];
  readonly agreement?: Agreement;
  /** Where published predictions are, for a model that has some and was not compared with them. */
  readonly publishedPredictions?: string;
  /** With predictions.jsonl, relative to the report. */
  readonly folder: string;
}

/** The result of an evaluation as data. Paths are relative, so that a report means the same on another machine. */
export function reportOf(
  result: PublishedResult,
  settings: PublishedSettings,
  made: Provenance,
): PublishedReport {
  const { model, config, commit, predictions, examples, differences, agreement } = result;
  const isRanked = model.data.kind === 'p3';
  const complete = predictions.length === examples;
  const score = scoreOf(predictions, result.templates);
  const parts = partsOf(result);
  const all = complete
    ? differences
    : [`${predictions.length} of ${examples} examples evaluated so far`, ...differences];
  return {
    published: model.name,
    title: `${model.repository}${settings.model === undefined ? '' : ` (folder ${basename(settings.model)})`}, on ${basename(settings.data)}`,
    repository: model.repository,
    ...(commit === undefined ? {} : { commit }),
    licence: model.licence ?? 'none stated on its card',
    metric: isRanked ? 'accuracy' : 'RougeL',
    complete,
    scope: {
      data: basename(settings.data),
      models: `${settings.model === undefined ? model.repository : basename(settings.model)} (${millions(parameterCount(config))} parameters, ${settings.dtype})`,
      steps: 'as released, without training',
      evaluation: `${predictions.length.toLocaleString('en')} examples of ${new Set(predictions.map(({ task }) => task)).size} ${isRanked ? 'templates' : 'tasks'}`,
      seeds: 'no seed: nothing is drawn',
    },
    made,
    settings: withRelativePaths(settings),
    protocol: model.protocol,
    namedData: model.data.title,
    differences: all,
    score,
    ...(isRanked ? {} : { exactMatch: scorePredictions(predictions).exactMatch }),
    predicted: predictions.length,
    examples,
    figures: model.figures.map(({ by, place, weights, value, datasets }) => ({
      by,
      place,
      weights,
      printed: value,
      ...overSame(datasets, parts),
      // Of other data, or of a part of them, a difference would say nothing.
      ...(all.length === 0 && { difference: score - value }),
    })),
    parts,
    ...(agreement && { agreement }),
    ...(model.predictions !== undefined && !agreement && { publishedPredictions: model.predictions }),
    folder: relative(settings.output, result.folder),
  };
}

function partsOf({ model, predictions, templates }: PublishedResult): PartScore[] {
  if (!templates)
    return Object.entries(scorePredictions(predictions).perTask).map(
      ([name, { rougeL, exactMatch, count }]) => ({ name, score: rougeL, exactMatch, instances: count }),
    );
  const printed = model.figures.find(({ datasets }) => datasets)?.datasets ?? {};
  return scoreP3(predictions, templates).datasets.map((one) => {
    const name = datasetName(one.dataset);
    const value = printed[name];
    return {
      name,
      score: one.accuracy ?? 0,
      templates: one.templates,
      instances: one.count,
      ...(value === undefined ? {} : { printed: value }),
    };
  });
}

function overSame(
  datasets: PrintedFigure['datasets'],
  parts: readonly PartScore[],
): Pick<ComparedFigure, 'overSame'> {
  if (!datasets || parts.length === Object.keys(datasets).length) return {};
  const values = parts.flatMap(({ name }) => datasets[name] ?? []);
  return { overSame: values.reduce((sum, value) => sum + value, 0) / values.length };
}

/** Without the token, which is a secret. */
function withRelativePaths(settings: PublishedSettings): object {
  const { limit, revision, batchSize, dtype, device, threads } = settings;
  const here = (path: string | undefined): string | undefined =>
    path === undefined ? undefined : relative('', path);
  return {
    data: here(settings.data),
    model: here(settings.model),
    tokenizer: here(settings.tokenizer),
    predictions: here(settings.predictions),
    output: here(settings.output),
    ...{ limit, revision, batchSize, dtype, device, threads },
  };
}
