import type { PrintedDatasets } from './grid.js';

/**
 * The data sets that T0 is evaluated on (method §8.5), in the order of the paper's tables, and what their files are called.
 * The rounds of ANLI are one data set.
 */
export const T0_DATASETS: readonly (readonly [name: string, file: RegExp])[] = [
  ['ANLI', /^anli(_r\d)?$/],
  ['HellaSwag', /^hellaswag$/],
  ['StoryCloze', /^story_?cloze(_2016)?$/],
  ['CB', /^super_glue_cb$/],
  ['COPA', /^super_glue_copa$/],
  ['RTE', /^super_glue_rte$/],
  ['WiC', /^super_glue_wic$/],
  ['WSC', /^super_glue_wsc([._]fixed)?$/],
  ['WinoGrande', /^winogrande(_winogrande)?(_xl)?$/],
];

/** The paper's name of a data set; one that the paper does not have keeps its own. */
export function datasetName(file: string): string {
  return T0_DATASETS.find(([, pattern]) => pattern.test(file))?.[0] ?? file;
}

const byDataset = (accuracies: readonly number[]): PrintedDatasets =>
  Object.fromEntries(T0_DATASETS.map(([name], i) => [name, accuracies[i] as number]));

/**
 * Accuracies that the paper's authors print by data set: of T0 as it was released, and of the T0 that they trained again. They are those of
 * the model cards of hamishivi/hypertask_T0_3B, whose average is that of Table 2, and hamishivi/hypertask_T0_11B.
 */
export const PRINTED_T0 = {
  released: {
    '3B': { average: 55.2, datasets: byDataset([33.4, 27.2, 84.0, 45.4, 75.9, 64.6, 50.7, 65.1, 51.0]) },
    '11B': { average: 65.2, datasets: byDataset([41.0, 33.6, 92.4, 70.1, 91.5, 81.0, 56.1, 61.1, 59.9]) },
  },
  again: {
    '3B': { average: 64.4, datasets: byDataset([41.7, 30.1, 96.9, 72.7, 89.1, 81.2, 51.7, 57.2, 59.2]) },
    '11B': { average: 68.9, datasets: byDataset([46.8, 34.1, 98.2, 81.2, 96.6, 84.0, 52.1, 62.6, 64.8]) },
  },
} as const;
