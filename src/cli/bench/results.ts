import type { MachineDescription, MomentDescription } from '../../benchmark/machine.js';
import { writeFileAtomic } from '../../util/atomic-file.js';
import { note, print, printJson } from '../context.js';

/** Where the results of a part go. */
export interface ResultOptions {
  /** A results file, whole or not at all. */
  readonly output: string | undefined;
  readonly json: boolean;
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
