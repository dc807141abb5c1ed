import { randomBytes } from 'node:crypto';
import { createServer, connect, type Server, type Socket } from 'node:net';
import { hostname, networkInterfaces } from 'node:os';
import { HintError } from '../util/errors.js';
import { shortened } from '../util/shown.js';
import { LONGEST_WORD, onWords } from './lines.js';
import { parseWord, writeWord, type Word } from './words.js';

/** Where a rank runs. */
export interface RankPlace {
  /** Number of the process, from 0. */
  readonly rank: number;
  /** Name of the host that it runs on. */
  readonly host: string;
  /** Number of the process on its host. */
  readonly pid: number;
}

/** What is known of a rank that does not go on. */
export interface Loss {
  /** Half a sentence: "Rank 1 on host b (process 77) has ended". */
  readonly what: string;
  /** Whether this rank is the one that tells the user; exactly one does. */
  readonly isTeller: boolean;
}

/** How to reach rank 0. */
export interface Hub {
  readonly hosts: readonly string[];
  readonly port: number;
  /** Known to the ranks of the run only. */
  readonly token: string;
}

const BEAT_MILLISECONDS = 500;
const CONNECT_MILLISECONDS = 10_000;
// A process that hears nobody for so long between two beats was stopped itself.
const OWN_PAUSE_MILLISECONDS = 2000;

interface Line {
  readonly rank: number;
  readonly socket: Socket;
  seen: number;
}

/**
 * Signs of life between the ranks of a run, beside their collectives: each has a line to rank 0. A rank whose line breaks has
 * ended, one that says nothing for `limit` milliseconds hangs, and one that fails says why. Keeps no process alive.
 */
export class Watch {
  private server: Server | undefined;
  private readonly lines = new Map<number, Line>();
  private readonly timer: NodeJS.Timeout;
  private lastBeat = performance.now();
  private isOver = false;

  private constructor(
    private readonly places: readonly RankPlace[],
    private readonly rank: number,
    private readonly limit: number,
    private readonly onLoss: (loss: Loss) => void,
  ) {
    this.timer = setInterval(() => this.beat(), BEAT_MILLISECONDS).unref();
  }

  /**
   * Connects all ranks.
   *
   * @param share gives rank 0's hub to all ranks: called by each of them, with a hub by rank 0
   * @throws HintError RANK_LOST where rank 0 cannot be reached
   */
  static async start(
    { places, rank, limit }: { places: readonly RankPlace[]; rank: number; limit: number },
    share: (own: Hub | undefined) => Promise<Hub>,
    onLoss: (loss: Loss) => void,
  ): Promise<Watch> {
    const watch = new Watch(places, rank, limit, onLoss);
    try {
      if (rank === 0) await watch.listen(share);
      else await watch.call(await share(undefined));
    } catch (error) {
      await watch.leave();
      throw error;
    }
    return watch;
  }

  private async listen(share: (own: Hub) => Promise<Hub>): Promise<void> {
    const token = randomBytes(16).toString('hex');
    const isLocal = this.places.every(({ host }) => host === this.places[0]?.host);
    let arrived: () => void = () => undefined;
    const all = new Promise<void>((resolve) => (arrived = resolve));
    const server = createServer((socket) => {
      socket.on('error', () => socket.destroy());
      const hello = (word: Word): Line | undefined => {
        const isOurs = word.kind === 'hello' && word.token === token && !this.lines.has(word.rank);
        if (!isOurs || word.rank < 1 || word.rank >= this.places.length) return undefined;
        const line = this.join(word.rank, socket);
        if (this.lines.size === this.places.length - 1) arrived();
        return line;
      };
      let line: Line | undefined;
      onWords(socket, parseWord, (word) => {
        if (line) this.hear(line, word);
        else if (!(line = hello(word))) socket.destroy();
      });
    }).unref();
    this.server = server;
    await new Promise<void>((resolve, reject) => {
      server.once('error', reject);
      server.listen({ port: 0, host: isLocal ? '127.0.0.1' : '::' }, resolve);
    });
    const { port } = server.address() as { port: number };
    await share({ hosts: isLocal ? ['127.0.0.1'] : addresses(), port, token });
    await withinTime(all, 'Not all ranks have reached rank 0');
    server.close();
  }

  private async call({ hosts, port, token }: Hub): Promise<void> {
    const socket = await firstOf(hosts, port);
    socket.write(writeWord({ kind: 'hello', rank: this.rank, token }));
    const line = this.join(0, socket);
    onWords(socket, parseWord, (word) => this.hear(line, word));
  }

  private join(rank: number, socket: Socket): Line {
    const line: Line = { rank, socket, seen: performance.now() };
    this.lines.set(rank, line);
    socket.unref();
    socket.setNoDelay(true);
    socket.on('error', () => undefined);
    socket.on('close', () => this.lose(line, 'has ended'));
    return line;
  }

  private hear(line: Line, word: Word): void {
    line.seen = performance.now();
    if (word.kind === 'failed') this.lose(line, `failed: ${word.message}`);
    if (word.kind === 'bye') this.lines.delete(line.rank);
    if (word.kind === 'lost') this.end({ what: word.what, isTeller: false });
  }

  private beat(): void {
    const now = performance.now();
    const wasPaused = this.wasPaused();
    this.lastBeat = now;
    for (const line of [...this.lines.values()]) {
      if (wasPaused) line.seen = now;
      line.socket.write(writeWord({ kind: 'beat' }));
      const silent = now - line.seen;
      if (silent > this.limit) this.lose(line, `has not answered for ${Math.round(silent / 1000)} s`);
    }
  }

  private wasPaused(): boolean {
    return performance.now() - this.lastBeat > OWN_PAUSE_MILLISECONDS;
  }

  private lose(line: Line, how: string): void {
    if (this.isOver || this.lines.get(line.rank) !== line) return;
    const what = `${this.describe(line.rank)} ${how}`;
    // The one that is lost as well: it may be stopped, and be woken up later.
    this.tell({ kind: 'lost', what });
    this.lines.delete(line.rank);
    // Where rank 0 is gone, the next tells. Who was stopped itself finds others gone because of that.
    const isTeller = (this.rank === 0 || this.rank === 1) && !this.wasPaused();
    this.end({ what, isTeller });
  }

  private end(loss: Loss): void {
    if (this.isOver) return;
    this.isOver = true;
    clearInterval(this.timer);
    this.onLoss(loss);
  }

  /** A rank by its number, host and process. */
  describe(rank: number): string {
    const { host, pid } = this.places[rank]!;
    return `Rank ${rank} on ${host} (process ${pid})`;
  }

  private tell(word: Word): void {
    for (const { socket } of this.lines.values()) socket.write(writeWord(word));
  }

  /**
   * Tells the others that this rank ends with an error.
   *
   * @returns whether rank 0 was told, which tells the user
   */
  async fail(message: string): Promise<boolean> {
    if (this.isOver) return this.rank !== 0;
    this.isOver = true;
    clearInterval(this.timer);
    const short = shortened(message, LONGEST_WORD / 8);
    const word: Word =
      this.rank === 0
        ? { kind: 'lost', what: `${this.describe(0)} failed: ${short}` }
        : { kind: 'failed', message: short };
    const written = [...this.lines.values()].map(
      ({ socket }) =>
        new Promise<boolean>((resolve) => socket.write(writeWord(word), (error) => resolve(!error))),
    );
    const late = new Promise<boolean[]>((resolve) => setTimeout(resolve, BEAT_MILLISECONDS, [false]).unref());
    const arrived = await Promise.race([Promise.all(written), late]);
    return this.rank !== 0 && arrived[0] === true;
  }

  /** Takes leave: whoever goes after that has not failed. Resolves when the words are on their way. */
  async leave(): Promise<void> {
    this.isOver = true;
    clearInterval(this.timer);
    this.server?.close();
    const written = [...this.lines.values()].map(
      ({ socket }) => new Promise<void>((resolve) => socket.end(writeWord({ kind: 'bye' }), () => resolve())),
    );
    // A line that is gone never says so.
    const late = new Promise<void>((resolve) => setTimeout(resolve, BEAT_MILLISECONDS).unref());
    await Promise.race([Promise.all(written), late]);
  }
}

async function withinTime<T>(work: Promise<T>, what: string): Promise<T> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<never>((_, reject) => {
    const seconds = CONNECT_MILLISECONDS / 1000;
    const next =
      'let processes of these hosts connect to one another by TCP, or start all of them on one host.';
    timer = setTimeout(
      () => reject(new HintError('RANK_LOST', `${what} within ${seconds} s; ${next}`)),
      CONNECT_MILLISECONDS,
    );
  });
  try {
    return await Promise.race([work, late]);
  } finally {
    clearTimeout(timer);
  }
}

/** A connection to the first address that takes one. */
async function firstOf(hosts: readonly string[], port: number): Promise<Socket> {
  const tried = hosts.map(
    (host) =>
      new Promise<Socket>((resolve, reject) => {
        const socket = connect({ host, port });
        socket.once('connect', () => resolve(socket));
        socket.once('error', reject);
      }),
  );
  const first = Promise.any(tried).catch(() => new Promise<Socket>(() => undefined));
  const socket = await withinTime(first, `Rank 0 was not reached at ${hosts.join(', ')} (port ${port})`);
  for (const other of tried)
    void other.then(
      (one) => one === socket || one.destroy(),
      () => undefined,
    );
  return socket;
}

/** Where other hosts may reach this one. */
function addresses(): string[] {
  const found = Object.values(networkInterfaces()).flatMap((all) =>
    (all ?? []).filter(({ internal, scopeid }) => !internal && !scopeid).map(({ address }) => address),
  );
  return [hostname(), ...found];
}
