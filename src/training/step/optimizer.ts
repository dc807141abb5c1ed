import type { Group } from '../../distributed/group.js';
import { balanced, inBuckets } from '../../distributed/shares.js';
import { HintError } from '../../util/errors.js';
import type { Device } from '../../tensor/device.js';
import { momentShapes } from '../../tensor/moments.js';
import * as ops from '../../tensor/ops.js';
import type { Sliced } from '../../tensor/slices.js';
import type { Gradients } from '../../tensor/tape.js';
import type { Tensor } from '../../tensor/tensor.js';
import { BUCKET_BYTES, GradientSums } from './gradient-sums.js';
import type { OptimizerGroup } from './parameter-groups.js';
import { fnv1a32 } from '../../util/hash.js';

/** Adafactor as T5 and HINT are trained with it (method §5.1); the defaults are the original's. */
export interface AdafactorSettings {
  readonly name: 'adafactor';
  readonly decayRate: number;
  readonly clippingThreshold: number;
  readonly epsilon1: number;
  readonly epsilon2: number;
}

/** AdamW with decoupled weight decay. */
export interface AdamWSettings {
  readonly name: 'adamw';
  readonly beta1: number;
  readonly beta2: number;
  readonly epsilon: number;
  readonly weightDecay: number;
}

export type OptimizerSettings = AdafactorSettings | AdamWSettings;

export const ADAFACTOR: AdafactorSettings = {
  name: 'adafactor',
  decayRate: 0.8,
  clippingThreshold: 1,
  epsilon1: 1e-30,
  epsilon2: 1e-3,
};

/**
 * Adafactor's decay 1 − (step − offset + 1)^−rate, rounded to float32 at each operation as the original does: at a
 * step of about a million 1 − decay keeps only three significant digits.
 *
 * @param step global step of the update, 0 for the very first
 */
export function adafactorDecay(step: number, offset: number, rate: number): number {
  const t = Math.fround(Math.fround(step - offset) + 1);
  return Math.fround(1 - Math.fround(Math.pow(t, Math.fround(-rate))));
}

/** Which update is applied. */
export interface UpdateStep {
  /** Updates of this run so far. */
  readonly update: number;
  /** Global step: `update` and the steps the starting checkpoint was trained for. */
  readonly step: number;
  readonly learningRate: number;
  /** What gradients are multiplied with first, as clipping does; absent: nothing. */
  readonly gradientScale?: number;
  /** Of the draws of stochastic rounding, integer from 0 to 2^53 − 1; default 0. */
  readonly seed?: number;
}

interface Member {
  readonly name: string;
  readonly parameter: Tensor;
  readonly group: OptimizerGroup;
  /** The rank that updates it and has its moments; undefined: this process, which is alone. */
  readonly owner: number | undefined;
  /** By moment; see {@link momentShapes}. None where another rank has them. */
  readonly moments: Readonly<Record<string, Tensor>>;
}

/** A moment in a checkpoint. */
export interface SavedMoment {
  readonly name: string;
  readonly shape: readonly number[];
  readonly data: () => Promise<Uint8Array>;
}

/**
 * Updates the parameters of its groups in place and owns their moments. Gradients are sums over tokens
 * (method §6), and a parameter without a gradient counts as one whose gradient is 0. Where several ranks train, each
 * parameter has an owner among them, which keeps its moments, updates it and gives the result to the others.
 */
export class Optimizer {
  private readonly buckets: readonly (readonly Member[])[];
  /** Of the gradients that the ranks make; undefined: there is one process. */
  readonly sums: GradientSums | undefined;

  /** Moments start at 0. */
  constructor(
    private readonly device: Device,
    readonly settings: OptimizerSettings,
    readonly groups: readonly OptimizerGroup[],
    /** The ranks that train; undefined: one process. */
    readonly ranks?: Group | undefined,
    /** What gradients travel as between them. */
    gradientDtype: ops.FloatDType = 'f32',
    private readonly members: readonly Member[] = device.now(startMembers(device, settings, groups, ranks)),
  ) {
    this.buckets = ranks ? inBuckets(members, ({ parameter }) => parameter.bytes, BUCKET_BYTES) : [members];
    const summands = members.map(({ parameter, owner = 0 }) => ({ parameter, owner }));
    this.sums = ranks && new GradientSums(ranks, device, summands, { dtype: gradientDtype });
  }

  /** An optimizer of a large model, whose moments are enqueued in slices. */
  static async create(
    device: Device,
    settings: OptimizerSettings,
    groups: readonly OptimizerGroup[],
    ranks?: Group,
    gradientDtype?: ops.FloatDType,
  ): Promise<Optimizer> {
    const members = await device.inSlices(startMembers(device, settings, groups, ranks));
    return new Optimizer(device, settings, groups, ranks, gradientDtype, members);
  }

  /** The parameters it trains. */
  parameters(): Tensor[] {
    return this.members.map(({ parameter }) => parameter);
  }

  /** Those of them that this rank updates. */
  ownParameters(): Tensor[] {
    return this.members.filter((member) => this.isOwn(member)).map(({ parameter }) => parameter);
  }

  private isOwn({ owner }: Member): boolean {
    return owner === this.ranks?.rank;
  }

  /**
   * Enqueues one update of every parameter; the event loop turns in between. Resolves when all are enqueued: until then
   * the gradients must stay, and whoever uses the parameters finds some of them updated.
   */
  apply(gradients: Gradients, at: UpdateStep): Promise<void> {
    return this.device.inSlices(this.updateAll(gradients, at));
  }

  private *updateAll(gradients: Gradients, at: UpdateStep): Sliced<void> {
    for (const bucket of this.buckets) {
      for (const member of bucket) {
        if (this.isOwn(member)) this.updateMember(member, gradients, at);
        yield;
      }
      const parameters = bucket.map(({ parameter }) => parameter);
      this.ranks?.broadcast(parameters, ownersOf(bucket), `get the weights of step ${at.update + 1}`);
    }
    this.ranks?.finish(this.device);
  }

  private updateMember(member: Member, gradients: Gradients, at: UpdateStep): void {
    this.device.tidy(() => {
      const { parameter } = member;
      const gradient = gradients.get(parameter) ?? this.device.full(parameter.shape, 0);
      const { gradientScale } = at;
      this.updateOne(member, gradientScale === undefined ? gradient : ops.scale(gradient, gradientScale), at);
    });
  }

  private updateOne(member: Member, gradient: Tensor, at: UpdateStep): void {
    const { parameter, moments, group } = member;
    const rounding = roundingOf(member, at);
    const learningRate = at.learningRate * (group.learningRateScale ?? 1);
    if (this.settings.name === 'adafactor') {
      const { decayRate, clippingThreshold, epsilon1, epsilon2 } = this.settings;
      ops.adafactor(parameter, gradient, moments, {
        learningRate,
        decay: adafactorDecay(at.step, group.stepOffset, decayRate),
        clippingThreshold,
        epsilon1,
        epsilon2,
        multiplyByParameterScale: group.multiplyByParameterScale,
        ...rounding,
      });
    } else {
      const { beta1, beta2, epsilon, weightDecay } = this.settings;
      ops.adamw(parameter, gradient, moments as { first: Tensor; second: Tensor }, {
        learningRate,
        beta1,
        beta2,
        epsilon,
        weightDecay,
        step: at.update + 1,
        ...rounding,
      });
    }
  }

  /** Every moment that this rank has, under `<moment>.<parameter>`. */
  state(): Map<string, Tensor> {
    return new Map(
      this.members.flatMap(({ name, moments }) =>
        Object.entries(moments).map(([moment, tensor]): [string, Tensor] => [`${moment}.${name}`, tensor]),
      ),
    );
  }

  /**
   * Every moment, those of other ranks too, in the order in which they must be read: rank 0 asks for them while all others
   * {@link giveMoments}. A value is that of the moment at which its reading begins.
   */
  savedState(): SavedMoment[] {
    return this.allMoments().map(({ name, shape, member, own }) => ({
      name,
      shape,
      data: async () => new Uint8Array(await (own ? own.readBytes() : this.momentOf(member, shape))),
    }));
  }

  /** Of {@link Optimizer.savedState}, what this rank has. */
  ownState(): SavedMoment[] {
    return this.allMoments().flatMap(({ name, shape, own }) =>
      own ? [{ name, shape, data: async () => new Uint8Array(await own.readBytes()) }] : [],
    );
  }

  /** The rank that has each moment, by its name. */
  momentOwners(): Map<string, number> {
    return new Map(this.allMoments().map(({ name, member }) => [name, member.owner ?? 0]));
  }

  /** A moment that another rank has, at rank 0. */
  private momentOf({ owner }: Member, shape: readonly number[]): Promise<ArrayBuffer> {
    const copy = this.device.keep(this.device.full(shape, 0));
    this.ranks?.gather([copy], [owner ?? 0], WANT_MOMENTS);
    this.ranks?.finish(this.device);
    const read = copy.readBytes();
    // Once it was read: many may be under way.
    copy.dispose();
    return read;
  }

  /** Enqueues what gives rank 0 the moments that this rank has, for a checkpoint. */
  giveMoments(): Promise<void> {
    return this.device.inSlices(this.giveEach());
  }

  private *giveEach(): Sliced<void> {
    for (const { own, member } of this.allMoments()) {
      if (own) this.ranks?.gather([own], ownersOf([member]), WANT_MOMENTS);
      yield;
    }
    this.ranks?.finish(this.device);
  }

  /** In the order of their names. */
  private allMoments(): {
    name: string;
    shape: readonly number[];
    member: Member;
    own: Tensor | undefined;
  }[] {
    return this.members
      .flatMap((member) =>
        Object.entries(momentShapes(this.settings.name, member.parameter.shape)).map(([moment, shape]) => ({
          name: `${moment}.${member.name}`,
          shape,
          member,
          own: member.moments[moment],
        })),
      )
      .sort((a, b) => (a.name < b.name ? -1 : 1));
  }

  /**
   * Puts saved moments back.
   * @param read gives the values saved under a name of {@link state}, undefined when there are none
   * @throws HintError INVALID_CHECKPOINT when a moment is missing or of another size
   */
  async restore(read: (name: string) => Promise<Float32Array | undefined>): Promise<void> {
    for (const [name, tensor] of this.state()) {
      const values = await read(name);
      if (values?.length !== tensor.size) {
        throw new HintError(
          'INVALID_CHECKPOINT',
          `The optimizer state ${name} has ${values ? `${values.length} values` : 'no values'} in the checkpoint, ${this.settings.name} needs ${tensor.size}; resume with the optimizer and model the run was started with.`,
        );
      }
      await this.device.writeInPieces(tensor, values);
    }
  }

  dispose(): void {
    for (const tensor of this.state().values()) tensor.dispose();
  }
}

const WANT_MOMENTS = "collect the optimizer's moments for a checkpoint";

function ownersOf(members: readonly Member[]): number[] {
  return members.map(({ owner }) => owner ?? 0);
}

function* startMembers(
  device: Device,
  settings: OptimizerSettings,
  groups: readonly OptimizerGroup[],
  ranks: Group | undefined,
): Sliced<Member[]> {
  const all = groups.flatMap((group) =>
    [...group.parameters].map(([name, parameter]) => ({ name, parameter, group })),
  );
  const owners =
    ranks &&
    balanced(
      all.map(({ parameter }) => parameter.bytes),
      ranks.size,
    );
  const members: Member[] = [];
  for (const [i, member] of all.entries()) {
    const owner = owners?.[i];
    const shapes = owner === ranks?.rank ? momentShapes(settings.name, member.parameter.shape) : {};
    const moments = Object.entries(shapes).map(([moment, shape]): [string, Tensor] => [
      moment,
      device.keep(device.full(shape, 0)),
    ]);
    members.push({ ...member, owner, moments: Object.fromEntries(moments) });
    yield;
  }
  return members;
}

/** Draws are a function of seed, update, name and element: a resumed run draws what the interrupted one would have. */
function roundingOf({ name, group }: Member, { update, seed = 0 }: UpdateStep): ops.ParameterRounding {
  if (group.paramDtype !== 'bf16') return {};
  if (group.paramRounding !== 'stochastic') return { rounding: 'nearest' };
  // Counted from 1: stream `name` of step 0 is what the parameter's first values were drawn from.
  return {
    rounding: 'stochastic',
    roundingSeed: seed,
    roundingStep: update + 1,
    roundingStream: fnv1a32(name),
  };
}
