import { join } from 'node:path';
import { HintError } from '../../../util/errors.js';
import {
  checkPlan,
  checkReport,
  findGrid,
  provenance,
  reportOf,
  runGrid,
  selectCells,
  writeReport,
  type Grid,
  type GridEvent,
  type GridReport,
  type GridResult,
  type ReproduceSettings,
  type RunGridOptions,
} from '../../../reproduce/index.js';
import { findSystem } from '../../../systems/index.js';
import { doneOnce, foundOnce } from '../../../distributed/agreement.js';
import { requireSharedFolder } from '../../../distributed/shared-folder.js';
import { Device } from '../../../tensor/device.js';
import { EXIT, note, print, printJson, table } from '../../support/context.js';
import { Progress } from '../../support/progress.js';
import { reporter } from '../../support/run-settings.js';
import { demoWorld, writeDemoWorld } from './demo-world.js';
import { readSettings, type ReproduceOptions } from './settings.js';

/** `hint reproduce` of a grid of training runs. @returns the exit code */
export async function reproduceGrid(
  name: string,
  options: ReproduceOptions,
  context: Pick<RunGridOptions, 'signal' | 'ranks'>,
): Promise<number> {
  refuseOptions(name, options);
  const grid = selectCells(findGrid(name), { rows: options.row, columns: options.column });
  refuseDecoders(grid, options);
  const settings = await checkTable(grid, options, context);
  if (context.ranks) await requireSharedFolder(context.ranks, options.output);
  await makeWorld(grid, options, context);
  const { result, report, files } = await runTable(grid, settings, options.json, context);
  if (options.json) printJson({ ...report, files });
  else printTable(report, files);
  if (result.interrupted) {
    note('Stopped; the same command goes on from here.');
    return EXIT.interrupted;
  }
  return report.complete ? EXIT.ok : EXIT.failed;
}

/**
 * Reads the settings of a table, and checks them and where it is written. Nothing is written.
 *
 * @throws HintError as checkReport, readSettings and Device; with `--demo` as checkPlan, as its world is written before cells are planned
 */
export async function checkTable(
  grid: Grid,
  options: ReproduceOptions,
  { ranks }: Pick<RunGridOptions, 'ranks'>,
): Promise<ReproduceSettings> {
  await checkReport(grid, options.output);
  const { demo } = options;
  const world = demo ? demoWorld(demoFolder(options), grid.dataset) : undefined;
  const settings = await readSettings(options, world);
  // A rank has a device of its own, which it is given when it trains.
  if (!ranks && settings.device !== undefined) new Device({ device: settings.device }).close();
  if (!demo) return settings;
  await checkPlan(grid, settings, { data: options.data === undefined, text: options.text === undefined });
  return settings;
}

/** Makes the demo's world where it is asked for. @throws HintError IO */
export async function makeWorld(
  { dataset }: Grid,
  options: ReproduceOptions,
  { ranks }: Pick<RunGridOptions, 'ranks'>,
): Promise<void> {
  if (!options.demo) return;
  await doneOnce(ranks, () => writeDemoWorld(demoFolder(options), dataset), 'have the demo written');
}

function demoFolder({ output }: ReproduceOptions): string {
  return join(output, 'demo');
}

/** A table as far as it is, and the files that were written of it. */
export interface RunTable {
  readonly result: GridResult;
  readonly report: GridReport;
  readonly files: readonly string[];
}

/** Runs a table and writes its report. @throws HintError as runGrid and writeReport */
export async function runTable(
  grid: Grid,
  settings: ReproduceSettings,
  quiet: boolean,
  { signal, ranks }: Pick<RunGridOptions, 'signal' | 'ranks'>,
): Promise<RunTable> {
  const result = await runGrid(grid, settings, { signal, ranks, onEvent: narrate(quiet) });
  const made = await foundOnce(ranks, provenance, 'learn where the results come from');
  const files = await foundOnce(ranks, () => writeReport(result, settings, made), 'have the report written');
  return { result, report: reportOf(result, settings, made), files };
}

/** Prints the figures of a table, and where it was written. */
export function printTable({ figures, metric }: GridReport, files: readonly string[]): void {
  print(
    table(
      ['system', 'setting', 'model', metric, 'seeds'],
      figures.map(({ row, column, model, score, seeds }) => [
        row,
        column,
        model,
        score?.toFixed(1) ?? '',
        seeds.length,
      ]),
    ),
  );
  for (const file of files) note(`Written: ${file}`);
}

/** Options of figure4, or of all, mean nothing to one grid of training runs. */
function refuseOptions(name: string, { shots, rounds, p3 }: ReproduceOptions): void {
  if (p3 !== undefined)
    throw new HintError(
      'INVALID_ARGUMENT',
      `--p3 belongs to all, which has tables of two datasets; name the data of ${name} with --data.`,
    );
  const given = shots === undefined ? (rounds === undefined ? undefined : '--rounds') : '--shots';
  if (given === undefined) return;
  throw new HintError(
    'INVALID_ARGUMENT',
    `${given} belongs to figure4, which measures latency; ${name} is a grid of training runs, leave it out.`,
  );
}

/** Settings of decoder-only models mean nothing to a grid without their rows. */
function refuseDecoders(grid: Grid, { gpt2, opt, setDecoder }: ReproduceOptions): void {
  const given = gpt2 !== undefined ? '--gpt2' : opt !== undefined ? '--opt' : '--set-decoder';
  if (given === '--set-decoder' && setDecoder.length === 0) return;
  if (grid.cells.some(({ system }) => findSystem(system).training !== undefined)) return;
  throw new HintError(
    'INVALID_ARGUMENT',
    `${given} is about decoder-only rows, and what is chosen of ${grid.name} has none; leave it out, or take table1.`,
  );
}

/** Shows a grid's events as progress lines. */
function narrate(quiet: boolean): (event: GridEvent) => void {
  if (quiet) return () => undefined;
  let evaluating: Progress | undefined;
  const training = { pretraining: reporter(false, 'pretraining'), training: reporter(false, 'training') };
  return (event) => {
    if (event.kind === 'evaluating') {
      evaluating ??= new Progress('evaluating');
      evaluating.update(event.done, event.total);
      return;
    }
    if (event.kind === 'run') {
      training[event.stage](event.event);
      return;
    }
    if (event.kind === 'search') {
      const { name, index, total, state, score, error } = event.event;
      const outcome = state === 'failed' ? `failed. ${messageOf(error)}` : `${score?.toFixed(1) ?? ''} by validation`; // prettier-ignore
      note(`  [${index}/${total}] ${name}${state === 'started' ? '' : `: ${outcome}`}`);
      return;
    }
    evaluating?.stop();
    evaluating = undefined;
    const { state, index, total, label, result, error } = event;
    const outcome = {
      started: '',
      skipped: `: ${result?.score.toFixed(1)}, done before`,
      finished: `: ${result?.score.toFixed(1)}`,
      failed: `: failed. ${messageOf(error)}`,
    }[state];
    note(`[${index}/${total}] ${label}${outcome}`);
  };
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
