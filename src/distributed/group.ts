import { randomUUID } from 'node:crypto';
import { availableParallelism, cpus, hostname } from 'node:os';
import type { Device } from '../tensor/device.js';
import {
  asHintError,
  guarded,
  native,
  type Collective,
  type CommunicationInterval,
  type CommunicationTimes,
  type NativeGroup,
} from '../tensor/native.js';
import type { Tensor } from '../tensor/tensor.js';
import { MOST_THREADS } from '../tensor/threads.js';
import { checked, choice, either, integer, number, optional, options, text } from '../util/arguments.js';
import { HintError } from '../util/errors.js';
import type { Launcher, RankLaunch } from './launcher.js';
import { Meeting } from './meeting.js';
import { WatchThread } from './watch-thread.js';
import type { Hub, Loss, RankPlace } from './watch.js';

/** How long other ranks are waited for. */
export interface GroupLimits {
  /** Seconds without a sign of life after which a rank counts as lost; default 8. */
  readonly silence?: number;
  /** Seconds for all ranks to start; default 120. */
  readonly start?: number;
}

const MPI_OR_ALONE = choice('openmpi', 'mpich', 'alone');
const LAUNCH = options<RankLaunch>({
  launcher: text,
  variable: text,
  size: integer(2),
  rank: integer(0),
  host: text,
  port: integer(1, 65_535),
  run: text,
});
const JOINED = either<Launcher | 'alone'>(
  `${MPI_OR_ALONE.allowed}, or what launcherOf gives`,
  [(value) => typeof value === 'string', MPI_OR_ALONE],
  [(value) => typeof value === 'object' && value !== null, LAUNCH],
);
const LIMITS = options<GroupLimits>({
  silence: optional(number(0, 3600, { above: true })),
  start: optional(number(0, 86_400, { above: true })),
});
const SILENCE_SECONDS = 8;
const START_SECONDS = 120;

/**
 * The processes that a launcher has started together, as one of them sees them. Every rank makes the same calls in the same
 * order. Collectives are commands of a device: they are enqueued, and tensors they write have their values once what
 * {@link Group.finish} was enqueued with has run. When a rank is lost, all that waits for it rejects with RANK_LOST.
 */
export class Group {
  private loss: (Loss & { message: string }) | undefined;
  private readonly waiting: (() => void)[] = [];

  private constructor(
    private readonly handle: NativeGroup,
    /** Of this process, from 0. */
    readonly rank: number,
    /** Of every rank. */
    readonly places: readonly RankPlace[],
  ) {}

  private watch: WatchThread | undefined;
  /** Once GPUs of the ranks have met; undefined: they do not. */
  private gpus: Promise<void> | undefined;
  private hasGpusOnly = false;

  /**
   * Joins the other processes: by MPI, or by NCCL where the launcher brings no MPI; their tensors are on GPUs then.
   *
   * @throws HintError INVALID_ARGUMENT, also where the port is in use at which ranks are to meet; NOT_SUPPORTED when the
   *   implementation, or NCCL, cannot be used, RANK_LOST when not all join in time
   */
  static async join(launcher: Launcher | 'alone', limits: GroupLimits = {}): Promise<Group> {
    const kind = checked(JOINED, launcher, 'launcher');
    const { silence = SILENCE_SECONDS, start = START_SECONDS } = checked(LIMITS, limits, 'limits');
    if (typeof kind === 'object') return Group.meet(kind, silence, start);
    const handle = guarded(() => native().joinGroup(kind));
    return inTime(Group.of(handle, silence), start);
  }

  private static async meet(launch: RankLaunch, silence: number, start: number): Promise<Group> {
    requireNccl(launch);
    const { met, meeting } = await Meeting.of(launch, makeNcclId, start);
    const { rank, size } = launch;
    const handle = guarded(() => native().joinGroup('nccl', met.id, rank, size, gpuOf(met.places, rank)));
    try {
      const group = await Promise.race([inTime(Group.of(handle, silence), start), meeting.untilLoss]);
      group.gpus = Promise.resolve();
      group.hasGpusOnly = true;
      return group;
    } catch (error) {
      const message = error instanceof Error ? error.message : String(error);
      guarded(() => native().interruptGroup(handle, message));
      throw error;
    } finally {
      meeting.end();
    }
  }

  private static async of(handle: NativeGroup, silence: number): Promise<Group> {
    const own = { host: hostname(), pid: process.pid, id: randomUUID() };
    const met = await exchange(handle, own, 'meet the other ranks');
    const places = met.map(({ host, pid }, rank): RankPlace => ({ rank, host, pid }));
    const rank = met.findIndex(({ id }) => id === own.id);
    const group = new Group(handle, rank, places);
    if (places.length > 1) {
      const share = async (hub: Hub | undefined): Promise<Hub> =>
        (await exchange<Hub | null>(handle, hub ?? null, 'learn where rank 0 listens'))[0] as Hub;
      const data = { places, rank, limit: silence * 1000 };
      group.watch = await WatchThread.start(data, share, (loss) => group.lose(loss));
    }
    return group;
  }

  /** How many processes there are, at least 1. */
  get size(): number {
    return this.places.length;
  }

  /** Ranks on this host, */
  get localSize(): number {
    return this.places.filter(({ host }) => host === this.places[this.rank]?.host).length;
  }

  /** and this one's place among them, from 0. */
  get localRank(): number {
    const { host } = this.places[this.rank]!;
    return this.places.filter((other) => other.host === host && other.rank < this.rank).length;
  }

  /** Threads of this rank, where settings leave them open (0): its share of the cores, unless the launcher has given it some. */
  threadsOf(threads: number): number {
    const cores = availableParallelism();
    if (threads > 0 || cores < cpus().length) return threads;
    return Math.min(MOST_THREADS, Math.max(1, Math.floor(cores / this.localSize)));
  }

  /**
   * The device of this rank where all are given the same: of `cuda`, the GPU of its place on its host.
   *
   * @throws HintError INVALID_ARGUMENT where ranks of a host are given one GPU by its number, or it has fewer than ranks;
   *   NOT_SUPPORTED for the CPU where the ranks have no MPI
   */
  deviceOf(device: string): string {
    if (this.size === 1) return device;
    if (!device.startsWith('cuda')) {
      if (this.hasGpusOnly)
        throw new HintError(
          'NOT_SUPPORTED',
          `Ranks that compute on the ${device} need MPI, which this launcher does not bring: start them with mpirun -n ${this.size}, or give --device cuda.`,
        );
      return device;
    }
    if (device !== 'cuda' && this.localSize > 1)
      throw new HintError(
        'INVALID_ARGUMENT',
        `The ${this.localSize} ranks of ${this.places[this.rank]?.host} cannot share ${device}; give cuda, of which each takes a GPU of its own.`,
      );
    return device === 'cuda' ? `cuda:${gpuOf(this.places, this.rank)}` : device;
  }

  /**
   * {@link Group.deviceOf}, whose tensors can be shared from now on. All ranks call it with the same kind of device.
   *
   * @throws HintError as deviceOf; NOT_SUPPORTED when GPUs cannot be used, or NCCL cannot; RANK_LOST
   */
  async openDevice(device: string): Promise<string> {
    const own = this.deviceOf(device);
    if (own.startsWith('cuda') && this.size > 1) await (this.gpus ??= this.joinGpus(own));
    return own;
  }

  private async joinGpus(device: string): Promise<void> {
    const own = this.rank === 0 ? Buffer.from(makeNcclId()).toString('base64') : null;
    const [id] = await this.exchange(own, 'learn by what GPUs meet');
    const gpu = Number(device.split(':')[1] ?? 0);
    try {
      await native().joinGpus(this.handle, Buffer.from(id!, 'base64'), this.rank, this.size, gpu);
    } catch (error) {
      throw asHintError(error);
    }
  }

  /** A rank as messages name it. */
  describe(rank: number): string {
    return `rank ${rank} on ${this.places[rank]?.host}`;
  }

  /** Sums f32 tensors over the ranks, each to its owner, in the order of ranks. @param what completes "waits to ..." */
  reduce(tensors: readonly Tensor[], owners: readonly number[], what: string): void {
    this.start('reduce', tensors, owners, what);
  }

  /** {@link reduce}, with the sums at every rank. */
  allReduce(tensors: readonly Tensor[], what: string): void {
    this.start(
      'allReduce',
      tensors,
      tensors.map(() => 0),
      what,
    );
  }

  /** Gives every rank the values of each tensor's owner. */
  broadcast(tensors: readonly Tensor[], owners: readonly number[], what: string): void {
    this.start('broadcast', tensors, owners, what);
  }

  /** Gives rank 0 the values of each tensor's owner. */
  gather(tensors: readonly Tensor[], owners: readonly number[], what: string): void {
    this.start('gather', tensors, owners, what);
  }

  private start(kind: Collective, tensors: readonly Tensor[], owners: readonly number[], what: string): void {
    const [first] = tensors;
    if (!first) return;
    const handles = tensors.map(({ handle }) => handle);
    guarded(() => native().startCollective(first.device.handle, this.handle, kind, handles, owners, 0, what));
    for (const tensor of tensors) tensor.onChange?.();
  }

  /** Makes a device wait for the collectives that were started on it. */
  finish(device: Device): void {
    guarded(() => native().finishCollectives(device.handle, this.handle));
  }

  /** Of all collectives that a device has finished when it gets here. */
  async times(device: Device): Promise<CommunicationTimes> {
    try {
      return await native().groupTimes(device.handle, this.handle);
    } catch (error) {
      throw asHintError(error);
    }
  }

  /** What {@link Group.times} adds up, since it was recorded or last taken. @param isRecorded whether more will be */
  takeIntervals(isRecorded: boolean): CommunicationInterval[] {
    return guarded(() => native().takeGroupIntervals(this.handle, isRecorded));
  }

  /**
   * What every rank gives, in their order. No collective of a device may be under way.
   *
   * @param value what JSON keeps
   */
  exchange<T>(value: T, what: string): Promise<T[]> {
    return exchange(this.handle, value, what);
  }

  /**
   * What rank 0 finds, at every rank.
   *
   * @param find is called at rank 0 alone; what it gives is what JSON keeps
   * @throws what `find` throws, at rank 0
   */
  async fromFirst<T>(find: () => T | Promise<T>, what: string): Promise<T> {
    const own = this.rank === 0 ? { value: await find() } : {};
    return ((await this.exchange<{ value?: T }>(own, what))[0] as { value: T }).value;
  }

  /**
   * Checks that all ranks have the same values.
   *
   * @param values by what they are called
   * @param next what to do where they differ, as the end of a sentence
   * @throws HintError INVALID_CONFIG, at every rank, naming what differs between which
   */
  async requireSame(values: Readonly<Record<string, unknown>>, next: string): Promise<void> {
    const all = await this.exchange(values, 'compare what the ranks were given');
    const [first = {}] = all;
    for (const [rank, others] of all.entries()) {
      const names = [...new Set([...Object.keys(first), ...Object.keys(others)])];
      const show = (value: unknown): string => JSON.stringify(value) ?? 'nothing';
      const differing = names.filter((name) => show(first[name]) !== show(others[name]));
      const [name] = differing;
      if (name === undefined) continue;
      const more = differing.length > 1 ? ` (${differing.slice(1).join(', ')} differ too)` : '';
      throw new HintError(
        'INVALID_CONFIG',
        `The ranks of this run differ: ${name} is ${show(first[name])} for ${this.describe(0)} and ${show(others[name])} for ${this.describe(rank)}${more}; ${next}`,
      );
    }
  }

  private lose(loss: Loss): void {
    const activity = guarded(() => native().groupActivity(this.handle));
    const waiting = activity ? `, while ${this.describe(this.rank)} waited to ${activity.what}` : '';
    // The error of a rank that failed is a sentence, with its own full stop.
    const message = `${loss.what.replace(/\.$/, '')}${waiting}. All ranks end; where a checkpoint was saved, the run can be resumed from it.`;
    this.loss = { ...loss, message };
    guarded(() => native().interruptGroup(this.handle, message));
    for (const tell of this.waiting) tell();
  }

  /** Rejects with RANK_LOST once a rank is lost. */
  untilLoss(): Promise<never> {
    return new Promise((_, reject) => {
      const tell = (): void => reject(new HintError('RANK_LOST', this.loss?.message ?? 'A rank was lost.'));
      if (this.loss) tell();
      else this.waiting.push(tell);
    });
  }

  /** Whether a rank was lost. */
  get isLost(): boolean {
    return this.loss !== undefined;
  }

  /** Whether it is for this rank to tell the user that one was lost; exactly one rank tells. */
  get tellsOfLoss(): boolean {
    return this.loss?.isTeller ?? false;
  }

  /**
   * Tells the other ranks, which end, that this one ends with an error.
   *
   * @returns whether another rank tells the user
   */
  async fail(message: string): Promise<boolean> {
    return (await this.watch?.fail(message)) ?? false;
  }

  /** Takes leave of the others once all do; nothing can be done together afterwards. */
  async close(): Promise<void> {
    // Before the lines break as each process ends in its own time.
    await exchange(this.handle, null, 'end together with the others');
    await this.watch?.leave();
    await native()
      .closeGroup(this.handle)
      .catch((error: unknown) => {
        throw asHintError(error);
      });
  }
}

/** @throws HintError NOT_SUPPORTED saying what a launcher without MPI needs */
function requireNccl({ launcher, variable, size }: RankLaunch): void {
  const { version, reason } = guarded(() => native().nccl());
  if (version !== '') return;
  throw new HintError(
    'NOT_SUPPORTED',
    `${launcher} has started this process as one of ${size} (${variable}), without MPI, which ranks that compute on CPUs need, and ranks cannot compute on GPUs here: ${reason}. Start them with mpirun -n ${size}, or with srun --mpi=pmix; or unset ${variable} to run this process alone.`,
  );
}

function makeNcclId(): Uint8Array {
  return new Uint8Array(guarded(() => native().makeNcclId()));
}

/** The GPU of a rank: that of its place on its host, or the one that its launcher lets it see. @throws HintError INVALID_ARGUMENT */
function gpuOf(places: readonly RankPlace[], rank: number): number {
  const here = places.filter(({ host }) => host === places[rank]?.host);
  const gpus = guarded(() => native().cuda()).devices.length;
  if (gpus === 1) return 0;
  if (gpus < here.length)
    throw new HintError(
      'INVALID_ARGUMENT',
      `${here[0]?.host} has ${here.length} ranks and ${gpus} GPUs; start one rank for each GPU.`,
    );
  return here.findIndex((one) => one.rank === rank);
}

async function exchange<T>(handle: NativeGroup, value: T, what: string): Promise<T[]> {
  try {
    const bytes = new TextEncoder().encode(JSON.stringify(value));
    const all = await native().exchangeBytes(handle, bytes, what);
    return all.map((one) => JSON.parse(new TextDecoder().decode(one)) as T);
  } catch (error) {
    throw asHintError(error);
  }
}

async function inTime<T>(work: Promise<T>, seconds: number): Promise<T> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(
      () =>
        reject(
          new HintError(
            'RANK_LOST',
            `Not all ranks of this run have started within ${seconds} s; look at what the launcher says of the others.`,
          ),
        ),
      seconds * 1000,
    );
  });
  try {
    return await Promise.race([work, late]);
  } finally {
    clearTimeout(timer);
  }
}
