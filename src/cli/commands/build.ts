import type { Command } from 'commander';
import { buildNative } from '../../tensor/binary/build.js';
import { action, note, print } from '../support/context.js';
import { wholeNumber } from '../support/options.js';

/** `hint build`: the native engine from source, where no published binary runs. */
export function addBuildCommand(program: Command): void {
  program
    .command('build')
    .summary('build the native engine of an installed package from source')
    .description(
      'Builds the native engine from the sources in the installed package, for a machine that no published binary runs on. It needs\n' +
        'CMake 3.22, make and a C++20 compiler; CUDA is built where nvcc and an NVIDIA driver are. "hint doctor" says what is there.\n' +
        'What was built is used from then on, until the package is installed again.',
    )
    .option('--jobs <n>', 'compilers at a time (default: as many as there are cores)', wholeNumber('--jobs', 1))
    .addHelpText('after', '\nExample:\n  $ npx hint build')
    .action(
      action(async (signal, { jobs }: { jobs?: number }) => {
        const options = { signal, onStep: note, ...(jobs !== undefined && { jobs }) };
        print(`Built ${await buildNative(options)}`);
      }),
    );
}
