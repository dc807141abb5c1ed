import { setTimeout as sleep } from 'node:timers/promises';
import { Group } from '../../distributed/group.js';
import { endWithLauncher } from '../../distributed/launch.js';
import { launcherOf, type Launcher } from '../../distributed/launcher.js';
import { ToldByFirst } from '../../distributed/meeting.js';
import { HintError } from '../../util/errors.js';
import { holdAnnouncements } from './ending.js';
import { silence } from './output.js';

/** The launcher ends all processes when one does: others leave rank 0 so long to tell why. */
const TELLING_MILLISECONDS = 1000;

/**
 * Does a command's work as one of the processes that a launcher has started together, or alone where there is none. Only rank 0
 * prints. An error of any rank ends all of them, and is told once.
 *
 * @throws HintError of `work`, NOT_SUPPORTED where MPI cannot be used, RANK_LOST, INVALID_ARGUMENT for a limit that is none
 */
export async function amongRanks<T>(work: (ranks: Group | undefined) => Promise<T>): Promise<T> {
  const launcher = launcherOf(process.env);
  endWithLauncher();
  if (!launcher) return work(undefined);
  const ranks = await join(launcher);
  silence(ranks.rank > 0);
  holdAnnouncements();
  try {
    const result = await Promise.race([work(ranks), ranks.untilLoss()]);
    await ranks.close();
    return result;
  } catch (error) {
    if (!(await isToldByOthers(ranks, error))) silence(false);
    else await sleep(TELLING_MILLISECONDS);
    throw error;
  }
}

async function join(launcher: Launcher): Promise<Group> {
  try {
    return await Group.join(launcher, limitsOf(process.env['HINT_RANK_LIMIT']));
  } catch (error) {
    silence(error instanceof ToldByFirst);
    throw error;
  }
}

async function isToldByOthers(ranks: Group, error: unknown): Promise<boolean> {
  // What MPI or a broken group says is known better by who watches.
  if (error instanceof HintError && error.code === 'RANK_LOST')
    await Promise.race([ranks.untilLoss().catch(() => undefined), sleep(TELLING_MILLISECONDS)]);
  if (ranks.isLost) return !ranks.tellsOfLoss;
  return ranks.fail(error instanceof Error ? error.message : String(error));
}

function limitsOf(given: string | undefined): { silence?: number } {
  if (given === undefined) return {};
  const silence = Number(given);
  if (silence >= 1 && silence <= 86_400) return { silence };
  throw new HintError(
    'INVALID_ARGUMENT',
    `HINT_RANK_LIMIT is ${given}; give the seconds without a sign of life after which a rank counts as lost, from 1 to 86400.`,
  );
}
