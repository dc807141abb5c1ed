import type { AttributeValue, DType, NativeCall, OpSpec } from '../../../src/tensor/native.js';
import { enqueueOp, gradientValues } from '../native-ops.js';
import type { Judge } from './judge.js';
import { sizeOf, type Made, type World } from './world.js';

/** A call of an op that has succeeded. */
interface Recipe {
  inputs: ({ shape: number[]; dtype: DType } | null)[];
  attributes: (AttributeValue | undefined)[];
}

const SIDES = [1, 1, 2, 2, 3, 4, 4, 8, 8, 16];
const MOST_RECIPES = 24;
const MOST_RESULTS = 64;

/**
 * Random calls of the ops in the table. It has no knowledge of single ops: it tries shapes and attributes until a call
 * succeeds, learns words from the messages of refusals, and varies successful calls. An op is therefore covered as soon
 * as the table has it.
 */
export class OpCalls {
  /** Kept from episode to episode. */
  private readonly recipes = new Map<string, Recipe[]>();
  private readonly words = new Set<string>(['']);

  constructor(
    readonly specs: OpSpec[],
    private readonly judge: Judge,
  ) {
    judge.onRefusal = (message) => this.learn(message);
  }

  /** Words that a refusal lists as the ones there are: "use none, gelu, tanh or relu". */
  private learn(message: string): void {
    for (const [, list] of message.matchAll(/(?:use|be|choose) ((?:[\w-]+, )*[\w-]+ or [\w-]+)/g))
      for (const word of (list as string).split(/, | or /)) if (this.words.size < 64) this.words.add(word);
  }

  /** Enqueues one op. Those that never ran are tried more often. */
  call(world: World): void {
    const { random } = world;
    const unknown = this.specs.filter(({ name }) => !this.recipes.has(name));
    const spec = unknown.length > 0 && random.chance(0.1) ? random.pick(unknown) : random.pick(this.specs);
    const known = this.recipes.get(spec.name);
    if (!known) {
      // An attempt is counted only when it succeeds, because most are not calls that a user would make.
      for (let attempt = 0; attempt < 20; attempt++)
        this.enqueue(world, spec, this.invent(world, spec), 'try');
      return;
    }
    if (random.chance(0.04)) this.enqueue(world, spec, this.invent(world, spec), 'op');
    else this.enqueue(world, spec, random.pick(known), 'op', random.chance(0.2));
  }

  private invent(world: World, spec: OpSpec): Recipe {
    const { random } = world;
    const sides = new Map<string, number>();
    const side = (name: string): number => {
      if (/^\d+$/.test(name)) return Number(name);
      if (!sides.has(name)) sides.set(name, random.chance(0.03) ? 0 : random.pick(SIDES));
      return sides.get(name) as number;
    };
    const floating = random.pick(['f32', 'f32', 'f32', 'bf16'] as const);
    const presence = random.pick([0, 0, 1, 0.5]);
    const any = random.chance(0.5) ? side('any') : undefined;
    const inputs = spec.inputs.map((argument) => {
      if (argument.optional && !random.chance(presence)) return null;
      const names = argument.shape.split(' ');
      const fits = world.results.filter(
        ({ shape, dtype }) =>
          shape.length === names.length && (argument.dtype === 'any' || argument.dtype === dtype),
      );
      if (argument.dtype === 'any' && fits.length > 0 && random.chance(0.7)) {
        const { shape, dtype } = random.pick(fits);
        names.forEach((name, i) => sides.set(name, shape[i] as number));
        return { shape, dtype };
      }
      const dtype =
        argument.dtype === 'any' ? world.dtype() : argument.dtype === 'floating' ? floating : argument.dtype;
      const isAnyShape = argument.shape.startsWith('*');
      return { shape: isAnyShape ? [any ?? side('any')] : names.map(side), dtype };
    });
    // Other inputs may give the sides of a parameter, which is then a matrix of these sides.
    const whole = [...sides.keys()].filter((name) => name !== 'any');
    if (whole.length === 2 && inputs.length > 0 && random.chance(0.5)) {
      const shape = whole.map(side);
      spec.inputs.forEach((argument, i) => {
        if (inputs[i] && argument.shape.startsWith('*')) inputs[i] = { ...inputs[i], shape };
      });
    }
    const parts = 1 + random.below(3);
    const attributes = spec.attributes.map(({ name, kind, required }): AttributeValue | undefined => {
      if (!required && random.chance(kind === 'list' ? 0.4 : 0.7)) return undefined;
      if (kind === 'integer')
        return random.chance(0.3) ? random.pick([...sides.values(), 1]) : random.below(5);
      if (kind === 'number') return random.pick([0, 0, 1, 0.5, 1e-3, 7]);
      if (kind === 'string') return random.pick([...this.words]);
      return this.list(world, name, sides, parts);
    });
    return { inputs, attributes };
  }

  /** Offsets of the rows that the attribute's name tells of, or indices of as many things as there are offsets. */
  private list(world: World, name: string, sides: Map<string, number>, parts: number): Int32Array {
    const { random } = world;
    if (!/offsets$/i.test(name))
      return Int32Array.from({ length: random.chance(0.5) ? parts : (sides.get('rows') ?? parts) }, () => 0);
    const base = name.replace(/offsets$/i, '');
    const rows = sides.get(`${base}Rows`) ?? sides.get('rows') ?? random.pick(SIDES);
    const inner = Array.from({ length: parts - 1 }, () => random.below(rows + 1)).sort((a, b) => a - b);
    return Int32Array.of(0, ...inner, rows);
  }

  private enqueue(world: World, spec: OpSpec, recipe: Recipe, kind: string, isSpoilt = false): void {
    const { random, native } = world;
    const made = recipe.inputs.map((input) => {
      if (!input) return null;
      const { shape, dtype } = input;
      const own = world.results.find(
        (result) => result.dtype === dtype && result.shape.join() === shape.join() && random.chance(0.2),
      );
      return own ?? world.tensor(shape, dtype);
    });
    // The same tensor may be given twice when nothing is updated in place.
    const distinct = made.map((input, i) =>
      input && made.indexOf(input) !== i ? world.tensor(input.shape, input.dtype) : input,
    );
    const inputs: unknown[] = distinct.map((input) => input?.handle ?? null);
    const attributes: unknown[] = [...recipe.attributes];
    if (isSpoilt) this.spoil(world, spec, distinct, inputs, attributes);
    const isSaved = spec.differentiable && random.chance(0.5);
    const index = this.specs.indexOf(spec);
    const device = world.device;
    let outputs: (Made | null)[] = [];
    const results = this.judge.call(
      `${kind}.${spec.name}`,
      () => enqueueOp(native, device, index, inputs as never, attributes as never, isSaved),
      (produced) => {
        outputs = produced.outputs;
        const changed = distinct.filter((_, i) => spec.inputs[i]?.mutable);
        const proof = [...outputs, ...changed].find((tensor) => tensor !== null && tensor !== undefined);
        const later = proof && device === world.device ? world.proofOf(proof) : undefined;
        return later?.then((values) => {
          if (!isSpoilt) this.remember(spec.name, recipe);
          return values;
        });
      },
    );
    if (!results) return;
    for (const output of outputs) if (output) world.results.push(output);
    world.results
      .splice(0, world.results.length - MOST_RESULTS)
      .forEach(({ handle }) => native.releaseTensor(handle));
    if (isSaved && device === world.device)
      world.saved.push({ call: results.call as NativeCall, spec, inputs: distinct, outputs });
    if (world.saved.length > 16) this.backward(world);
  }

  private remember(name: string, recipe: Recipe): void {
    const known = this.recipes.get(name) ?? [];
    if (!this.recipes.has(name)) this.recipes.set(name, known);
    if (known.length < MOST_RECIPES) known.push(recipe);
    else known[known.length - 1] = recipe;
  }

  /** Changes one thing so that the call is invalid. */
  private spoil(
    world: World,
    spec: OpSpec,
    tensors: (Made | null)[],
    inputs: unknown[],
    attributes: unknown[],
  ): void {
    const { random } = world;
    const at = random.below(inputs.length);
    const tensor = tensors[at] ?? { shape: [1], dtype: 'f32' as const };
    const side = random.below(Math.max(1, tensor.shape.length));
    random.pick<() => void>([
      () => (inputs[at] = world.badTensor(tensor.shape, tensor.dtype).handle),
      () => (inputs[at] = world.oddity()),
      () => (inputs[at] = null),
      () => (inputs[at] = inputs[random.below(inputs.length)]),
      () => {
        // So many elements that their number overflows.
        const sides = tensor.shape.map((size, i) => (i < 2 ? 2 ** 32 : size));
        const none = world.data(tensor.dtype, 0);
        const huge = this.judge.call('search.createTensor', () =>
          world.native.createTensor(world.device, tensor.dtype, sides, random.chance(0.5) ? none : null),
        );
        if (huge) inputs[at] = huge;
      },
      () => inputs.push(null),
      () => inputs.pop(),
      () => (inputs[at] = world.tensor(tensor.shape, world.dtype()).handle),
      () => {
        const shape = tensor.shape.map((size, i) =>
          i === side ? random.pick([0, size + 1, size * 2]) : size,
        );
        inputs[at] = world.tensor(shape, tensor.dtype).handle;
      },
      () => {
        if (tensor.dtype !== 'i32') return;
        const values = Int32Array.from({ length: sizeOf(tensor.shape) }, () =>
          random.pick([-1, 1, 2, 3, 4, 8, 16, 17, 2 ** 31 - 1, -(2 ** 31)]),
        );
        inputs[at] = world.native.createTensor(world.device, 'i32', tensor.shape, values);
      },
      () => {
        const which = random.below(attributes.length);
        const old = attributes[which];
        if (old instanceof Int32Array && old.length > 0) {
          const list = Int32Array.from(old);
          list[random.below(list.length)] = random.pick([-1, 0, 1, 5, 1000, 2 ** 31 - 1, -(2 ** 31)]);
          attributes[which] = list;
        } else if (spec.attributes[which]?.kind === 'integer' || spec.attributes[which]?.kind === 'number') {
          attributes[which] = random.pick([
            -1,
            0,
            3,
            0.5,
            1e6,
            1e9,
            2 ** 31,
            2 ** 40,
            2 ** 53 - 1,
            1e300,
            NaN,
            -Infinity,
          ]);
        } else if (which < attributes.length) attributes[which] = world.oddity();
      },
    ])();
  }

  /** Runs the backward pass of a saved call, or releases the call. */
  backward(world: World): void {
    const { random, native } = world;
    const saved = world.saved.splice(random.below(world.saved.length), 1)[0];
    if (!saved) return;
    if (random.chance(0.05)) {
      this.judge.call('native.releaseCall', () => native.releaseCall(saved.call));
      if (random.chance(0.5)) return;
    }
    const gradientOf = (tensor: Made | null, isDifferentiable: boolean, probability: number): Made | null =>
      tensor &&
      isDifferentiable &&
      (tensor.dtype === 'f32' || tensor.dtype === 'bf16') &&
      random.chance(probability)
        ? world.tensor(tensor.shape, tensor.dtype)
        : null;
    const { spec } = saved;
    const outputs = saved.outputs.map((output, i) =>
      gradientOf(output, spec.outputs[i]?.differentiable ?? false, 0.95),
    );
    const inputs = saved.inputs.map((input, i) =>
      gradientOf(input, spec.inputs[i]?.differentiable ?? false, 0.8),
    );
    const given: unknown[] = outputs.map((gradient) => gradient?.handle ?? null);
    const wanted: unknown[] = inputs.map((gradient) => gradient?.handle ?? null);
    const betas: unknown[] = inputs.map(() => random.below(2));
    if (random.chance(0.15)) {
      const list = random.pick([given, wanted, betas]);
      list[random.below(list.length)] = random.chance(0.5)
        ? world.oddity()
        : world.badTensor([2], 'f32').handle;
    }
    const written = inputs.find((gradient) => gradient !== null);
    const { device } = world;
    const values = gradientValues(spec.outputs.length, spec.inputs.length, given, wanted, betas);
    this.judge.call(
      `backward.${spec.name}`,
      () => native.enqueueBackward(device, saved.call, ...(values as never[])),
      () => (written && device === world.device ? world.proofOf(written) : undefined),
    );
    if (random.chance(0.05)) world.saved.push(saved);
  }
}
