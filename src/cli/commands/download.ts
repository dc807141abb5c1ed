import type { Command } from 'commander';
import { copyDownloaded } from '../../formats/hub/copy.js';
import { downloadModel } from '../../formats/hub/download.js';
import { formatBytes } from '../../util/bytes.js';
import { action, note, print, printJson } from '../support/context.js';
import { jsonOption } from '../support/options.js';
import { Progress } from '../support/progress.js';

interface DownloadCommandOptions {
  revision: string;
  token?: string;
  offline?: boolean;
  output?: string;
  json: boolean;
}

/** `hint download NAME`: a published model from the Hugging Face hub. */
export function addDownloadCommand(program: Command): void {
  program
    .command('download')
    .summary('bring a published model from the Hugging Face hub')
    .description(
      'Downloads the files of a model that are needed (its configuration, its tokenizer, its weights in one form) into the cache that\n' +
        'Python’s huggingface_hub uses too, and prints the folder. What is there already is not asked for again, and what was cut off\n' +
        'goes on. Afterwards other commands take the name where they take a model’s folder. HF_ENDPOINT names a mirror, HF_TOKEN a\n' +
        'token, HF_HOME or HF_HUB_CACHE another cache.',
    )
    .argument('<name>', 'owner/name, such as google/t5-base-lm-adapt')
    .option('--revision <name>', 'a branch, a tag or a commit', 'main')
    .option(
      '--token <token>',
      'for private and gated models (default: HF_TOKEN, or that of huggingface-cli login)',
    )
    .option('--offline', 'only look into the cache (default: HF_HUB_OFFLINE)')
    .option('--output <directory>', 'also copy the files there, without links')
    .addOption(jsonOption('the folder, the commit and the files'))
    .addHelpText(
      'after',
      '\nExamples:\n  $ hint download google/t5-base-lm-adapt\n' +
        '  $ hint download google/flan-t5-small --output models/flan-t5-small\n' +
        '  $ hint run google/flan-t5-small --input "Translate to German: The house is wonderful."',
    )
    .action(
      action(async (signal, name: string, options: DownloadCommandOptions) => {
        const { output, json, ...given } = options;
        const progress = new Progress('download', json);
        try {
          const found = await downloadModel(name, {
            ...given,
            signal,
            onProgress: (done, total, file) => {
              progress.update(done, total, `${formatBytes(done)} of ${formatBytes(total)}  ${file}`);
            },
          });
          progress.stop();
          const folder = output === undefined ? found.folder : await copyDownloaded(found, output, signal);
          if (json) printJson({ folder, commit: found.commit, files: found.files });
          else {
            note(`${name} at commit ${found.commit}`);
            print(folder);
          }
        } finally {
          progress.stop();
        }
      }),
    );
}
