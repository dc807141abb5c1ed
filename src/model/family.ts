import type { Device } from '../tensor/device.js';
import type { LoadModelOptions } from './checkpoint/checkpoint.js';
import type { ModelContents } from './checkpoint/model-contents.js';
import type { HintConfig, ModelConfig } from './config/config.js';
import type { ModelSize } from './config/sizes.js';
import type { TrainableModel } from './trainable/trainable.js';

/** A model of any family. */
export type AnyModel = TrainableModel;

/** How a training run starts a model. */
export interface StartRequest {
  /** The system that is trained, for messages. */
  readonly system: string;
  /** A model directory, or what new weights are made for. */
  readonly init: string | { readonly size: ModelSize } | { readonly config: unknown };
  /** From 0 to below 1, of the run's configuration. */
  readonly dropoutRate: number;
  /** For weights that start fresh. */
  readonly seed: number;
  /**
   * The hypernetwork beside a T5 of this configuration; undefined: none.
   * @throws HintError INVALID_CONFIG for options that do not fit
   */
  readonly hypernetwork: (base: ModelConfig) => HintConfig | undefined;
  /** How a hyperencoder that is new starts (default: as a copy of the model's own encoder). */
  readonly hyperencoderInit?: 'pretrained' | 'random' | undefined;
  /** Whether the run says anything about a hypernetwork, which families without one refuse. */
  readonly asksForHypernetwork: boolean;
  /** Ends the reading of weights, which rejects with ABORTED. */
  readonly signal?: AbortSignal | undefined;
  /** Called with the number of tensors read, and of all. */
  readonly onProgress?: ((done: number, total: number) => void) | undefined;
}

/**
 * Models of one architecture: how their directories are recognised and opened, and how training starts one. What
 * inference does with them is added by `Family`.
 */
export interface ModelFamily<M extends AnyModel = AnyModel> {
  /** A word of its own, such as `gpt2`; what systems and model directories name it by. */
  readonly name: string;
  /** The family in sentences, such as `a GPT-2 model`. */
  readonly title: string;
  /** Whether the object of a config.json is one of this family. */
  recognises(config: unknown): boolean;
  /** Whether a model that is open belongs to this family. */
  owns(model: unknown): model is M;
  /**
   * Refuses a config.json that this family recognises and cannot run.
   *
   * @param source names the file in errors
   * @throws HintError INVALID_CONFIG naming every field at fault
   */
  checkConfig(config: unknown, source: string): void;
  /**
   * Looks at a directory whose config.json is recognised, without reading weights; absent: only its config.json is
   * checked before it is opened.
   *
   * @throws HintError as {@link open} for what makes the directory no model, tensors aside that are missing
   */
  examine?(directory: string, signal?: AbortSignal): Promise<ModelContents>;
  /**
   * Opens a directory whose config.json is recognised.
   *
   * @throws HintError NOT_FOUND, INVALID_CONFIG, INVALID_CHECKPOINT, OUT_OF_MEMORY, ABORTED
   */
  open(device: Device, directory: string, options: LoadModelOptions): Promise<M>;
  /**
   * The model that a training run starts from.
   *
   * @throws HintError as {@link open}; INVALID_CONFIG where the request asks for what the family does not have
   */
  start(device: Device, request: StartRequest): Promise<M>;
}
