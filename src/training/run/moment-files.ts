import { access } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { openSafetensors, writeSafetensors, type SafetensorsFile } from '../../formats/safetensors/file.js';
import { writeFileAtomic } from '../../util/atomic-file.js';
import { HintError } from '../../util/errors.js';
import type { SavedMoment } from '../step/optimizer.js';

/** The file of all moments, */
export const MOMENTS_FILE = 'optimizer.safetensors';
/** or the index of those that each rank has written, as other sharded files have it. */
export const MOMENTS_INDEX = 'optimizer.safetensors.index.json';

const LOOK_MILLISECONDS = 50;

/** The file of the moments that a rank has; undefined: of all. */
export function momentsFile(shard: { rank: number; ranks: number } | undefined): string {
  if (!shard) return MOMENTS_FILE;
  const [rank, ranks] = [shard.rank + 1, shard.ranks].map((number) => String(number).padStart(5, '0'));
  return `optimizer-${rank}-of-${ranks}.safetensors`;
}

/** Whether a file of a checkpoint holds moments. */
export function holdsMoments(name: string): boolean {
  return name === MOMENTS_FILE || /^optimizer-\d{5,}-of-\d{5,}\.safetensors$/.test(name);
}

/** Whether files of these names have all moments, or say where they are. */
export function haveMoments(names: readonly string[]): boolean {
  return names.includes(MOMENTS_FILE) || names.includes(MOMENTS_INDEX);
}

/** @throws HintError IO */
export async function writeMoments(
  path: string,
  moments: readonly SavedMoment[],
  optimizer: string,
): Promise<void> {
  const tensors = moments.map((moment) => ({ ...moment, dtype: 'F32' as const }));
  await writeSafetensors(path, tensors, { optimizer });
}

/**
 * Waits until other ranks have written their files into a folder, and says there which moment is in which.
 *
 * @param owners of every moment by its name, the rank that writes it
 * @param isLost whether a rank of the run is lost, after which nobody is waited for
 * @throws HintError RANK_LOST, IO
 */
export async function joinMoments(
  folder: string,
  { owners, ranks, isLost }: { owners: ReadonlyMap<string, number>; ranks: number; isLost: () => boolean },
): Promise<void> {
  for (const rank of new Set(owners.values())) {
    const path = join(folder, momentsFile({ rank, ranks }));
    while (!(await isThere(path))) {
      if (isLost())
        throw new HintError(
          'RANK_LOST',
          `Rank ${rank} is lost, before it has written its moments to ${path}.`,
        );
      await sleep(LOOK_MILLISECONDS);
    }
  }
  const weight_map = Object.fromEntries(
    [...owners].map(([name, rank]) => [name, momentsFile({ rank, ranks })]),
  );
  await writeFileAtomic(
    join(folder, MOMENTS_INDEX),
    `${JSON.stringify({ metadata: {}, weight_map }, null, 2)}\n`,
  );
}

/** The moments of a checkpoint, however many files hold them. @throws HintError as {@link openSafetensors} */
export async function openMoments(folder: string): Promise<SafetensorsFile> {
  const index = join(folder, MOMENTS_INDEX);
  return openSafetensors((await isThere(index)) ? index : join(folder, MOMENTS_FILE));
}

function isThere(path: string): Promise<boolean> {
  return access(path).then(
    () => true,
    () => false,
  );
}
