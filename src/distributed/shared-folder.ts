import { randomUUID } from 'node:crypto';
import { existsSync } from 'node:fs';
import { rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { HintError } from '../util/errors.js';
import { ioError, makeFolder } from '../util/write-error.js';
import { doneOnce } from './agreement.js';
import type { Group } from './group.js';

/**
 * Makes a folder at rank 0, and makes sure that all ranks see what rank 0 writes there.
 *
 * @throws HintError IO, at every rank, naming the hosts that do not
 */
export async function requireSharedFolder(ranks: Group, folder: string): Promise<void> {
  // A name that nobody has looked for: network disks remember for a while that a file was not there.
  const name = await ranks.fromFirst(() => `.ranks-${randomUUID()}`, 'learn what to look for');
  const mark = join(folder, name);
  const write = async (): Promise<void> => {
    await makeFolder(folder);
    await writeFile(mark, '').catch((error: NodeJS.ErrnoException) => {
      throw ioError('write', mark, error);
    });
  };
  await doneOnce(ranks, write, 'have a folder made');
  const isSeen = await ranks.exchange(existsSync(mark), 'learn which hosts share a disk');
  if (ranks.rank === 0) await rm(mark, { force: true });
  const hosts = new Set(ranks.places.filter(({ rank }) => !isSeen[rank]).map(({ host }) => host));
  if (hosts.size === 0) return;
  throw new HintError(
    'IO',
    `${[...hosts].join(', ')} cannot see ${folder}, where rank 0 writes on ${ranks.places[0]!.host}; give a folder of a disk that all hosts share, at the same path.`,
  );
}
