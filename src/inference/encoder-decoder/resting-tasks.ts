import type { EncodedTasks } from '../../model/hint/encoder-decoder-model.js';
import type { GeneratedTensor } from '../../model/modules/task-modules.js';
import type { SharedKeys } from '../../model/t5/attention.js';
import * as ops from '../../tensor/ops.js';
import type { Tensor } from '../../tensor/tensor.js';

/** What layers read of tasks. */
export interface ReadableTasks {
  readonly encoded: EncodedTasks;
  /** Per decoder layer the cross-attention keys and values of the encoded instructions; none without fusion. */
  readonly shared: readonly SharedKeys[];
}

/** A use of {@link RestingTasks}. */
export interface TakenTasks {
  readonly tasks: ReadableTasks;
  /** To be called once what reads the tasks is enqueued. */
  release(): void;
}

/**
 * Tasks at rest, whose prefixes and keys take half the bytes of what attention reads on a CPU without products in bf16. While networks read the
 * tasks there, one widened copy serves them all: widening for every step would cost as much as attention does.
 */
export class RestingTasks {
  private readers = 0;
  private widened: { readonly tasks: ReadableTasks; readonly copies: readonly Tensor[] } | undefined;

  constructor(
    private readonly kept: ReadableTasks,
    /** What attention reads. */
    private readonly dtype: ops.FloatDType,
  ) {}

  /** What layers read, in the scope around the call. Enqueues the copies. */
  readable(): ReadableTasks {
    return this.widen().tasks;
  }

  /** {@link readable} in memory that stays until all who took it have released it. */
  take(): TakenTasks {
    this.widened ??= this.widen();
    if (this.readers++ === 0) for (const copy of this.widened.copies) copy.device.keep(copy);
    let isTaken = true;
    return {
      tasks: this.widened.tasks,
      release: () => {
        if (isTaken && --this.readers === 0) this.drop();
        isTaken = false;
      },
    };
  }

  private drop(): void {
    for (const copy of this.widened?.copies ?? []) copy.dispose();
    this.widened = undefined;
  }

  private widen(): { tasks: ReadableTasks; copies: readonly Tensor[] } {
    const { encoded, shared } = this.kept;
    const copies: Tensor[] = [];
    const wide = (tensor: Tensor): Tensor => {
      if (tensor.dtype === this.dtype) return tensor;
      const copy = ops.cast(tensor, this.dtype);
      copies.push(copy);
      return copy;
    };
    const modules = new Map(
      [...encoded.modules].map(([name, module]): [typeof name, GeneratedTensor] => [
        name,
        module.packed ? module : { ...module, tensor: wide(module.tensor) },
      ]),
    );
    const keys = shared.map(({ sharedKey, sharedValue, sharedOffsets }) => ({
      sharedKey: wide(sharedKey),
      sharedValue: wide(sharedValue),
      sharedOffsets,
    }));
    // Rows of tasks with the same map of modules are multiplied together.
    return copies.length === 0
      ? { tasks: this.kept, copies }
      : { tasks: { encoded: { ...encoded, modules }, shared: keys }, copies };
  }
}
