import type { Command } from 'commander';
import { Engine } from '../../inference/engine.js';
import type { WeightDType } from '../../tensor/ops.js';
import { note } from './output.js';
import { deviceOption, dtypeOption, threadsOption } from './options.js';

/** Options of commands that open an engine. */
export interface EngineFlags {
  tokenizer?: string;
  dtype: WeightDType;
  device: string;
  threads: number;
}

/** Adds --tokenizer, --dtype, --device and --threads. */
export function addEngineOptions(command: Command): Command {
  return command
    .option('--tokenizer <path>', 'a tokenizer.json elsewhere')
    .addOption(dtypeOption())
    .addOption(deviceOption())
    .addOption(threadsOption());
}

/** Opens a model directory as the options say. @throws HintError what {@link Engine.open} throws */
export function openEngine(
  directory: string,
  { tokenizer, dtype, device, threads }: EngineFlags,
  signal: AbortSignal,
): Promise<Engine> {
  const words = tokenizer === undefined ? {} : { tokenizer };
  return Engine.open(directory, { device, dtype, threads, signal, ...words });
}

/** Says, once, what the model's files ask for that is not done; of commands that generate. */
export function tellNotices({ notices }: Pick<Engine, 'notices'>): void {
  for (const notice of notices) note(`warning: ${notice}`);
}
