import { RunDirectory } from './run-directory.js';

/**
 * The run directory of a rank other than the first: it reads what rank 0 writes, where the ranks share a disk, and writes
 * nothing itself.
 */
export class FollowerDirectory extends RunDirectory {
  override async checkFree(): Promise<void> {
    // Rank 0 may have made the run already.
  }

  override async make(): Promise<void> {
    // Left to rank 0, as all that follows.
  }

  override async lock(): Promise<() => Promise<void>> {
    return async () => undefined;
  }

  override async clean(): Promise<void> {
    return undefined;
  }

  override async writeConfig(): Promise<void> {
    return undefined;
  }

  override async writePlan(): Promise<void> {
    return undefined;
  }

  override async appendChanges(): Promise<void> {
    return undefined;
  }

  override async truncateMetrics(): Promise<void> {
    return undefined;
  }

  override async saveBest(): Promise<void> {
    return undefined;
  }
}
