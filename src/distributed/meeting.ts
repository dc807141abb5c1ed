import { connect, createServer, type Server, type Socket } from 'node:net';
import { hostname } from 'node:os';
import { setTimeout as sleep } from 'node:timers/promises';
import { HintError } from '../util/errors.js';
import type { RankLaunch } from './launcher.js';
import { onWords } from './lines.js';
import { parseMeetingWord, writeMeetingWord, type MeetingWord } from './meeting-words.js';
import type { RankPlace } from './watch.js';

/** What rank 0 has told all others, and its user. */
export class ToldByFirst extends HintError {}

/** What ranks without MPI know of one another once they have met. */
export interface Met {
  /** That rank 0 made. */
  readonly id: Uint8Array;
  /** Of every rank, in their order. */
  readonly places: readonly RankPlace[];
}

const AGAIN_MILLISECONDS = 200;

/**
 * Ranks that no MPI brings together meet by TCP where rank 0 listens: each says who it is, and is given what all others have been
 * given, which libraries need that connect them for their work. The lines stay until {@link Meeting.end}, so that
 * a rank which ends in between is noticed.
 */
export class Meeting {
  private readonly lines = new Map<number, Socket>();
  private server: Server | undefined;
  private isOver = false;
  private lose: (error: HintError) => void = () => undefined;
  /** Rejects when a rank has ended before the meeting did. */
  readonly untilLoss: Promise<never>;

  private constructor(
    private readonly launch: RankLaunch,
    private readonly seconds: number,
  ) {
    this.untilLoss = new Promise((_, reject) => (this.lose = reject));
    this.untilLoss.catch(() => undefined);
  }

  /**
   * Waits until all ranks have come.
   *
   * @param makeId called by rank 0 alone
   * @param seconds that the others are waited for
   * @throws HintError RANK_LOST naming who has not come, or has ended; INVALID_ARGUMENT where the port is in use or another run's;
   *   what `makeId` throws
   */
  static async of(
    launch: RankLaunch,
    makeId: () => Uint8Array,
    seconds: number,
  ): Promise<{ met: Met; meeting: Meeting }> {
    const meeting = new Meeting(launch, seconds);
    try {
      const met = launch.rank === 0 ? await meeting.receive(makeId()) : await meeting.come();
      return { met, meeting };
    } catch (error) {
      meeting.close(error);
      throw error;
    }
  }

  private get place(): string {
    return `${this.launch.host}:${this.launch.port}`;
  }

  private get own(): RankPlace {
    return { rank: this.launch.rank, host: hostname(), pid: process.pid };
  }

  /** Rank 0's part. */
  private async receive(id: Uint8Array): Promise<Met> {
    const { size } = this.launch;
    const places = new Map([[0, this.own]]);
    let arrived: () => void = () => undefined;
    const all = new Promise<void>((resolve) => (arrived = resolve));
    await this.listen((word, socket) => {
      const why = this.whyNot(word, places);
      if (why !== undefined) return refuse(socket, why);
      const { rank, host, pid } = word;
      places.set(rank, { rank, host, pid });
      this.keep(rank, socket, `Rank ${rank} on ${host} (process ${pid})`);
      if (places.size === size) arrived();
    });
    await this.inTime(Promise.race([all, this.untilLoss]), () => this.missing(places));
    this.server?.close();
    const met = { id, places: Array.from({ length: size }, (_, rank) => places.get(rank)!) };
    const word = writeMeetingWord({
      kind: 'met',
      id: Buffer.from(id).toString('base64'),
      places: met.places,
    });
    for (const socket of this.lines.values()) socket.write(word);
    return met;
  }

  private async listen(
    hear: (word: Extract<MeetingWord, { kind: 'come' }>, socket: Socket) => void,
  ): Promise<void> {
    const server = createServer((socket) => {
      socket.on('error', () => socket.destroy());
      let hasCome = false;
      onWords(socket, parseMeetingWord, (word) => {
        if (word.kind === 'joined') this.forget(socket);
        else if (hasCome || word.kind !== 'come') socket.destroy();
        else hear(word, socket);
        hasCome = true;
      });
    }).unref();
    this.server = server;
    const { host, port } = this.launch;
    const isLocal = ['localhost', '127.0.0.1', '::1'].includes(host);
    await new Promise<void>((resolve, reject) => {
      server.once('error', (cause: NodeJS.ErrnoException) => {
        const what =
          cause.code === 'EADDRINUSE'
            ? `Port ${port} of ${hostname()}, where the ranks of this run are to meet, is in use, such as by another run`
            : `The ranks of this run cannot meet at port ${port} of ${hostname()} (${cause.code})`;
        reject(new HintError('INVALID_ARGUMENT', `${what}; set MASTER_PORT to another port.`, { cause }));
      });
      server.listen({ port, ...(isLocal ? { host } : {}) }, resolve);
    });
  }

  /** Why a process is not let in; undefined where it is. */
  private whyNot(
    { rank, size, run }: Extract<MeetingWord, { kind: 'come' }>,
    places: ReadonlyMap<number, RankPlace>,
  ): string | undefined {
    if (run !== this.launch.run || size !== this.launch.size)
      return `The ranks of another run meet at ${this.place}; set MASTER_PORT to another port.`;
    const other = places.get(rank);
    if (other || rank >= size)
      return `Two processes are rank ${rank}, of which the first is process ${other?.pid} on ${other?.host}; set MASTER_PORT to another port, or start each rank once.`;
    return undefined;
  }

  private missing(places: ReadonlyMap<number, RankPlace>): string {
    const ranks = Array.from({ length: this.launch.size }, (_, rank) => rank);
    const missing = ranks.filter((rank) => !places.has(rank));
    const [last, others] = [missing.at(-1), missing.slice(0, -1)];
    const who = others.length > 0 ? `Ranks ${others.join(', ')} and ${last} have` : `Rank ${last} has`;
    return `${who} not come to ${this.place} within ${this.seconds} s; look at what the launcher says of them.`;
  }

  /** Another rank's part. */
  private async come(): Promise<Met> {
    const ends = performance.now() + 1000 * this.seconds;
    for (;;) {
      const socket = await this.reach();
      if (socket) {
        const told = this.hearFirst(socket);
        socket.write(
          writeMeetingWord({ kind: 'come', ...this.own, size: this.launch.size, run: this.launch.run }),
        );
        return this.inTime(
          Promise.race([told, this.untilLoss]),
          () =>
            `Rank 0 has said nothing at ${this.place} within ${this.seconds} s; look at what the launcher says of it.`,
        );
      }
      if (performance.now() > ends)
        throw new HintError(
          'RANK_LOST',
          `Rank 0 was not reached at ${this.place} within ${this.seconds} s; look at what the launcher says of it, and let processes of these hosts connect to one another by TCP.`,
        );
      await sleep(AGAIN_MILLISECONDS);
    }
  }

  /** A line to rank 0; undefined while nobody listens there. */
  private reach(): Promise<Socket | undefined> {
    const { host, port } = this.launch;
    return new Promise((resolve) => {
      const socket = connect({ host, port });
      socket.once('connect', () => resolve(socket));
      socket.once('error', () => resolve(undefined));
    });
  }

  private hearFirst(socket: Socket): Promise<Met> {
    return new Promise((resolve) => {
      onWords(socket, parseMeetingWord, (word) => {
        if (word.kind === 'refused') this.fail(new ToldByFirst('RANK_LOST', word.why));
        else if (word.kind === 'joined') this.forget(socket);
        else if (word.kind === 'met') resolve({ id: Buffer.from(word.id, 'base64'), places: word.places });
        else socket.destroy();
      });
      this.keep(0, socket, `Rank 0 at ${this.place}`);
    });
  }

  private keep(rank: number, socket: Socket, who: string): void {
    this.lines.set(rank, socket);
    socket.setNoDelay(true);
    socket.on('error', () => undefined);
    socket.on('close', () => {
      if (this.lines.get(rank) === socket)
        this.fail(new HintError('RANK_LOST', `${who} has ended before all ranks of this run had joined.`));
    });
  }

  private forget(socket: Socket): void {
    for (const [rank, one] of this.lines) if (one === socket) this.lines.delete(rank);
  }

  private fail(error: HintError): void {
    if (this.isOver) return;
    this.close(error);
    this.lose(error);
  }

  private async inTime<T>(work: Promise<T>, late: () => string): Promise<T> {
    let timer: NodeJS.Timeout | undefined;
    const limit = new Promise<never>((_, reject) => {
      timer = setTimeout(() => reject(new HintError('RANK_LOST', late())), 1000 * this.seconds);
    });
    try {
      return await Promise.race([work, limit]);
    } finally {
      clearTimeout(timer);
    }
  }

  /** Takes leave, once all ranks are connected by something else. */
  end(): void {
    this.close(undefined);
  }

  private close(error: unknown): void {
    if (this.isOver) return;
    this.isOver = true;
    this.server?.close();
    const why = error instanceof Error ? error.message : String(error);
    const word: MeetingWord = error === undefined ? { kind: 'joined' } : { kind: 'refused', why };
    for (const socket of this.lines.values()) {
      socket.end(writeMeetingWord(word));
      socket.unref();
    }
    this.lines.clear();
  }
}

function refuse(socket: Socket, why: string): void {
  socket.end(writeMeetingWord({ kind: 'refused', why }));
}
