import { readdir } from 'node:fs/promises';
import { basename, resolve } from 'node:path';
import { HintError } from '../../../util/errors.js';
import { familyOfDirectory } from '../../../model/families/registry.js';
import { MODEL_SIZES, modelOfSize } from '../../../model/config/sizes.js';
import type { ReproduceSettings, StartingModel } from '../../../reproduce/index.js';
import { applyOverrides, mergeSettings } from '../../../training/config/overrides.js';
import { readJson } from '../../../util/read-file.js';
import type { DemoWorld } from './demo-world.js';

/** What `hint reproduce` is given. */
export interface ReproduceOptions {
  row?: string[];
  column?: string[];
  data?: string;
  p3?: string;
  text?: string[];
  init: string[];
  size?: string;
  gpt2?: string;
  opt?: string;
  modelConfig?: string;
  tokenizer?: string;
  steps?: number;
  pretrainSteps?: number;
  seeds: number[];
  adapterSize?: number;
  prefixLength?: number;
  instances?: number;
  maxTokens?: number;
  batchSize: number;
  shots?: number[];
  rounds?: number;
  set: string[];
  setPretraining: string[];
  setDecoder: string[];
  output: string;
  device?: string;
  threads?: number;
  demo: boolean;
  json: boolean;
}

const INSTANCES = 100;
const MAX_TOKENS = 128;

/**
 * The settings that options state.
 *
 * @param world what --demo puts in place of data, text and model
 * @throws HintError INVALID_ARGUMENT for options that exclude each other or are missing, NOT_FOUND, INVALID_JSON
 */
export async function readSettings(
  options: ReproduceOptions,
  world: DemoWorld | undefined,
): Promise<ReproduceSettings> {
  const data = options.data ?? world?.data;
  if (data === undefined)
    throw wrong(
      'There are no data; give --data with a Super-NaturalInstructions or P3 directory, or --demo.',
    );
  return {
    data: resolve(data),
    ...(options.data === undefined && world && { dataName: world.dataName }),
    text: (options.text ?? world?.text ?? []).map((path) => resolve(path)),
    models: await startingModels(options, world),
    decoders: { ...(await decoderOf('gpt2', options.gpt2)), ...(await decoderOf('opt', options.opt)) },
    decoderTraining: over(undefined, options.setDecoder),
    seeds: options.seeds,
    steps: options.steps ?? world?.steps,
    pretrainSteps: options.pretrainSteps ?? world?.pretrainSteps,
    sizes: {
      adapterSize: options.adapterSize ?? world?.sizes.adapterSize,
      prefixLength: options.prefixLength ?? world?.sizes.prefixLength,
    },
    training: over(world?.training, options.set),
    pretraining: over(world?.pretraining, options.setPretraining),
    evaluation: {
      instances: options.instances ?? world?.instances ?? INSTANCES,
      maxTokens: options.maxTokens ?? world?.maxTokens ?? MAX_TOKENS,
      batchSize: options.batchSize,
    },
    device: options.device === 'cpu' ? undefined : options.device,
    threads: options.threads,
    output: resolve(options.output),
  };
}

/** A decoder-only model: a directory as it is, or new weights where it has no more than a configuration and a tokenizer. */
async function decoderOf(family: string, path: string | undefined): Promise<Record<string, StartingModel>> {
  if (path === undefined) return {};
  const directory = resolve(path);
  const { family: found, config, path: file } = await familyOfDirectory(directory);
  found.checkConfig(config, file);
  if (found.name !== family)
    throw wrong(
      `--${family} is ${path}, a model of another family (${found.title}); give a directory whose config.json has the model_type "${family}".`,
    );
  const label = basename(directory);
  const names = await readdir(directory);
  if (names.some((name) => name.startsWith('model') && name.includes('.safetensors')))
    return { [family]: { label, init: directory } };
  const init = { config: config as Record<string, unknown> };
  return { [family]: { label: `new ${label}`, init, tokenizer: directory } };
}

async function startingModels(
  { init, size, modelConfig, tokenizer }: ReproduceOptions,
  world: DemoWorld | undefined,
): Promise<StartingModel[]> {
  const ways = [init.length > 0, size !== undefined, modelConfig !== undefined].filter(Boolean).length;
  if (ways > 1)
    throw wrong('--init, --size and --model-config exclude each other: a model starts from one of them.');
  const words = tokenizer === undefined ? {} : { tokenizer: resolve(tokenizer) };
  if (init.length > 0)
    return init.map((path) => ({ label: basename(resolve(path)), init: resolve(path), ...words }));
  if (ways === 0 && world) {
    if (tokenizer === undefined) return [world.model];
    throw wrong(
      '--tokenizer is of a model that --init, --size or --model-config gives, and --demo has one of its own; give one of these, or leave --tokenizer out.',
    );
  }
  if (ways === 0)
    throw wrong(
      `There is no model to start from; give --init with a T5 directory, or --size with one of ${MODEL_SIZES.join(', ')} for a new one.`,
    );
  if (tokenizer === undefined)
    throw wrong('A new model brings no tokenizer; give --tokenizer with a tokenizer.json or its folder.');
  if (modelConfig !== undefined) {
    const config = await readJson(modelConfig, 'the model configuration');
    return [
      {
        label: basename(modelConfig, '.json'),
        init: { config: config as Record<string, unknown> },
        ...words,
      },
    ];
  }
  return (size ?? '').split(',').map((name) => {
    modelOfSize(name);
    return { label: `new ${name}`, init: { size: name as (typeof MODEL_SIZES)[number] }, ...words };
  });
}

function over(under: object | undefined, assignments: readonly string[]): object {
  return mergeSettings(under ?? {}, applyOverrides({}, assignments)) as object;
}

function wrong(message: string): HintError {
  return new HintError('INVALID_ARGUMENT', message);
}
