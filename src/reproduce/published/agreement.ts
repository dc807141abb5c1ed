import type { Prediction } from '../../evaluation/prediction-files.js';
import { HintError } from '../../util/errors.js';

/** A prediction that is another text than the published one of the same instance. */
export interface Disagreement {
  readonly id: string;
  readonly task: string;
  readonly ours: string;
  readonly published: string;
}

/** How far predictions are those that were published, instance by instance. */
export interface Agreement {
  /** Instances that both have a prediction of. */
  readonly both: number;
  /** Of these, those whose texts are equal, white space around them aside. */
  readonly equal: number;
  readonly onlyOurs: number;
  readonly onlyPublished: number;
  /** Scores on the instances of both: the metric of the report, times 100. */
  readonly ourScore: number;
  readonly publishedScore: number;
  /** Tasks with instances of both, in the order of our predictions. */
  readonly tasks: readonly { readonly task: string; readonly both: number; readonly equal: number }[];
  /** The first that differ. */
  readonly first: readonly Disagreement[];
}

/** Differences that are shown. */
const MOST_SHOWN = 20;

/**
 * Checks that published predictions are of the data.
 *
 * @param ids of the examples of the data
 * @throws HintError INVALID_DATA where none is; what reading the data throws
 */
export async function requireCommon(
  ids: AsyncIterable<string>,
  published: readonly Prediction[],
): Promise<void> {
  const known = new Set(published.map(({ id }) => id));
  let first: string | undefined;
  for await (const id of ids) {
    if (known.has(id)) return;
    first ??= id;
  }
  // Data without any example are told where they are read.
  if (first === undefined) return;
  throw new HintError(
    'INVALID_DATA',
    `None of the ${published.length} published predictions is of an instance of the data: the first is of ${JSON.stringify(published[0]?.id)}, the first instance is ${JSON.stringify(first)}; give predictions on the same data.`,
  );
}

/**
 * Compares predictions with published ones by the ids of their instances.
 *
 * @param ours each with its task and its references
 * @param scoreOf the metric of the report; the published predictions are given to it with our references
 * @returns undefined where no instance is in both
 */
export function agreementOf(
  ours: readonly Prediction[],
  published: readonly Prediction[],
  scoreOf: (predictions: readonly Prediction[]) => number,
): Agreement | undefined {
  const theirs = new Map(published.map(({ id, prediction }) => [id, prediction]));
  const pairs = ours.flatMap((own) => {
    const other = theirs.get(own.id);
    return other === undefined ? [] : [{ own, other, isEqual: own.prediction.trim() === other.trim() }];
  });
  if (pairs.length === 0) return undefined;
  const tasks = new Map<string, { both: number; equal: number }>();
  for (const { own, isEqual } of pairs) {
    const { both, equal } = tasks.get(own.task ?? '') ?? { both: 0, equal: 0 };
    tasks.set(own.task ?? '', { both: both + 1, equal: equal + Number(isEqual) });
  }
  return {
    both: pairs.length,
    equal: pairs.filter(({ isEqual }) => isEqual).length,
    onlyOurs: ours.length - pairs.length,
    onlyPublished: theirs.size - pairs.length,
    ourScore: scoreOf(pairs.map(({ own }) => own)),
    publishedScore: scoreOf(pairs.map(({ own, other }) => ({ ...own, prediction: other.trim() }))),
    tasks: [...tasks].map(([task, counts]) => ({ task, ...counts })),
    first: pairs
      .filter(({ isEqual }) => !isEqual)
      .slice(0, MOST_SHOWN)
      .map(({ own, other }) => ({
        id: own.id,
        task: own.task ?? '',
        ours: own.prediction,
        published: other,
      })),
  };
}
