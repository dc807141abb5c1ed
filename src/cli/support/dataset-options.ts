import { Option, type Command } from 'commander';
import { checkDatasetKind, detectDatasetKind, type DatasetKind } from '../../data/detect.js';
import { SPLIT_UNITS, type OwnSplitting, type SplitUnit } from '../../data/own/dataset.js';
import type { SniSplit } from '../../data/natural-instructions/tasks.js';
import { P3_SPLITS } from '../../data/p3/format.js';
import { HintError } from '../../util/errors.js';
import { wholeNumber } from './options.js';

/** `--data`. @param setting its name in a configuration file, where there is one */
export function dataOption(setting?: string): Option {
  return new Option(
    '--data <path>',
    `a dataset: Super-NaturalInstructions, P3, or own data${named(setting)}`,
  );
}

/** `--kind`: what {@link datasetKind} is given. @param setting its name in a configuration file, where there is one */
export function kindOption(setting?: string): Option {
  return new Option('--kind <name>', `sni, p3 or own; default: by what is there${named(setting)}`);
}

/** `--instances`. @param absent how many where it is not given */
export function instancesOption(absent: number): Option {
  return new Option('--instances <n>', 'instances of each task')
    .argParser(wholeNumber('--instances', 1))
    .default(absent);
}

/** `--datasets`: names that {@link namesOf} takes apart. */
export function datasetsOption(): Option {
  return new Option('--datasets <names>', 'P3: only these, separated by commas');
}

function named(setting: string | undefined): string {
  return setting === undefined ? '' : ` (${setting})`;
}

/** Names that commas separate. */
export function namesOf(text: string | undefined): string[] | undefined {
  return text?.split(',');
}

/** The kind that --kind names, or else the one that the folder's files show. */
export async function datasetKind(directory: string, given: string | undefined): Promise<DatasetKind> {
  return given === undefined ? detectDatasetKind(directory) : checkDatasetKind(given);
}

/** Checks the value of a --split option for Super-NaturalInstructions. */
export function splitName(text: string): SniSplit {
  if (text === 'train' || text === 'test' || text === 'excluded') return text;
  throw new HintError('INVALID_ARGUMENT', `The split "${text}" is unknown; use train, test or excluded.`);
}

/** Checks the value of a --split option for P3. */
export function p3SplitName(text: string): (typeof P3_SPLITS)[number] {
  const found = P3_SPLITS.find((split) => split === text);
  if (found) return found;
  throw new HintError('INVALID_ARGUMENT', `The split "${text}" is unknown; P3 has ${P3_SPLITS.join(', ')}.`);
}

/** What {@link addSplittingFlags} gives a command. */
export interface SplittingFlags {
  splitField?: string;
  testFraction?: number;
  splitBy?: SplitUnit;
}

/** Options that say how own data are split. */
export function addSplittingFlags(command: Command): Command {
  return command
    .option('--split-field <name>', 'own data: the field that says which split a record is in')
    .option('--test-fraction <x>', 'own data: share of the records without that field that is test', fraction)
    .addOption(
      new Option('--split-by <unit>', 'own data: what goes into a split as one').choices([...SPLIT_UNITS]),
    );
}

/** How own data are split, of the flags that are given. */
export function splittingOf({ splitField, testFraction, splitBy }: SplittingFlags): OwnSplitting {
  return { splitField, testFraction, splitBy };
}

function fraction(text: string): number {
  const value = Number(text);
  if (text.trim() !== '' && value >= 0 && value <= 1) return value;
  throw new HintError('INVALID_ARGUMENT', `--test-fraction is "${text}"; give a number from 0 to 1.`);
}

/** Checks the value of a --form option. */
export function formName(text: string | undefined): 'joint' | 'split' | undefined {
  if (text === undefined || text === 'joint' || text === 'split') return text;
  throw new HintError('INVALID_ARGUMENT', `The form "${text}" is unknown; use joint or split.`);
}
