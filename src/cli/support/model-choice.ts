import { Option, type Command } from 'commander';
import { HintError } from '../../util/errors.js';
import {
  readModelConfig,
  readsInstruction,
  type HintConfig,
  type ModelConfig,
} from '../../model/config/config.js';
import { PUBLISHED_SIZES, modelOfSize, sizeTitle } from '../../model/config/sizes.js';
import { findSystem, SYSTEMS, type HintOptions } from '../../systems/index.js';
import { wholeNumber } from './options.js';
import { MODEL_NAME, modelFolder } from './model-name.js';

/** Options that say which model is accounted for. */
export interface ModelChoiceOptions {
  size?: string;
  system?: string;
  adapterSize?: number;
  prefixLength?: number;
}

/** A model to account for: nothing but shapes. */
export interface ModelChoice {
  /** For titles. */
  name: string;
  system: string;
  config: ModelConfig;
  /** The encoder reads [instruction; input]. */
  instructionInInput: boolean;
  /** Whether an instruction is read by anything. */
  takesInstruction: boolean;
}

/** Adds the argument `[model]` and --size, --system, --adapter-size and --prefix-length. */
export function addModelChoice(command: Command): Command {
  return command
    .argument('[model]', `${MODEL_NAME} (its config.json is all that is read)`, modelFolder)
    .addOption(
      new Option('--size <name>', 'a published T5 v1.1 size instead of a model directory').choices(
        PUBLISHED_SIZES,
      ),
    )
    .option(
      '--system <name>',
      `${SYSTEMS.map(({ name }) => name).join(', ')} (default: hint, or tk-instruct for a directory with a plain T5)`,
    )
    .option('--adapter-size <n>', "the adapters' width, 0 for none", wholeNumber('--adapter-size'))
    .option('--prefix-length <n>', 'prefixes per attention, 0 for none', wholeNumber('--prefix-length'));
}

/**
 * The model that an argument and options name; reads config.json at most.
 *
 * @throws HintError INVALID_ARGUMENT unless there is a directory or a size; what reading the configuration throws
 */
export async function chooseModel(
  directory: string | undefined,
  options: ModelChoiceOptions,
): Promise<ModelChoice> {
  if ((directory === undefined) === (options.size === undefined)) {
    throw new HintError('INVALID_ARGUMENT', 'Give either a model directory or --size, such as --size base.');
  }
  const base =
    directory === undefined ? modelOfSize(options.size as string) : await readModelConfig(directory);
  const system = findSystem(
    options.system ?? (directory === undefined || base.hint ? 'hint' : 'tk-instruct'),
  );
  const given: HintOptions = {
    ...(options.adapterSize === undefined ? {} : { adapterSize: options.adapterSize }),
    ...(options.prefixLength === undefined ? {} : { prefixLength: options.prefixLength }),
  };
  const hint = system.hint(base, given);
  const hypernetwork = hint !== undefined && readsInstruction(hint);
  const seesInput = system.setting(0).format !== 'no-instruct';
  return {
    name: directory ?? sizeTitle(options.size as string),
    system: system.name,
    config: withHint(base, hint),
    instructionInInput: !hypernetwork && seesInput,
    takesInstruction: hypernetwork || seesInput,
  };
}

function withHint(base: ModelConfig, hint: HintConfig | undefined): ModelConfig {
  if (hint) return { ...base, hint };
  const plain = { ...base };
  delete plain.hint;
  return plain;
}
