import { z } from 'zod';
import { appendLines } from '../../util/atomic-file.js';
import { HintError } from '../../util/errors.js';
import { readText } from '../../util/read-file.js';
import { describeChanges, type SettingChange } from './changes.js';

/** What a run has differently from a step on. */
export interface ChangesLine {
  /** The last step without them. */
  readonly step: number;
  readonly changes: readonly SettingChange[];
}

// Tells a line from one that a kill or a bad disk has torn.
const lineSchema = z.object({
  step: z.int().min(1),
  changes: z.array(
    z.object({ key: z.string(), before: z.unknown().optional(), now: z.unknown().optional() }),
  ),
});

/** changes.jsonl of a run: there where it was gone on with under settings that make it another run. */
export class ChangesLog {
  constructor(readonly path: string) {}

  /** Adds a line. @throws HintError IO */
  append(step: number, changes: readonly SettingChange[]): Promise<void> {
    const line = { step, changes, time: new Date().toISOString() };
    return appendLines(this.path, `${JSON.stringify(line)}\n`);
  }

  /** The lines, in the file's order; torn ones are left out. @throws HintError IO, LIMIT_EXCEEDED */
  async read(): Promise<ChangesLine[]> {
    const text = await readText(this.path, 'the changes of the run').catch((cause: unknown) => {
      if (cause instanceof HintError && cause.code === 'NOT_FOUND') return '';
      throw cause;
    });
    return text.split('\n').flatMap(parseLine);
  }
}

/** A line as a clause: `from step 20 on learningRate 0.02 in place of 0.01`. */
export function describeChangesLine({ step, changes }: ChangesLine): string {
  return `from step ${step} on ${describeChanges(changes)}`;
}

function parseLine(line: string): ChangesLine[] {
  try {
    return [lineSchema.parse(JSON.parse(line))];
  } catch {
    return [];
  }
}
