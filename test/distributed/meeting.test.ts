import { connect, createServer, type AddressInfo, type Socket } from 'node:net';
import { describe, expect, it } from 'vitest';
import type { RankLaunch } from '../../src/distributed/launcher.js';
import { Meeting, ToldByFirst } from '../../src/distributed/meeting.js';

/** A port that was free a moment ago. */
async function freePort(): Promise<number> {
  const server = createServer();
  await new Promise<void>((listening) => server.listen(0, '127.0.0.1', listening));
  const { port } = server.address() as AddressInfo;
  await new Promise((closed) => server.close(closed));
  return port;
}

const ID = Uint8Array.of(7, 8, 9);

async function launches(size: number, run = 'ours'): Promise<RankLaunch[]> {
  const port = await freePort();
  const shared = { launcher: 'the test', variable: 'SIZE', size, host: '127.0.0.1', port, run };
  return Array.from({ length: size }, (_, rank) => ({ ...shared, rank }));
}

function meet(launch: RankLaunch, seconds = 20): ReturnType<typeof Meeting.of> {
  return Meeting.of(launch, () => ID, seconds);
}

/** The message of what a promise rejects with. */
function failure(work: Promise<unknown>): Promise<string> {
  return work.then(
    () => 'nothing',
    (error: Error) => error.message,
  );
}

describe('ranks without MPI', () => {
  it('meet in any order, get what rank 0 has made and the places of all, and take leave without a loss', async () => {
    const [first, ...others] = await launches(3);
    const early = others.map((launch) => meet(launch));
    await new Promise((later) => setTimeout(later, 300));
    const all = await Promise.all([meet(first!), ...early]);
    for (const { met } of all) {
      expect([...met.id]).toEqual([...ID]);
      expect(met.places.map(({ rank, pid }) => [rank, pid])).toEqual(
        [0, 1, 2].map((rank) => [rank, process.pid]),
      );
    }
    let losses = 0;
    for (const { meeting } of all) void meeting.untilLoss.catch(() => losses++);
    for (const { meeting } of all) meeting.end();
    await new Promise((later) => setTimeout(later, 100));
    expect(losses).toBe(0);
  });

  it('are named where they do not come in time, to those who did, whom rank 0 tells', async () => {
    const [first, second] = await launches(4);
    const [host, guest] = [meet(first!, 0.5), meet(second!)];
    expect(await failure(host)).toMatch(
      /^Ranks 2 and 3 have not come to 127.0.0.1:\d+ within 0.5 s; look at/,
    );
    expect(await failure(guest)).toBe(await failure(host));
    await expect(guest).rejects.toBeInstanceOf(ToldByFirst);
  });

  it('say that rank 0 was not reached where it never listens', async () => {
    const [, second] = await launches(2);
    expect(await failure(meet(second!, 0.5))).toMatch(/^Rank 0 was not reached at .* within 0.5 s/);
  });

  /** Comes as a rank that is gone when it is destroyed. */
  async function comeAsStranger({ port, rank, size, run }: RankLaunch): Promise<Socket> {
    const stranger = connect({ host: '127.0.0.1', port });
    const come = { kind: 'come', rank, host: 'b', pid: 77, size, run };
    await new Promise<void>((sent) => stranger.write(`${JSON.stringify(come)}\n`, () => sent()));
    return stranger;
  }

  it('end when one of them does before all have come, and are told who', async () => {
    const all = await launches(4);
    const host = meet(all[0]!);
    await new Promise((later) => setTimeout(later, 100));
    const stranger = await comeAsStranger(all[1]!);
    const guest = meet(all[2]!);
    await new Promise((later) => setTimeout(later, 100));
    stranger.destroy();
    expect(await failure(host)).toMatch(/^Rank 1 on b \(process 77\) has ended before all ranks/);
    expect(await failure(guest)).toBe(await failure(host));
  });

  it('end when one of them does once all have come, until the meeting ends', async () => {
    const all = await launches(3);
    const coming = [meet(all[0]!), meet(all[2]!)];
    await new Promise((later) => setTimeout(later, 100));
    const stranger = await comeAsStranger(all[1]!);
    const [host, guest] = await Promise.all(coming);
    stranger.destroy();
    expect(await failure(host!.meeting.untilLoss)).toMatch(
      /^Rank 1 on b \(process 77\) has ended before all ranks/,
    );
    await expect(guest!.meeting.untilLoss).rejects.toBeInstanceOf(ToldByFirst);
  });

  it('of two runs on one port are told so, both the first of the second run and its others', async () => {
    const [first, second] = await launches(2);
    const host = meet(first!);
    await new Promise((later) => setTimeout(later, 100));
    const other = { ...first!, run: 'theirs' };
    expect(await failure(meet(other))).toMatch(
      /^Port \d+ of .* is in use, such as by another run; set MASTER_PORT/,
    );
    expect(await failure(meet({ ...other, rank: 1 }))).toMatch(/^The ranks of another run meet at 127/);
    expect(await failure(meet({ ...first!, rank: 1, size: 3 }))).toMatch(
      /^The ranks of another run meet at 127/,
    );
    const { met } = await meet(second!);
    expect(met.places).toHaveLength(2);
    await host;
  });

  it('let in nobody who says anything else, and each rank once', async () => {
    const [first, second, third] = await launches(3);
    const host = meet(first!);
    await new Promise((later) => setTimeout(later, 100));
    for (const words of ['GET / HTTP/1.1\n\n', 'x'.repeat(1 << 17), '{"kind":"joined"}\n{"kind":"met"}\n'])
      await new Promise<void>((closed) => {
        const stranger = connect({ host: '127.0.0.1', port: first!.port });
        stranger.on('error', () => undefined).on('close', () => closed());
        stranger.write(words);
      });
    const guest = meet(second!);
    await new Promise((later) => setTimeout(later, 100));
    expect(await failure(meet(second!))).toMatch(
      /^Two processes are rank 1, of which the first is process \d+ on/,
    );
    await Promise.all([host, guest, meet(third!)]);
  });
});
