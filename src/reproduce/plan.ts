import { join, resolve } from 'node:path';
import { corpusFingerprint, findTextFiles } from '../data/text/files.js';
import { HintError } from '../util/errors.js';
import { findSystem } from '../systems/index.js';
import { parseTrainingConfig, type TrainingConfig } from '../training/config/config.js';
import { mergeSettings } from '../training/config/overrides.js';
import { findRecipe, PRETRAINING } from '../training/config/recipes.js';
import { sha256Hex } from '../util/hash.js';
import { contentsOf } from './contents.js';
import { startsOf, type Start } from './starts.js';
import type { Grid, GridCell, PaperSize } from './grid.js';
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
  const dataContents = await contentsOf(settings.data, 'the data');
  const { text } = settings;
  const textContents = text.length > 0 ? await corpusFingerprint(await findTextFiles(text)) : '';
  const cells: PlannedCell[] = [];
  const families = await startsOf(grid, settings);
  for (const { model, start, cells: own } of families) {
    for (const seed of settings.seeds) {
      for (const cell of own) {
        const pretraining = planPretraining(cell, model, { ...start, text: textContents }, seed, settings);
        const config = fineTuning(grid, cell, model, start, seed, settings, pretraining);
        const identity = [
          pretraining?.id ?? start.contents,
          dataContents,
          lasting(config),
          settings.evaluation,
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
          evaluation: settings.evaluation,
        });
      }
    }
  }
  return cells;
}

/** What a grid decides for every cell, and options of its own decide for all of them. */
const DECIDED = [
  ['system'],
  ['seed'],
  ['output'],
  ['model', 'init'],
  ['data', 'kind'],
  ['data', 'directory'],
  ['data', 'files'],
  ['data', 'objective'],
  ['data', 'positives'],
  ['data', 'form'],
  ['data', 'shots'],
] as const;

function checkSettings(grid: Grid, settings: ReproduceSettings): void {
  const { text, pretrainSteps, seeds, models } = settings;
  const wrong = (message: string): HintError => new HintError('INVALID_ARGUMENT', message);
  for (const overrides of [settings.training, settings.pretraining, settings.decoderTraining]) {
    const decided = DECIDED.find((path) => has(overrides, path));
    if (decided)
      throw wrong(
        `${decided.join('.')} is what ${grid.name} sets for each of its cells, so it cannot be overridden for all of them; leave it out.`,
      );
  }
  if (models.length === 0) throw wrong('There is no model to start from; give at least one.');
  if (seeds.length === 0) throw wrong('There is no seed; give at least one, such as 0.');
  const pretrains = grid.cells.some(({ pretraining }) => pretraining !== undefined);
  if (grid.comparesPretraining && pretrainSteps === 0)
    throw wrong(
      `${grid.name} compares ways to pretrain, so 0 pretraining steps leave nothing of it; give more.`,
    );
  if (pretrains && pretrainSteps !== 0 && text.length === 0)
    throw wrong(
      `${grid.name} pretrains hypernetworks, but there is no text; name text files, or give 0 pretraining steps to leave that out.`,
    );
}

function has(settings: unknown, [key = '', ...rest]: readonly string[]): boolean {
  if (typeof settings !== 'object' || settings === null || !Object.hasOwn(settings, key)) return false;
  return rest.length === 0 || has((settings as Record<string, unknown>)[key], rest);
}

/** Three passes over the 75,417 training examples in batches of 32; the rest is what their systems say (method §3.5). */
const DECODER_RECIPE = { steps: 7070, saveEvery: 500 };

/** What is said of training T5s with Adafactor has no meaning for AdamW. */
const OF_T5 = [
  'learningRate',
  'schedule',
  'warmupSteps',
  'optimizer',
  'zLoss',
  'firstStep',
  'paramDtype',
  'dropout',
];

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
    steps: settings.pretrainSteps,
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

function fineTuning(
  grid: Grid,
  cell: GridCell,
  model: StartingModel,
  start: Start,
  seed: number,
  settings: ReproduceSettings,
  pretraining: PlannedRun | undefined,
): TrainingConfig {
  const { training } = findSystem(cell.system);
  const recipe = training ? DECODER_RECIPE : without(findRecipe(grid.dataset).settings, ['firstStep']);
  const over = training
    ? mergeSettings(without(settings.training, OF_T5), settings.decoderTraining ?? {})
    : settings.training;
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
    steps: settings.steps,
    ...machine(settings),
    seed,
    output: settings.output,
    keepCheckpoints: 1,
    firstStep: pretraining ? undefined : start.firstStep,
  };
  const merged = mergeSettings(mergeSettings(recipe, defined(own)), over);
  return parseTrainingConfig(merged, `The training of ${cell.row}`);
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

function without(settings: object, keys: readonly string[]): object {
  return Object.fromEntries(Object.entries(settings).filter(([key]) => !keys.includes(key)));
}

function idOf(name: string, identity: unknown): string {
  return `${name}-${sha256Hex(JSON.stringify(identity)).slice(0, 12)}`;
}
