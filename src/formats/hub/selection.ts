import { HintError } from '../../util/errors.js';
import type { HubFile } from './repository.js';

// Everything about the model and its tokenizer that is not weights.
const SMALL = new Set([
  'added_tokens.json',
  'config.json',
  'generation_config.json',
  'merges.txt',
  'special_tokens_map.json',
  'spiece.model',
  'tokenizer.json',
  'tokenizer.model',
  'tokenizer_config.json',
  'vocab.json',
]);

/** Forms of weights, the one to take first: read where they lie, then the smaller to unpack. */
const WEIGHTS: readonly (readonly RegExp[])[] = [
  [/^model\.safetensors$/],
  [/^model\.safetensors\.index\.json$/, /^model-\d+-of-\d+\.safetensors$/],
  [/^pytorch_model\.bin$/],
  [/^pytorch_model\.bin\.index\.json$/, /^pytorch_model-\d+-of-\d+\.bin$/],
  [/^flax_model\.msgpack$/],
  [/^flax_model\.msgpack\.index\.json$/, /^flax_model-\d+-of-\d+\.msgpack$/],
  [/^checkpoint_\d+\/checkpoint$/, /^checkpoint_\d+\/.+$/],
];

/**
 * The files of a repository that a model needs: its configuration, its tokenizer, and its weights in one of the forms that
 * are published.
 *
 * @throws HintError NOT_SUPPORTED for a repository without weights that are read
 */
export function neededFiles(name: string, files: readonly HubFile[]): HubFile[] {
  const small = files.filter(({ path }) => SMALL.has(path));
  for (const [first, ...others] of WEIGHTS) {
    if (!first || !files.some(({ path }) => first.test(path))) continue;
    const weights = files.filter(({ path }) => [first, ...others].some((form) => form.test(path)));
    return [...small, ...weights];
  }
  const names = files.map(({ path }) => path);
  throw new HintError(
    'NOT_SUPPORTED',
    `${name} has no weights that are read (model.safetensors, pytorch_model.bin, flax_model.msgpack, checkpoint_N, in shards or not); it has ${names.slice(0, 20).join(', ') || 'no files'}${names.length > 20 ? ` and ${names.length - 20} more` : ''}.`,
  );
}
