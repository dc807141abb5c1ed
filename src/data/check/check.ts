import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { HintError, throwIfAborted } from '../../util/errors.js';
import type { Notices } from '../../util/notices.js';
import type { DatasetKind } from '../detect.js';
import { readTextLines } from '../line-blocks.js';
import { parseSniTask, readSniTaskNames, sniTaskFile, SNI_SPLITS } from '../natural-instructions/tasks.js';
import { readText } from '../../util/read-file.js';
import { findOwnFiles } from '../own/files.js';
import { describeFault, readOwnRecord } from '../own/record.js';
import { readOwnValues } from '../own/values.js';
import { NOTICED } from '../noticed.js';
import { P3_SPLITS, p3Files, p3TaskName, parseP3Row, readP3Templates, type P3Split } from '../p3/format.js';

/** What is wrong with a dataset. */
export interface DataCheck {
  /** Files that were looked at. */
  files: number;
  /** Tasks, rows or records in them. */
  records: number;
  /** All that is wrong, of which `faults` has the first. */
  faultCount: number;
  /** A sentence each, naming file, line and field. */
  faults: string[];
}

/** Options of {@link checkDataset}. */
export interface CheckOptions {
  /** The field of own data that says which split a record is in. */
  splitField: string;
  /** Faults that are described; all are counted. */
  most: number;
  notices: Notices;
  signal?: AbortSignal | undefined;
}

/** Gathers faults, of which it keeps the first. */
class Findings implements DataCheck {
  files = 0;
  records = 0;
  faultCount = 0;
  readonly faults: string[] = [];

  constructor(private readonly most: number) {}

  add(sentence: string): void {
    if (++this.faultCount <= this.most) this.faults.push(sentence);
  }

  /** Runs work, whose error is a fault like others, unless nobody wants it any more. */
  async attempt(work: () => Promise<void>): Promise<void> {
    try {
      await work();
    } catch (error) {
      if (!(error instanceof HintError) || error.code === 'ABORTED') throw error;
      this.add(error.message);
    }
  }
}

/**
 * Reads a whole dataset and lists what is wrong with it, instead of ending at the first fault.
 *
 * @param path the folder, or the file of own data
 * @throws HintError NOT_FOUND when there is nothing, ABORTED
 */
export async function checkDataset(
  kind: DatasetKind,
  path: string,
  options: CheckOptions,
): Promise<DataCheck> {
  const findings = new Findings(options.most);
  const checks = { sni: checkSni, p3: checkP3, own: checkOwn };
  await checks[kind](path, options, findings);
  const { files, records, faultCount, faults } = findings;
  return { files, records, faultCount, faults };
}

async function checkOwn(
  path: string,
  { splitField, notices, signal }: CheckOptions,
  findings: Findings,
): Promise<void> {
  for (const file of await findOwnFiles([path], notices, signal)) {
    findings.files++;
    await findings.attempt(async () => {
      for await (const found of readOwnValues(file, { splitField, notices, signal })) {
        findings.records++;
        if ('error' in found) {
          findings.add(found.error.message);
          continue;
        }
        const { faults, others } = readOwnRecord(found.value, splitField);
        for (const other of others) notices.addOnce(NOTICED.otherFields, other);
        for (const fault of faults) findings.add(describeFault(found.where, fault));
      }
    });
  }
  if (findings.records === 0 && findings.faultCount === 0) findings.add(`${path} holds no record`);
}

async function checkSni(path: string, { notices, signal }: CheckOptions, findings: Findings): Promise<void> {
  const tracks = await readdir(join(path, 'splits')).catch(() => ['default']);
  const names = new Set<string>();
  for (const track of tracks)
    for (const split of SNI_SPLITS)
      await findings.attempt(async () => {
        const listed = await readSniTaskNames(path, split, track, notices).catch((error: unknown) => {
          // Not every track has every list.
          if (split === 'excluded' && error instanceof HintError && error.code === 'NOT_FOUND') return [];
          throw error;
        });
        for (const name of listed) names.add(name);
      });
  for (const name of names) {
    throwIfAborted(signal);
    findings.files++;
    await findings.attempt(async () => {
      const file = sniTaskFile(path, name);
      findings.records += parseSniTask(
        await readText(file, 'the task file', signal),
        file,
        'dataset',
        notices,
      ).instances.length;
    });
  }
}

async function checkP3(path: string, { notices, signal }: CheckOptions, findings: Findings): Promise<void> {
  const templates = await readP3Templates(path);
  const check = async (split: P3Split): Promise<void> => {
    for (const { file } of await p3Files(path, split, undefined, notices)) {
      findings.files++;
      await findings.attempt(async () => {
        for await (const { text, where } of readTextLines(file, 'the P3 data', { notices, signal })) {
          findings.records++;
          await findings.attempt(async () => {
            const row = parseP3Row(text, where);
            if (!templates.has(p3TaskName(row)))
              findings.add(`${where}: field template is ${JSON.stringify(row.template)}, which templates.json does not list for ${row.dataset}`); // prettier-ignore
          });
        }
      });
    }
  };
  for (const split of P3_SPLITS)
    await findings.attempt(() =>
      check(split).catch((error: unknown) => {
        // A directory need not have every split.
        if (error instanceof HintError && /names no \w+ dataset/.test(error.message)) return;
        throw error;
      }),
    );
}
