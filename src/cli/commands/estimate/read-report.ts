import { z } from 'zod';
import { check } from '../../../util/check.js';
import { HintError } from '../../../util/errors.js';
import { readJson } from '../../../util/read-file.js';
import { shown } from '../../../util/shown.js';

const positive = z.number().positive();
const count = z.number().min(0);
/** What a comparison reads of a report. */
const REPORT = z.object({
  device: z.object({ peak: positive }),
  batch: z.object({ examples: positive }),
  ...{ seconds: positive, deviceSeconds: count, hostSeconds: count, utilization: count, usefulFlops: count },
  ...{ launches: count, peakBytes: count, measuredSeconds: positive.optional() },
  // Reports of before these were counted have none.
  ...{ commands: count.optional(), hostMicrosecondsPerCommand: count.optional() },
  ops: z.array(z.object({ op: z.string(), pass: z.enum(['forward', 'backward']), seconds: count })),
});

/** The parts of an earlier estimate that a comparison shows. */
export type EarlierReport = z.infer<typeof REPORT>;

/** @throws HintError INVALID_FILE for what `hint estimate --json` did not print, and what reading the file throws */
export async function readReport(file: string, signal: AbortSignal): Promise<EarlierReport> {
  const { data, faults } = check(REPORT, await readJson(file, 'the estimate', signal));
  if (data) return data;
  const [{ path, message }] = faults;
  throw new HintError(
    'INVALID_FILE',
    `${shown(file)} is no estimate: ${path.length > 0 ? `${shown(path.join('.'))} ` : 'it '}${message}; give a file that "hint estimate --json" printed.`,
  );
}
