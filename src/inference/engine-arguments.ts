import { Tokenizer } from '../formats/tokenizer/tokenizer.js';
import type { LoadModelOptions } from '../model/checkpoint/checkpoint.js';
import type { DeviceOptions } from '../tensor/device.js';
import type { WeightDType } from '../tensor/ops.js';
import { MOST_THREADS } from '../tensor/threads.js';
import {
  bytes,
  callback,
  choice,
  either,
  instance,
  integer,
  name,
  optional,
  options,
  path,
  signal,
  type Members,
} from '../util/arguments.js';
import { SERVING, type ServingOptions } from './serving/requests.js';
import { TASK_CACHE, type TaskCacheOptions } from './serving/task-cache.js';

/** How an engine is opened. */
export interface EngineOptions extends DeviceOptions, Pick<LoadModelOptions, 'signal' | 'onProgress'> {
  /** A tokenizer, or the path of a tokenizer.json; default: that of the model directory, if there is one. */
  tokenizer?: Tokenizer | string;
  /**
   * What matrices are held and multiplied in (default f32). Norms, softmax, sums and logits stay f32. On the CPU
   * compiled modules do too; `int8` quantises rows as they come; processors without bf16 products take bf16-rounded
   * weights in f32 products. On CUDA `bf16` is also what rows are multiplied in, and what modules, keys and values are
   * held in; there is no `int8`.
   */
  dtype?: WeightDType;
  /** How much {@link Engine.submit} and {@link Engine.generate} take at once. */
  serving?: ServingOptions;
  /** How much {@link Engine.tasks} keeps. */
  taskCache?: TaskCacheOptions;
}

export const ENGINE_MEMBERS: Members<EngineOptions> = {
  device: optional(name),
  threads: optional(integer(0, MOST_THREADS)),
  memoryLimit: optional(bytes),
  tokenizer: optional(
    either<Tokenizer | string>(
      'a Tokenizer, or the path of a tokenizer.json',
      [(value) => value instanceof Tokenizer, instance(Tokenizer, 'a Tokenizer')],
      [(value) => typeof value === 'string', path],
    ),
  ),
  dtype: optional(choice('f32', 'bf16', 'int8')),
  serving: optional(SERVING),
  taskCache: optional(TASK_CACHE),
  signal: optional(signal),
  onProgress: optional(callback()),
};
export const ENGINE_OPTIONS = options<EngineOptions>(ENGINE_MEMBERS);
export const SHARED_OPTIONS = options<Pick<EngineOptions, 'serving' | 'taskCache'>>({
  serving: ENGINE_MEMBERS.serving,
  taskCache: ENGINE_MEMBERS.taskCache,
});
