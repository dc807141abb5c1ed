import { Option } from 'commander';
import { LATENCY_DTYPES } from '../../../benchmark/latency-run.js';
import { PUBLISHED_SIZES } from '../../../model/config/sizes.js';
import { oneOf, sizeName } from '../../support/choices.js';
import { wholeNumber } from '../../support/options.js';

// Options that several measurements take.

/** `--size` of a model with random weights. @param absent the size where none is given */
export function sizeOption(absent: string): Option {
  return new Option('--size <name>', `T5 v1.1's shape: ${PUBLISHED_SIZES.join(', ')}`)
    .argParser(sizeName)
    .default(absent);
}

/** `--adapter-size` of a model with random weights. */
export function adapterSizeOption(): Option {
  return new Option('--adapter-size <n>', "the width of HINT's adapters, where weights are random")
    .argParser(wholeNumber('--adapter-size', 1))
    .default(512);
}

/** `--examples`. */
export function examplesOption(): Option {
  return new Option('--examples <n>', 'examples of one sample')
    .argParser(wholeNumber('--examples', 1))
    .default(100);
}

/** `--rounds`. */
export function roundsOption(): Option {
  return new Option('--rounds <n>', 'samples of each measurement')
    .argParser(wholeNumber('--rounds', 1))
    .default(5);
}

/** `--dtypes` of inference. */
export function dtypesOption(): Option {
  return new Option('--dtypes <list>', 'what matrices are held in')
    .argParser(oneOf('--dtypes', LATENCY_DTYPES))
    .default([...LATENCY_DTYPES]);
}

/** `--output` of a measurement that is compared with others. */
export function resultsOption(): Option {
  return new Option('--output <file>', 'a results file, for hint bench compare; an older one is replaced');
}
