import { HintError } from '../util/errors.js';
import { parseModelConfig, readModelConfig, type ModelConfig } from '../model/config/config.js';
import { sizedConfig, type ModelSize } from '../model/config/sizes.js';
import { parameterCount } from '../model/parameters/parameter-shapes.js';
import { findSystem, type System } from '../systems/index.js';
import { readLineage } from '../training/run/lineage.js';
import { findRecipe, pretrainingSteps } from '../training/config/recipes.js';
import { contentsOf } from './contents.js';
import type { Grid, GridCell } from './grid.js';
import type { PaperSize } from './paper-size.js';
import type { ReproduceSettings, StartingModel } from './settings.js';

/** What is known of a starting model. */
export interface Start {
  size: PaperSize | undefined;
  /** Of a T5, whose configuration says it. */
  parameters: number | undefined;
  /** Updates of the paper's pretraining beside a model of this size; undefined for models without a hypernetwork. */
  pretrainingSteps: number | undefined;
  /** Stands for the model's and its tokenizer's contents. */
  contents: string;
  /** Where the step counter begins in fine-tuning without pretraining; undefined: as the engine finds it. */
  firstStep: number | undefined;
}

const PAPER_NAMES: readonly (readonly [ModelSize, PaperSize])[] = [
  ['base', '250M'],
  ['xl', '3B'],
  ['xxl', '11B'],
];

async function describeStart({ init, tokenizer }: StartingModel): Promise<Start> {
  const words = tokenizer === undefined ? '' : await contentsOf(tokenizer, 'the tokenizer');
  const config = await configOf(init);
  const size = PAPER_NAMES.find(([name]) => {
    const { dModel, numLayers } = sizedConfig(name);
    return dModel === config.dModel && numLayers === config.numLayers;
  })?.[1];
  const known = { size, parameters: parameterCount(config), pretrainingSteps: pretrainingSteps(config) };
  if (typeof init !== 'string')
    return { ...known, contents: `${JSON.stringify(init)} ${words}`, firstStep: undefined };
  // A directory that records no steps counts as an LM-adapted T5, as in the recipes.
  const firstStep = (await readLineage(init)) ? undefined : findRecipe('sni').settings.firstStep;
  return { ...known, contents: `${await contentsOf(init, 'the model')} ${words}`, firstStep };
}

async function describeDecoder({ init, tokenizer }: StartingModel): Promise<Start> {
  const words = tokenizer === undefined ? '' : await contentsOf(tokenizer, 'the tokenizer');
  const contents = typeof init === 'string' ? await contentsOf(init, 'the model') : JSON.stringify(init);
  const unknown = {
    size: undefined,
    parameters: undefined,
    pretrainingSteps: undefined,
    firstStep: undefined,
  };
  return { ...unknown, contents: `${contents} ${words}` };
}

async function configOf(init: StartingModel['init']): Promise<ModelConfig> {
  if (typeof init === 'string') return readModelConfig(init);
  return 'size' in init ? sizedConfig(init.size) : parseModelConfig(init.config, 'The starting model');
}

/** Starting models, each with the cells that start from it: T5s, then the models that baselines of other families are given. */
export async function startsOf(
  grid: Grid,
  { models, decoders }: ReproduceSettings,
): Promise<{ model: StartingModel; start: Start; cells: GridCell[] }[]> {
  const cellsOf = (belongs: (system: System) => boolean): GridCell[] =>
    grid.cells.filter(({ system }) => belongs(findSystem(system)));
  const starts = [];
  for (const model of models)
    starts.push({ model, start: await describeStart(model), cells: cellsOf(({ training }) => !training) });
  for (const [name, model] of Object.entries(decoders ?? {})) {
    const cells = cellsOf(({ training, family }) => training !== undefined && family === name);
    starts.push({ model, start: await describeDecoder(model), cells });
  }
  if (starts.some(({ cells }) => cells.length > 0)) return starts;
  throw new HintError(
    'INVALID_ARGUMENT',
    `${[...new Set(grid.cells.map(({ row }) => row))].join(', ')} of ${grid.name} start from a decoder-only model, and none is given; give one of that family.`,
  );
}
