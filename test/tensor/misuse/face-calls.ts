import { Device } from '../../../src/tensor/device.js';
import { firstNonFinite, MappedFile, releasePages } from '../../../src/tensor/mapped-file.js';
import * as ops from '../../../src/tensor/ops.js';
import { Gradients, Tape } from '../../../src/tensor/tape.js';
import { Tensor } from '../../../src/tensor/tensor.js';
import type { Judge } from './judge.js';
import type { World } from './world.js';

type Loose = (...given: unknown[]) => unknown;

/** Probability that one argument of a call is exchanged for another value. */
const ODD = 0.25;

/** Random calls of `Device`, `Tensor`, `Tape` and of every function of `ops`, valid and invalid ones. */
export class FaceCalls {
  private readonly device = new Device({ threads: 2, memoryLimit: 48 << 20 });
  private readonly foreign = new Device({ threads: 1, memoryLimit: 1 << 20 });
  private readonly elsewhere: Tensor;
  private readonly disposed: Tensor;

  constructor(private readonly judge: Judge) {
    this.elsewhere = this.foreign.full([4, 4], 1);
    this.disposed = this.device.full([4, 4], 1);
    this.disposed.dispose();
  }

  close(): void {
    this.device.close();
    this.foreign.close();
  }

  call(world: World): void {
    this.device.tidy(() => {
      if (world.random.chance(0.3)) this.callOp(world);
      else if (world.random.chance(0.3)) this.train(world);
      else this.callMethod(world);
    });
  }

  private tensor(world: World, shape: number[] = [4, 4]): Tensor {
    return this.device.tensor(
      world.data(
        'f32',
        shape.reduce((a, b) => a * b, 1),
      ) as Float32Array,
      shape,
    );
  }

  private oddity(world: World): unknown {
    const { random } = world;
    if (random.chance(0.5)) return world.oddity();
    return random.pick<unknown>([
      this.elsewhere,
      this.disposed,
      this.device.tensor(null, [4, 4]),
      new Gradients(this.device),
      this.device,
      { shape: [2], handle: {}, device: this.device },
    ]);
  }

  private invoke(world: World, name: string, body: Loose, ...args: unknown[]): unknown {
    if (args.length > 0 && world.random.chance(ODD))
      args[world.random.below(args.length)] = this.oddity(world);
    return this.judge.call(name, () => body(...args));
  }

  /** Calls a function of `ops` with random arguments, few of which are valid. */
  private callOp(world: World): void {
    const { random } = world;
    const [name, body] = random.pick(Object.entries(ops));
    const argument = (): unknown =>
      random.pick<unknown>([
        this.tensor(world),
        this.tensor(world),
        this.tensor(world, [4]),
        this.device.tensor(Int32Array.of(0, 1, 2, 1), [4]),
        random.next(),
        {},
        {
          token: this.tensor(world),
          bias: this.tensor(world, [4]),
          numHeads: 2,
          kOffsets: Int32Array.of(0, 4),
        },
        Int32Array.of(0, 4),
        this.oddity(world),
      ]);
    const args = Array.from({ length: Math.max(1, body.length) + random.below(2) }, argument);
    // Most of these calls are refused, so they are not counted among those that should run.
    this.judge.call(`search.ops.${name}`, () => (body as Loose)(...args));
  }

  private callMethod(world: World): void {
    const { random } = world;
    const { device } = this;
    const x = this.tensor(world);
    const call = (owner: object, name: string, ...args: unknown[]): unknown =>
      this.invoke(
        world,
        `${owner.constructor.name}.${name}`,
        (...given) => ((owner as Record<string, Loose>)[name] as Loose).apply(owner, given),
        ...args,
      );
    random.pick<() => unknown>([
      () => call(device, 'tensor', new Float32Array(6), [2, 3], 'f32'),
      () => call(device, 'tensorFromBytes', new Uint8Array(8), [2, 2], 'bf16'),
      () => call(device, 'full', [2, 2], 1),
      () => call(device, 'apply', 'scale', [x], { factor: 2 }),
      () => call(device, 'assign', x, this.tensor(world)),
      () => call(device, 'write', x, new Float32Array(4), 4),
      () => call(device, 'writeInPieces', x, new Float32Array(16)),
      () => call(device, 'upload', new Float32Array(6), [2, 3]),
      () => call(device, 'synchronize'),
      () => call(device, 'statistics'),
      () => call(device, 'setThreads', 2),
      () => call(device, 'tidy', () => x.reshape([16])),
      () => call(device, 'record', () => ops.scale(x, 2)),
      () => {
        const program = device.record(() => ops.fill(x, 3));
        call(program, 'replay', random.below(3), undefined);
        if (random.chance(0.5)) program.dispose();
        call(program, 'replay', 1, this.device.tensor(Int32Array.of(0), [1]));
      },
      () => call(x, 'reshape', [2, 8]),
      () => call(x, 'narrow', 1, 3),
      () => call(x, 'as', 'bf16'),
      () => call(x, 'alias'),
      () => call(random.pick([x, x, x, this.disposed]), 'read'),
      () => call(this.device.tensor(Int32Array.of(0), [1]), 'readIntegers'),
      () => call(this.tensor(world, [1]), 'item'),
      () => call(x, 'readBytes'),
      () => call(x, 'dispose'),
      () =>
        this.invoke(world, 'Device.constructor', (options) => new Device(options as object).close(), {
          threads: 1,
        }),
      () =>
        this.invoke(
          world,
          'MappedFile.open',
          (descriptor) => MappedFile.open(descriptor as number),
          world.descriptor,
        ),
      () => {
        const file = MappedFile.open(world.descriptor);
        if (file) (call(file, 'tensor', device, 'f32', [2, 2], 8) as Tensor | undefined)?.dispose?.();
      },
      () => this.invoke(world, 'releasePages', releasePages as Loose, x),
      () => this.invoke(world, 'firstNonFinite', firstNonFinite as Loose, x),
    ])();
  }

  /** A forward and a backward pass, sometimes with a wrong request, order or device. */
  private train(world: World): void {
    const { random } = world;
    const { device } = this;
    const weight = device.keep(this.tensor(world));
    const gradients = new Gradients(device);
    this.invoke(world, 'Gradients.constructor', (given) => new Gradients(given as Device), device);
    const tape = this.invoke(
      world,
      'Tape.constructor',
      (given, parameters) => new Tape(given as Device, parameters as Tensor[]),
      device,
      [random.chance(0.9) ? weight : (this.oddity(world) as Tensor)],
    ) as Tape | undefined;
    if (tape) {
      const x = this.tensor(world);
      const loss = this.invoke(
        world,
        'Tape.run',
        (given) =>
          tape.run(() => {
            const hidden = ops.linear(x, given as Tensor);
            const ids = device.tensor(Int32Array.of(0, random.chance(0.2) ? 9 : 1), [2]);
            const rows = random.chance(0.5) ? ops.embedding(ids, hidden) : hidden;
            const again = random.chance(0.3)
              ? (tape.recompute([rows], (y) => [ops.scale(y, 2)])[0] as Tensor)
              : rows;
            return ops.sum(random.chance(0.3) ? ops.add(again, again) : again);
          }),
        weight,
      );
      const root = random.chance(0.1) ? this.oddity(world) : loss;
      this.invoke(
        world,
        'Tape.backward',
        (roots, into) => tape.backward(roots as Tensor[], into as Gradients),
        [root],
        gradients,
      );
      const gradient = gradients.get(weight);
      if (gradient) this.judge.call('search.gradient', () => gradient.read());
      if (random.chance(0.1))
        this.invoke(world, 'Tape.backward', (roots) => tape.backward(roots as Tensor[], gradients), [loss]);
    }
    gradients.dispose();
    weight.dispose();
  }
}
