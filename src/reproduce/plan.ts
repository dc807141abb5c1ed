import { join, resolve } from 'node:path';
import { corpusFingerprint, findTextFiles } from '../data/text/files.js';
import { findSystem } from '../systems/index.js';
import { parseTrainingConfig, type TrainingConfig } from '../training/config/config.js';
import { mergeSettings } from '../training/config/overrides.js';
import { planSweep, type SweepAxis, type SweepPlan } from '../training/runs/sweep.js';
import { findRecipe, PRETRAINING } from '../training/config/recipes.js';
import { sha256Hex } from '../util/hash.js';
import { contentsOf } from './contents.js';
import { checkData } from './check-data.js';
import { checkSettings } from './check-settings.js';
import { decoderRecipe, decoderSettings, searchAxes } from './decoder-search.js';
import { startsOf, type Start } from './starts.js';
import type { Grid, GridCell } from './grid.js';
import type { PaperSize } from './paper-size.js';
import type { EvaluationSettings, ReproduceSettings, StartingModel } from './settings.js';

/** A training run of a plan; its folder's name says what it is, and a hash of all that its result depends on. */
export interface PlannedRun {
  readonly id: string;
  readonly folder: string;
  readonly config: TrainingConfig;
}

/** A cell with one starting model and one seed. */
export interface PlannedCell extends PlannedRun {
  readonly cell: GridCell;
  readonly model: string;
  /** Where the starting model has a size that the paper names. */
  readonly size: PaperSize | undefined;
  /** Of the starting model, where they are known before it is opened. */
  readonly parameters: number | undefined;
  readonly seed: number;
  /** `config` starts from its result. */
  readonly pretraining: PlannedRun | undefined;
  /** Trainings of which the best by validation is taken, in place of one with `config`, which has what they share. */
  readonly search: SweepPlan | undefined;
  readonly evaluation: EvaluationSettings;
}

/**
 * Every run of a grid, in the order of models, seeds and cells. Nothing is written.
 *
 * @throws HintError INVALID_ARGUMENT for settings that do not fit the grid, INVALID_CONFIG for overrides that cannot be,
 *   NOT_FOUND for a model or data that are not there
 */
export async function planCells(grid: Grid, settings: ReproduceSettings): Promise<PlannedCell[]> {
  checkSettings(grid, settings);
  const contents = { data: await dataContents(settings), text: await textContents(settings) };
  const cells = await cellsWith(grid, settings, contents);
  await checkData(cells.map(({ config }) => config));
  return cells;
}

/**
 * Checks settings and starting models as {@link planCells} does, before data or text are written that are to be made for them.
 *
 * @param made which are not there yet; what is there is looked for
 * @throws HintError as {@link planCells}
 */
export async function checkPlan(
  grid: Grid,
  settings: ReproduceSettings,
  made: { readonly data: boolean; readonly text: boolean },
): Promise<void> {
  checkSettings(grid, settings);
  const contents = {
    data: made.data ? '' : await dataContents(settings),
    text: made.text ? '' : await textContents(settings),
  };
  const cells = await cellsWith(grid, settings, contents);
  if (!made.data) await checkData(cells.map(({ config }) => config));
}

function dataContents({ data }: ReproduceSettings): Promise<string> {
  return contentsOf(data, 'the data');
}

async function textContents({ text }: ReproduceSettings): Promise<string> {
  return text.length > 0 ? corpusFingerprint(await findTextFiles(text)) : '';
}

/** @param contents what stands for those of data and text in the names of cells */
async function cellsWith(
  grid: Grid,
  settings: ReproduceSettings,
  contents: { readonly data: string; readonly text: string },
): Promise<PlannedCell[]> {
  const cells: PlannedCell[] = [];
  const families = await startsOf(grid, settings);
  for (const { model, start, cells: own } of families) {
    for (const seed of settings.seeds) {
      for (const cell of own) {
        const pretraining = planPretraining(cell, model, { ...start, text: contents.text }, seed, settings);
        const axes = searchAxes(findSystem(cell.system), settings);
        const config = fineTuning({ grid, cell, model, start, seed, settings, pretraining, axes });
        const identity = [
          pretraining?.id ?? start.contents,
          contents.data,
          lasting(config),
          settings.evaluation,
          ...(axes.length > 0 ? [axes] : []),
        ];
        const id = idOf(`${cell.system}-s${seed}`, identity);
        const folder = join(resolve(settings.output), 'cells', id);
        cells.push({
          id,
          folder,
          config: { ...config, output: join(folder, 'run') },
          cell,
          model: model.label,
          size: start.size,
          parameters: start.parameters,
          seed,
          pretraining,
          search:
            axes.length === 0
              ? undefined
              : planSweep({ config, axes, seeds: 1, output: join(folder, 'search'), source: whatOf(cell) }),
          evaluation: settings.evaluation,
        });
      }
    }
  }
  return cells;
}

function planPretraining(
  cell: GridCell,
  model: StartingModel,
  start: Start & { text: string },
  seed: number,
  settings: ReproduceSettings,
): PlannedRun | undefined {
  if (cell.pretraining === undefined || settings.pretrainSteps === 0) return undefined;
  const own = {
    system: cell.system,
    model: modelSettings(cell, model, start, settings),
    data: { kind: 'text', files: settings.text, objective: cell.pretraining },
    steps: Math.round(
      (cell.pretrainingShare ?? 1) * (settings.pretrainSteps ?? start.pretrainingSteps ?? PRETRAINING.steps),
    ),
    ...machine(settings),
    seed,
    output: settings.output,
    keepCheckpoints: 1,
  };
  const merged = mergeSettings(mergeSettings(PRETRAINING, defined(own)), settings.pretraining);
  const config = parseTrainingConfig(merged, 'The pretraining');
  const identity = [start.contents, start.text, lasting(config)];
  const id = idOf(`pretrained-${cell.system}-${cell.pretraining}-s${seed}`, identity);
  const folder = join(resolve(settings.output), 'pretrained', id);
  return { id, folder, config: { ...config, output: join(folder, 'run') } };
}

interface CellToTrain {
  readonly grid: Grid;
  readonly cell: GridCell;
  readonly model: StartingModel;
  readonly start: Start;
  readonly seed: number;
  readonly settings: ReproduceSettings;
  readonly pretraining: PlannedRun | undefined;
  readonly axes: readonly SweepAxis[];
}

function fineTuning({
  grid,
  cell,
  model,
  start,
  seed,
  settings,
  pretraining,
  axes,
}: CellToTrain): TrainingConfig {
  const { training } = findSystem(cell.system);
  const recipe = training ? decoderRecipe(axes, settings) : recipeOf(grid, cell, settings);
  const over = training ? decoderSettings(settings) : settings.training;
  const plain = modelSettings(cell, model, start, settings);
  const trained = pretraining && join(pretraining.config.output, 'model');
  const own = {
    system: cell.system,
    model: trained === undefined ? plain : { ...plain, init: trained },
    data: {
      kind: grid.dataset,
      directory: settings.data,
      cache: join(resolve(settings.output), 'tokens'),
      ...cell.data,
    },
    ...(training ? { steps: settings.steps } : {}),
    ...machine(settings),
    seed,
    output: settings.output,
    keepCheckpoints: 1,
    firstStep: pretraining ? undefined : start.firstStep,
  };
  const merged = mergeSettings(mergeSettings(recipe, defined(own)), over);
  return parseTrainingConfig(merged, whatOf(cell));
}

/** What errors call the training of a cell. */
function whatOf({ row }: GridCell): string {
  return `The training of ${row}`;
}

/**
 * The settings of a T5's training. A cell with a recipe of its own takes as many times the steps that are asked for as that takes of the
 * data's. Its mixture is left out: that of the rows that are there is the published one where they are P3's.
 */
function recipeOf({ dataset }: Grid, { recipe }: GridCell, { steps }: ReproduceSettings): object {
  const usual = findRecipe(dataset).settings;
  const own = recipe === undefined ? usual : findRecipe(recipe).settings;
  const [usualSteps, ownSteps] = [usual.steps as number, own.steps as number];
  const rest = without(own, ['firstStep', 'data']);
  return steps === undefined ? rest : { ...rest, steps: Math.round((steps * ownSteps) / usualSteps) };
}

function modelSettings(
  { modules }: GridCell,
  { init, tokenizer }: StartingModel,
  { size }: Start,
  { sizes }: ReproduceSettings,
): object {
  return defined({ init, tokenizer, hint: modules?.(sizes, size) });
}

function machine({ device, threads }: ReproduceSettings): object {
  return defined({ device, threads });
}

function defined(settings: object): object {
  return Object.fromEntries(Object.entries(settings).filter(([, value]) => value !== undefined));
}

/** What of a configuration its result depends on, but for files, whose contents count instead. */
function lasting(config: TrainingConfig): object {
  // In which gradients travel unless said otherwise; cells of versions that did not ask keep their folders.
  const unsaid = config.gradientDtype === 'f32' ? ['gradientDtype'] : [];
  return {
    ...without(config, ['output', 'threads', 'saveEvery', 'keepCheckpoints', 'logEvery', ...unsaid]),
    model: without(config.model, ['init', 'tokenizer']),
    data: without(config.data, ['directory', 'files', 'cache', 'threads']),
  };
}

/** Settings but for some keys. */
function without(settings: object, keys: readonly string[]): object {
  return Object.fromEntries(Object.entries(settings).filter(([key]) => !keys.includes(key)));
}

function idOf(name: string, identity: unknown): string {
  return `${name}-${sha256Hex(JSON.stringify(identity)).slice(0, 12)}`;
}
