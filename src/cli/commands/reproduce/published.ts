import { resolve } from 'node:path';
import type { Command } from 'commander';
import type { Roofs } from '../../../benchmark/estimate/roofs.js';
import { provenance } from '../../../reproduce/index.js';
import {
  checkPublishedReport,
  findPublished,
  PUBLISHED_MODELS,
  reportOf,
  runPublished,
  writePublishedReport,
  type PublishedEvent,
  type PublishedModel,
  type PublishedReport,
  type PublishedSettings,
} from '../../../reproduce/published/index.js';
import { formatBytes } from '../../../util/bytes.js';
import { HintError } from '../../../util/errors.js';
import { describeNotice, Notices } from '../../../util/notices.js';
import { action, EXIT, note, print, printJson, table } from '../../support/context.js';
import { batchSizeOption } from '../../support/decoding.js';
import { addEngineOptions, type EngineFlags } from '../../support/engine-options.js';
import { jsonOption, wholeNumber } from '../../support/options.js';
import { duration } from '../../support/duration.js';
import { Progress } from '../../support/progress.js';
import { amongRanks } from '../../support/ranks.js';

interface PublishedOptions extends EngineFlags {
  list: boolean;
  data?: string;
  model?: string;
  revision?: string;
  token?: string;
  offline?: boolean;
  limit?: number;
  predictions?: string;
  batchSize: number;
  output: string;
  json: boolean;
}

/** `hint reproduce published MODEL`: a model that others released, evaluated as they did, beside what is printed. */
export function addPublishedCommand(reproduce: Command): void {
  const command = reproduce
    .command('published')
    .summary('evaluate a model that others released, beside the printed figures')
    .description(
      'Downloads a released model, evaluates it with the prompt and the decoding of its original, and writes its score beside\n' +
        "the paper's and the release's: published-NAME.json and .md. Says first what it downloads and how long it takes. Ctrl-C\n" +
        'keeps what is done, of the download too; the same command goes on.',
    )
    .argument('[model]', `${PUBLISHED_MODELS.map(({ name }) => name).join(', ')}`)
    .option('--list', 'show what can be evaluated, with sizes, licences and printed figures', false)
    .option('--data <directory>', 'Super-NaturalInstructions, for the T0 models P3')
    .option('--model <directory>', 'a folder with the model, instead of a download')
    .option('--revision <name>', 'of the download: a branch, a tag or a commit (default: main)')
    .option('--token <token>', 'for a mirror that wants one (default: HF_TOKEN)')
    .option('--offline', 'only look into the cache (default: HF_HUB_OFFLINE)')
    .option('--limit <n>', 'most examples of each task or template, to try it', wholeNumber('--limit', 1))
    .option('--predictions <file>', 'published predictions to compare with, instance by instance')
    .addOption(batchSizeOption())
    .option(
      '--output <directory>',
      'where predictions and reports are written; a report of an earlier call is replaced',
      'runs/reproduce',
    );
  addEngineOptions(command)
    .addOption(jsonOption('the result'))
    .addHelpText(
      'after',
      '\nExamples:\n  $ hint reproduce published --list\n' +
        '  $ hint reproduce published tk-instruct-base --data natural-instructions\n' +
        '  $ hint reproduce published tk-instruct-3b --data natural-instructions --dtype bf16 --device cuda --predictions predicted_examples.jsonl\n' +
        '  $ hint reproduce published t0-3b --data p3 --limit 20',
    )
    .action(
      action((signal, name: string | undefined, options: PublishedOptions) =>
        amongRanks(async (ranks) => {
          if (options.list) return list(options.json);
          if (ranks)
            throw new HintError(
              'INVALID_ARGUMENT',
              `A published model is evaluated in one process, and ${ranks.size} were started; start it without a launcher.`,
            );
          return evaluate(modelNamed(name), options, signal);
        }),
      ),
    );
}

function modelNamed(name: string | undefined): PublishedModel {
  if (name !== undefined) return findPublished(name);
  throw new HintError(
    'INVALID_ARGUMENT',
    `No model is named; give one of ${PUBLISHED_MODELS.map((model) => model.name).join(', ')}, or --list.`,
  );
}

function list(json: boolean): number {
  if (json) printJson(PUBLISHED_MODELS);
  else
    print(
      table(
        ['name', 'on the hub', 'download', 'licence', 'data', 'printed'],
        PUBLISHED_MODELS.map(({ name, repository, download, licence, data, figures }) => [
          name,
          repository,
          `${download.from === 'parameters' ? 'about ' : ''}${formatBytes(download.bytes)}`,
          licence ?? 'not stated',
          data.kind === 'sni' ? 'SNI' : 'P3',
          figures.map(({ value, by }) => `${value} (${by})`).join('; '),
        ]),
      ),
    );
  return EXIT.ok;
}

async function evaluate(
  model: PublishedModel,
  options: PublishedOptions,
  signal: AbortSignal,
): Promise<number> {
  const settings = settingsOf(model, options);
  await checkPublishedReport(model, settings.output);
  const notices = new Notices();
  const narrator = narrate(model, settings, options.json);
  const result = await runPublished(model, settings, {
    signal,
    notices,
    onEvent: narrator.tell,
  }).finally(narrator.stop);
  for (const notice of notices.list) note(`warning: ${describeNotice(notice)}`);
  const report = reportOf(result, settings, await provenance());
  const files = await writePublishedReport(report, settings.output);
  if (options.json) printJson({ ...report, files });
  else {
    print(describe(report));
    for (const file of files) note(`Written: ${file}`);
  }
  if (report.complete) return EXIT.ok;
  note('Stopped; the same command goes on from here.');
  return EXIT.interrupted;
}

function settingsOf({ name, data: named }: PublishedModel, options: PublishedOptions): PublishedSettings {
  const { data, model, revision, offline, output } = options;
  if (data === undefined)
    throw new HintError(
      'INVALID_ARGUMENT',
      `${name} is evaluated on ${named.title}; give their directory with --data.`,
    );
  const given = revision !== undefined ? '--revision' : offline ? '--offline' : undefined;
  if (model !== undefined && given !== undefined)
    throw new HintError(
      'INVALID_ARGUMENT',
      `${given} is about a download, and --model names a folder that is used as it is; leave one of them out.`,
    );
  return {
    data: resolve(data),
    model: model === undefined ? undefined : resolve(model),
    revision,
    offline,
    token: options.token,
    tokenizer: options.tokenizer,
    limit: options.limit,
    predictions: options.predictions,
    batchSize: options.batchSize,
    dtype: options.dtype,
    device: options.device,
    threads: options.threads,
    output: resolve(output),
  };
}

function narrate(
  model: PublishedModel,
  { dtype, device }: PublishedSettings,
  quiet: boolean,
): { tell: (event: PublishedEvent) => void; stop: () => void } {
  let shown: { kind: string; progress: Progress } | undefined;
  const stop = (): void => {
    shown?.progress.stop();
    shown = undefined;
  };
  const update = (kind: string, done: number, total: number, detail = '', secondsLeft?: number): void => {
    if (shown?.kind !== kind) stop();
    shown ??= { kind, progress: new Progress(kind, quiet) };
    shown.progress.update(done, total, detail, secondsLeft);
  };
  const say = (line: string): void => {
    stop();
    if (!quiet) note(line);
  };
  const tell = (event: PublishedEvent): void => {
    switch (event.kind) {
      case 'plan': {
        const { commit, bytes, missingBytes } = event.download;
        const before = bytes - missingBytes;
        say(
          `${model.repository} at commit ${commit} (licence: ${model.licence ?? 'none stated'}): downloads ${formatBytes(missingBytes)}${before > 0 ? `; ${formatBytes(before)} are here` : ''}.`,
        );
        say(
          `Its evaluation in ${dtype} on ${device} then takes at least ${duration(event.seconds)}, by the paper's median lengths and ${rates(event.roofs)}.`,
        );
        return;
      }
      case 'downloading':
        update('download', event.done, event.total, `${formatBytes(event.done)} of ${formatBytes(event.total)}  ${event.file}`); // prettier-ignore
        return;
      case 'tokenising':
        update('tokenising', event.done, event.total);
        return;
      case 'start':
        say(
          `${event.kept > 0 ? `Goes on after ${event.kept} of ` : ''}${event.examples} examples in ${dtype} on ${device}: at least ${duration(event.seconds)} by their lengths and ${rates(event.roofs)}. Predictions: ${event.folder}`,
        );
        return;
      case 'evaluating':
        update('evaluating', event.done, event.total, '', event.secondsLeft);
    }
  };
  return { tell, stop };
}

function rates({ name, isAssumed }: Roofs): string {
  return isAssumed ? `the assumed rates of ${name}` : `the measured rates of ${name}`;
}

function describe({
  metric,
  score,
  predicted,
  figures,
  differences,
  agreement,
  title,
}: PublishedReport): string {
  const rows = figures.map(({ by, place, printed, difference }) => [
    `${by}, ${place}`,
    printed,
    score.toFixed(2),
    difference?.toFixed(2) ?? 'not comparable',
  ]);
  return [
    `${title}: ${metric} ${score.toFixed(2)} over ${predicted} examples`,
    ...(rows.length > 0 ? ['', table(['printed where', 'printed', 'ours', 'difference'], rows)] : []),
    ...(differences.length > 0 ? ['', `Differs from the named data: ${differences.join('; ')}.`] : []),
    ...(agreement
      ? [
          '',
          `${agreement.equal} of ${agreement.both} predictions are the published text; ${metric} of ours on these ${agreement.ourScore.toFixed(2)}, of the published ones ${agreement.publishedScore.toFixed(2)}.`,
        ]
      : []),
  ].join('\n');
}
