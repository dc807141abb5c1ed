import type { Command } from 'commander';
import { InvalidArgumentError } from 'commander';
import { isFaithful, type ComparedTensor } from '../../model/conversion/compare.js';
import { convertCheckpoint, type Conversion } from '../../model/conversion/convert.js';
import { SHARD_BYTES } from '../../model/conversion/plan.js';
import { formatBytes, parseBytes } from '../../util/bytes.js';
import { action, EXIT, note, print, printJson, table } from '../support/context.js';
import { jsonOption } from '../support/options.js';
import { Progress } from '../support/progress.js';

interface ConvertCommandOptions {
  check: boolean;
  shardSize: number;
  json: boolean;
}

function shardSize(text: string): number {
  const bytes = parseBytes(text);
  if (bytes === undefined || bytes < 1)
    throw new InvalidArgumentError('give a number of bytes, such as 5GB.');
  return bytes;
}

/** `hint convert SOURCE DEST`: any published form of weights as a directory of safetensors. */
export function addConvertCommand(program: Command): void {
  program
    .command('convert')
    .summary('write a published checkpoint of any form as safetensors')
    .description(
      'Reads PyTorch (.bin, zip or legacy), Flax msgpack, T5X or safetensors, one file or shards, and writes a model directory: safetensors,\n' +
        'config.json, tokenizer files. Every tensor keeps its type and its bits. The directory takes its name when it is whole; a run that\n' +
        'was ended goes on where it was. Every other command takes the published forms too: converting makes opening faster.',
    )
    .argument('<source>', 'a model directory, a file of weights, or a checkpoint_N folder of T5X')
    .argument('<destination>', 'a new folder; one that is there is only compared')
    .option('--check', 'compare source and destination bit for bit, tensor by tensor', false)
    .option('--shard-size <bytes>', 'largest file of weights', shardSize, SHARD_BYTES)
    .addOption(jsonOption('what was done'))
    .addHelpText(
      'after',
      '\nExamples:\n  $ hint convert t5-base-lm-adapt t5-base-safetensors --check\n  $ hint convert t5_1_1_lm100k_base/checkpoint_1100000 t5-base',
    )
    .action(
      action(async (signal, source: string, destination: string, options: ConvertCommandOptions) => {
        const progress = new Progress('converting', options.json);
        const done = await convertCheckpoint(source, destination, {
          check: options.check,
          shardBytes: options.shardSize,
          signal,
          onProgress: (count, total) => progress.update(count, total),
        }).finally(progress.stop);
        if (options.json) printJson(done);
        else describe(source, done, options.check);
        return !options.check || isFaithful(done.tensors ?? []) ? EXIT.ok : EXIT.failed;
      }),
    );
}

function describe(source: string, done: Conversion, check: boolean): void {
  const { destination, existed, form, bytes, files, kept, tensors = [] } = done;
  if (check) {
    print(table(['tensor', 'dtype', 'shape', 'bytes', 'compared'], tensors.map(row)));
    const count = (wanted: ComparedTensor['outcome']): number => tensors.filter(({ outcome }) => outcome === wanted).length; // prettier-ignore
    const leftOut = count('left-out');
    print(
      `\n${count('same')} of ${tensors.length} tensors have the same bits in ${source} (${form}) and ${destination}${leftOut > 0 ? `, ${leftOut} more are left out on purpose` : ''}; ${isFaithful(tensors) ? 'nothing differs' : 'the others differ'}.`,
    );
    return;
  }
  if (existed) note(`${destination} was there and holds the same tensors; nothing was written.`);
  else if (kept > 0) note(`${kept} files of an earlier run were whole and were kept.`);
  print(`${destination}: ${formatBytes(bytes)} of weights from ${form}; ${files.join(', ')}`);
}

function row({ name, dtype, shape, bytes, outcome, detail }: ComparedTensor): (string | number)[] {
  const words = { same: 'same', differs: 'differs', missing: 'missing', 'left-out': 'left out', added: 'not in the source' }; // prettier-ignore
  return [name, dtype, `[${shape.join(', ')}]`, bytes, `${words[outcome]}${detail ? `: ${detail}` : ''}`];
}
