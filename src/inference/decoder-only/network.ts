import { concatenate, type Ragged } from '../../data/batch.js';
import type { DecoderOnlyModel } from '../../model/decoder-only/decoder-only-model.js';
import type { Attend } from '../../model/decoder-only/layer.js';
import { promptTokens } from '../../model/decoder-only/prompt.js';
import type { SharedKeys } from '../../model/t5/attention.js';
import type { Device } from '../../tensor/device.js';
import * as ops from '../../tensor/ops.js';
import type { Tensor } from '../../tensor/tensor.js';
import type { DecoderOnlyTasks } from './compile.js';
import { runForKeys, type Keys } from './run-for-keys.js';
import type { Cache, DecodeNetwork, DecodeStep, StepInputs } from '../contract/decode-network.js';

/**
 * Decoding with GPT-2 and OPT. The instructions' keys and values are the compiled tasks'; those of the inputs are
 * computed here, but for the last token of each, which is the first that a step feeds.
 */
export class DecoderOnlyNetwork implements DecodeNetwork {
  readonly cacheLayers: number;
  readonly cacheWidth: number;
  private readonly prompts: Int32Array[];
  /** The prompts without their last token. */
  private readonly sequences: Ragged;
  /** Of these. */
  private context: Keys[] = [];
  private readonly instructions: { shared: readonly SharedKeys[]; taskIndex: Int32Array } | undefined;

  private constructor(
    private readonly model: DecoderOnlyModel,
    { shared }: DecoderOnlyTasks,
    { ids, offsets }: Ragged,
    taskIndex: Int32Array,
  ) {
    this.cacheLayers = model.config.numLayers;
    this.cacheWidth = model.config.dModel;
    const [known] = shared;
    this.instructions = known ? { shared, taskIndex } : undefined;
    // Only whether there is an instruction matters here: it was run when its task was compiled.
    const some = known ? [model.config.bosTokenId] : [];
    this.prompts = Array.from({ length: offsets.length - 1 }, (_, row) => {
      const input = ids.subarray(offsets[row], offsets[row + 1]);
      return promptTokens(model.config, some, input).input;
    });
    this.sequences = concatenate(this.prompts.map((prompt) => prompt.subarray(0, -1)));
  }

  /** Enqueues the inputs, in slices. @throws HintError INVALID_TOKEN, INVALID_DATA (too long an input) */
  static async open(
    model: DecoderOnlyModel,
    tasks: DecoderOnlyTasks,
    inputs: Ragged,
    taskIndex: Int32Array,
  ): Promise<DecoderOnlyNetwork> {
    const network = new DecoderOnlyNetwork(model, tasks, inputs, taskIndex);
    const first = network.prompts.map((_, row) => network.instructionLength(row));
    network.context = await runForKeys(model, network.sequences, first, network.instructions);
    return network;
  }

  get device(): Device {
    return this.model.device;
  }

  get eosTokenId(): number {
    return this.model.config.eosTokenId;
  }

  get cacheDType(): ops.FloatDType {
    return this.model.parameters.computeDtype;
  }

  startToken(row: number): number {
    return this.prompts[row]?.at(-1) as number;
  }

  room(row: number): number {
    return this.model.config.maxPositions - this.startPosition(row);
  }

  begin(rows: readonly number[], position: number): DecodeStep {
    const { model } = this;
    const { device, config } = model;
    const start = Int32Array.from(rows, (row) => config.positionOffset + this.startPosition(row) + position);
    const limit = config.positionOffset + config.maxPositions - 1;
    const positions = device.keep(
      device.tensor(
        start.map((value) => Math.min(value, limit)),
        [rows.length],
      ),
    );
    const index = Int32Array.from(rows);
    const attendWith =
      ({ position: place, caches }: StepInputs): Attend =>
      (q, k, v, layer) =>
        this.attend(q, k, v, layer, caches[layer] as Cache, place, index);
    return {
      *logits(inputs) {
        const hidden = yield* model.run({ ids: inputs.token, positions }, attendWith(inputs));
        ops.increment(positions, { limit });
        return model.logits(hidden);
      },
      dispose: () => positions.dispose(),
    };
  }

  dispose(): void {
    for (const { key, value } of this.context) for (const tensor of [key, value]) tensor.dispose();
  }

  private attend(
    q: Tensor,
    k: Tensor,
    v: Tensor,
    layer: number,
    cache: Cache,
    position: Tensor,
    rows: Int32Array,
  ): Tensor {
    const { key, value } = this.context[layer] as Keys;
    const { shared, taskIndex } = this.instructions ?? {};
    return ops.decodeAttention(
      q,
      k,
      v,
      { ...cache, position },
      {
        numHeads: this.model.config.numHeads,
        contextKey: key,
        contextValue: value,
        contextOffsets: this.sequences.offsets,
        contextIndex: rows,
        ...shared?.[layer],
        ...(taskIndex ? { taskIndex: rows.map((row) => taskIndex[row] as number) } : {}),
      },
    );
  }

  private instructionLength(row: number): number {
    if (!this.instructions) return 0;
    const { shared, taskIndex } = this.instructions;
    const offsets = shared[0]?.sharedOffsets as Int32Array;
    const task = taskIndex[row] as number;
    return (offsets[task + 1] as number) - (offsets[task] as number);
  }

  /** Position of the token that the first step feeds. */
  private startPosition(row: number): number {
    return this.instructionLength(row) + (this.prompts[row] as Int32Array).length - 1;
  }
}
