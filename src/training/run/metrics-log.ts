import { stat } from 'node:fs/promises';
import { z } from 'zod';
import { HintError } from '../../util/errors.js';
import { appendLines, writeFileAtomically } from '../../util/atomic-file.js';
import { readBytes } from '../../util/read-file.js';
import { recordOf } from '../../util/record-schema.js';
import { readError } from '../../util/read-error.js';
import { VALIDATION_METRICS } from '../config/validation-config.js';
import type { StepReport } from '../step/trainer.js';
import type { ValidationReport } from '../validation/validator.js';

/** One line of metrics.jsonl. */
export type MetricsLine = Omit<StepReport, 'settled'> & {
  /** ISO 8601. */
  time: string;
};

/** A line of metrics.jsonl that tells of a validation. */
export interface ValidationLine {
  step: number;
  validation: Omit<ValidationReport, 'step'>;
  /** ISO 8601. */
  time: string;
}

type Line = MetricsLine | ValidationLine;

const step = z.int().min(1);
// Tells a line of a step or a validation from one that a kill or a bad disk has torn.
const lineSchema = z.union([
  z.looseObject({ step, loss: z.number() }),
  z.looseObject({
    step,
    validation: z.looseObject({
      metric: z.enum(VALIDATION_METRICS),
      loss: z.number(),
      score: z.number(),
      perTask: recordOf(z.looseObject({})),
    }),
  }),
]);

const LINE_FEED = 0x0a;

/**
 * metrics.jsonl of a run. Lines that are none of a step or a validation (cut off by a kill, binary, not JSON) are passed
 * over when it is read and stay byte for byte when it is written.
 */
export class MetricsLog {
  constructor(readonly path: string) {}

  /** Adds the line of a step. @returns the line @throws HintError IO */
  async append(report: StepReport): Promise<MetricsLine> {
    // JSON leaves out what is undefined.
    return this.write({ ...report, settled: undefined });
  }

  /** Adds the line of a validation. @returns the line @throws HintError IO */
  async appendValidation({ step, ...validation }: ValidationReport): Promise<ValidationLine> {
    return this.write({ step, validation });
  }

  private async write<L extends object>(content: L): Promise<L & { time: string }> {
    const line = { ...content, time: new Date().toISOString() };
    await appendLines(this.path, `${JSON.stringify(line)}\n`);
    return line;
  }

  /** The logged steps, in the file's order. @throws HintError IO, LIMIT_EXCEEDED */
  async read(): Promise<MetricsLine[]> {
    return (await this.lines()).flatMap(({ line }) => (line && 'loss' in line ? [line] : []));
  }

  /** The validations, in the file's order. @throws HintError IO, LIMIT_EXCEEDED */
  async readValidations(): Promise<ValidationLine[]> {
    return (await this.lines()).flatMap(({ line }) => (line && 'validation' in line ? [line] : []));
  }

  /** Drops the lines behind `step`: a resumed run writes them again. @throws HintError IO */
  async truncate(step: number): Promise<void> {
    const lines = await this.lines();
    const kept = lines.filter(({ line }) => line === undefined || line.step <= step);
    if (kept.length === lines.length) return;
    await writeFileAtomically(this.path, async (append) => {
      for (const { bytes } of kept) await append(bytes);
    });
  }

  private async lines(): Promise<{ bytes: Buffer; line: Line | undefined }[]> {
    const file = await this.content();
    const lines: { bytes: Buffer; line: Line | undefined }[] = [];
    for (let begin = 0; begin < file.length;) {
      const feed = file.indexOf(LINE_FEED, begin);
      const end = feed < 0 ? file.length : feed + 1;
      const bytes = file.subarray(begin, end);
      lines.push({ bytes, line: parseLine(bytes) });
      begin = end;
    }
    return lines;
  }

  private async content(): Promise<Buffer> {
    try {
      // A device or pipe can be written to, but has no lines to read.
      if (!(await stat(this.path)).isFile()) return Buffer.alloc(0);
      return await readBytes(this.path, 'the metrics');
    } catch (cause) {
      if ((cause as NodeJS.ErrnoException).code === 'ENOENT') return Buffer.alloc(0);
      throw cause instanceof HintError ? cause : readError(this.path, cause);
    }
  }
}

function parseLine(bytes: Buffer): Line | undefined {
  try {
    return lineSchema.parse(JSON.parse(bytes.toString('utf8'))) as unknown as Line;
  } catch {
    return undefined;
  }
}
