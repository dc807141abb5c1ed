import { dirname } from 'node:path';
import type { MachineDescription, MomentDescription } from '../../../benchmark/machine.js';
import { writeFileAtomic } from '../../../util/atomic-file.js';
import { BENCH_RESULTS, checkReplaceable } from '../../../util/existing.js';
import { makeFolder } from '../../../util/write-error.js';
import { note, print, printJson } from '../../support/context.js';

/** Where the results of a part go. */
export interface ResultOptions {
  /** A results file, whole or not at all. */
  readonly output: string | undefined;
  readonly json: boolean;
}

/**
 * Makes sure, before measuring, that a results file can be written without a loss.
 *
 * @throws HintError INVALID_ARGUMENT for a file that is none, IO
 */
export async function prepareResults(output: string | undefined): Promise<void> {
  if (output === undefined) return;
  await makeFolder(dirname(output));
  await checkReplaceable(output, BENCH_RESULTS);
}

/**
 * Tells the results of one part as `hint bench compare` reads them, or as text.
 *
 * @throws HintError IO
 */
export async function reportPart<Part extends MomentDescription>(
  name: string,
  machine: MachineDescription,
  part: Part,
  { output, json }: ResultOptions,
  text: () => string,
): Promise<void> {
  const result = { machine, date: part.started, parts: { [name]: part } };
  if (output !== undefined) {
    await writeFileAtomic(output, `${JSON.stringify(result)}\n`);
    note(`Written: ${output}`);
  }
  if (json) printJson(result);
  else print(`${machine.cpu}, ${machine.cores} cores (${machine.isa.join(', ')})\n${text()}`);
}
