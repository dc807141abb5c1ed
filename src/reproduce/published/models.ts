import type { ModelSize } from '../../model/config/sizes.js';
import { HintError } from '../../util/errors.js';
import { PRINTED_T0 } from '../t0-accuracy.js';
import { P3_HELD_OUT, SNI_TEST, type NamedData } from './named-data.js';

/** What was printed of a model, times 100. */
export interface PrintedFigure {
  /** RougeL, or the mean accuracy over data sets. */
  readonly value: number;
  /** Who prints it, as in `the paper`, */
  readonly by: string;
  /** and where, as in `Table 2, T0, 3B`. */
  readonly place: string;
  /** Whether it is of the weights that are published, or of others that were trained for the same purpose. */
  readonly weights: 'these' | 'others';
  /** Accuracy by data set of P3, by the names that tables print; the rounds of ANLI are one. */
  readonly datasets?: Readonly<Record<string, number>>;
}

/** A model that others released, with what is needed to repeat its evaluation. */
export interface PublishedModel {
  readonly name: string;
  /** On the hub, owner/name. */
  readonly repository: string;
  /** As its card states it; undefined where it states none. */
  readonly licence: string | undefined;
  readonly size: ModelSize;
  /** Bytes of a download, and whether the hub lists so many or they follow from the parameters. */
  readonly download: { readonly bytes: number; readonly from: 'listing' | 'parameters' };
  readonly system: 'tk-instruct' | 't0';
  readonly data: NamedData;
  /** How the original shows a task and takes the answer, in words. */
  readonly protocol: { readonly prompt: string; readonly answer: string };
  readonly figures: readonly PrintedFigure[];
  /** Where predictions of the model are published. */
  readonly predictions?: string;
}

/**
 * Tk-Instruct generates at most 128 tokens, of which the first is the one that the decoder starts with
 * (`generation_max_length`).
 */
export const TK_INSTRUCT_TOKENS = 127;

const TK_INSTRUCT_PROTOCOL = {
  prompt:
    "Tk-Instruct's format: the definition, two positive examples as far as they fit into 1,024 tokens, the input; end of sequence",
  answer: `greedy, at most ${TK_INSTRUCT_TOKENS} tokens; RougeL as Tk-Instruct's scorer computes it, the mean over instances`,
};

const T0_PROTOCOL = {
  prompt:
    "P3's templates for the original task with answer choices, at most 1,024 tokens, no end of sequence",
  answer:
    'the choice with the largest sum of log probabilities, end of sequence included; accuracy, the mean over templates, then over data sets',
};

function tkInstruct(
  size: ModelSize,
  label: string,
  bytes: number,
  figures: readonly PrintedFigure[],
): PublishedModel {
  return {
    name: `tk-instruct-${label}`,
    repository: `allenai/tk-instruct-${label}-def-pos`,
    licence: 'apache-2.0',
    size,
    download: { bytes, from: 'listing' },
    system: 'tk-instruct',
    data: SNI_TEST,
    protocol: TK_INSTRUCT_PROTOCOL,
    figures,
    ...(label === '3b' || label === '11b'
      ? {
          predictions: `github.com/yizhongw/Tk-Instruct, output/default/tk-instruct-${label}-def-pos/predicted_examples.jsonl`,
        }
      : {}),
  };
}

/** Table 1's Tk-Instruct, which the paper's authors trained by a recipe of their own (method §7.3). */
function table1(size: string, value: number): PrintedFigure {
  return { value, by: 'the paper', place: `Table 1, Tk-Instruct, Def + 2 Pos, ${size}`, weights: 'others' };
}

/** What the repository of Tk-Instruct prints for its own weights. */
function release(value: number): PrintedFigure {
  return { value, by: "Tk-Instruct's README", place: 'default track', weights: 'these' };
}

function t0(
  [name, repository]: readonly [string, string],
  licence: string | undefined,
  size: 'xl' | 'xxl',
  download: PublishedModel['download'],
  figures: readonly PrintedFigure[],
): PublishedModel {
  return {
    name,
    repository,
    licence,
    size,
    download,
    system: 't0',
    data: P3_HELD_OUT,
    protocol: T0_PROTOCOL,
    figures,
  };
}

/** The cards of the paper's T0 replications print both these and the originals, by data set. */
function card(size: '3B' | '11B', trained: keyof typeof PRINTED_T0): PrintedFigure {
  const { average, datasets } = PRINTED_T0[trained][size];
  return {
    value: average,
    by: "a card of the paper's authors",
    place: `hamishivi/hypertask_T0_${size}`,
    weights: 'these',
    datasets,
  };
}

/** Every released model whose evaluation can be repeated. A new one is a row here. */
export const PUBLISHED_MODELS: readonly PublishedModel[] = [
  tkInstruct('base', 'base', 499e6, [table1('250M', 42.9)]),
  tkInstruct('large', 'large', 1.57e9, []),
  tkInstruct('xl', '3b', 5.7e9, [table1('3B', 56.6), release(54.33)]),
  tkInstruct('xxl', '11b', 45.5e9, [table1('11B', 60.5), release(60.07)]),
  t0(['t0-3b', 'bigscience/T0_3B'], 'apache-2.0', 'xl', { bytes: 11.4e9, from: 'listing' }, [
    card('3B', 'released'),
  ]),
  t0(['t0-11b', 'bigscience/T0'], 'apache-2.0', 'xxl', { bytes: 44.5e9, from: 'listing' }, [
    card('11B', 'released'),
  ]),
  t0(
    ['hypertask-t0-3b', 'hamishivi/hypertask_T0_3B'],
    undefined,
    'xl',
    { bytes: 11.4e9, from: 'parameters' },
    [
      { value: PRINTED_T0.again['3B'].average, by: 'the paper', place: 'Table 2, T0, 3B', weights: 'these' },
      card('3B', 'again'),
    ],
  ),
  t0(
    ['hypertask-t0-11b', 'hamishivi/hypertask_T0_11B'],
    undefined,
    'xxl',
    { bytes: 44.5e9, from: 'parameters' },
    [card('11B', 'again')],
  ),
];

/**
 * A model by its name here or on the hub.
 *
 * @throws HintError INVALID_ARGUMENT listing the names there are
 */
export function findPublished(name: string): PublishedModel {
  const found = PUBLISHED_MODELS.find((model) => model.name === name || model.repository === name);
  if (found) return found;
  throw new HintError(
    'INVALID_ARGUMENT',
    `There is no published model ${JSON.stringify(name)} whose evaluation is known; choose one of ${PUBLISHED_MODELS.map((model) => model.name).join(', ')}.`,
  );
}
