import { PROMPT_TOKENS } from '../../data/natural-instructions/prompts.js';
import { shellWord } from '../../util/shell-word.js';
import type { DataConfig, LabelledDataConfig } from '../config/data-config.js';
import { validationOf, type ValidationSet } from '../config/validation-config.js';
import type { TrainingConfig } from '../config/config.js';
import type { RunRecord } from '../runs/read-run.js';
import { publishedBase } from './public-settings.js';

/** A score on a model card. */
export interface PublishedScore {
  /** Of the hub's list of metrics. */
  readonly metric: 'rouge' | 'exact_match' | 'accuracy' | 'cross_entropy';
  readonly name: string;
  readonly value: number;
  readonly dataset: string;
  readonly examples: number;
  readonly command: string;
}

const KINDS: Readonly<Record<DataConfig['kind'], string>> = {
  sni: 'Super-NaturalInstructions',
  p3: 'P3',
  own: 'own data',
  text: 'plain text',
};

const NAMES = {
  rougeL: ['rouge', 'RougeL'],
  exactMatch: ['exact_match', 'exact match'],
  accuracy: ['accuracy', 'accuracy'],
  loss: ['cross_entropy', 'loss per target token, nats'],
} as const;

/** The scores of a run's model by the validation after its step, with the commands that give them again. */
export function publishedScores({ config, validations }: RunRecord, step: number): PublishedScore[] {
  const settings = validationOf(config);
  const line = validations.findLast((one) => one.step === step);
  if (!settings || !line) return [];
  const { validation } = line;
  const dataset = describeSet(config.data, settings.set);
  const again = trainCommand(config);
  const evaluated =
    settings.set.kind === 'data' ? evalCommand(settings.set.data, settings.instancesPerTask) : undefined;
  return (Object.keys(NAMES) as (keyof typeof NAMES)[]).flatMap((key) => {
    const value = validation[key];
    if (value === undefined) return [];
    const [metric, name] = NAMES[key];
    const command = (key === 'rougeL' || key === 'exactMatch' ? evaluated : undefined) ?? again;
    return [
      { metric, name, value: Number(value.toPrecision(6)), dataset, examples: validation.examples, command },
    ];
  });
}

/** What trains the run again: capitals stand for what its settings name by last parts of paths. */
function trainCommand({ model, validation }: TrainingConfig): string {
  const { init, tokenizer } = model;
  const base = publishedBase(init);
  const own = validation?.data;
  return [
    'hint train --config training_config.json',
    ...(typeof init === 'string' ? [`--init ${base ? `${base.name}@${base.commit}` : 'MODEL'}`] : []),
    ...(tokenizer === undefined ? [] : ['--set model.tokenizer=TOKENIZER']),
    '--data DATA',
    ...(own ? [`--set validation.data.${'files' in own ? 'files' : 'directory'}=VALIDATION`] : []),
    '--output RUN',
  ].join(' ');
}

/** The name of data by their kind. */
export function kindName(kind: DataConfig['kind']): string {
  return KINDS[kind];
}

function describeSet(training: DataConfig, set: ValidationSet): string {
  if (set.kind === 'data') return `${kindName(set.data.kind)}, split ${set.data.split}`;
  const unit = set.by === 'task' ? 'tasks' : 'examples';
  return `${kindName(training.kind)}, ${100 * set.fraction} % of the training ${unit}, held out`;
}

/** What scores a model as its validation did; undefined where `hint eval` counts other examples. */
function evalCommand(data: LabelledDataConfig, instances: number | undefined): string | undefined {
  // Mixtures of P3 are validated by rows, and hint eval takes all there are.
  if (data.kind === 'p3' || (data.kind === 'own' && instances !== undefined)) return undefined;
  if (data.maxInstructionTokens !== PROMPT_TOKENS || data.maxInputTokens !== PROMPT_TOKENS) return undefined;
  const shown = `--positives ${data.positives} --max-tokens ${data.maxTargetTokens}`;
  if (data.kind === 'own') {
    const split = `--split ${shellWord(data.split)} --split-field ${shellWord(data.splitField)} --split-by ${data.splitBy}`;
    return `hint eval . --data DATA --kind own ${split} --test-fraction ${data.testFraction} ${shown}`;
  }
  const track = data.track === 'default' ? '' : ` --track ${shellWord(data.track)}`;
  const each = Math.min(data.instancesPerTask, instances ?? Infinity);
  return `hint eval . --data DATA --kind sni --split ${data.split}${track} --instances ${each} ${shown}`;
}
