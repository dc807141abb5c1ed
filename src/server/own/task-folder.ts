import { randomBytes } from 'node:crypto';
import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import { HintError } from '../../util/errors.js';
import { dropTemporary, temporaryFolder } from '../../util/temporary.js';
import { noPlace } from './receive-file.js';

/** Where task files lie that were brought, or are being sent: a temporary folder of this process. */
export class TaskFolder {
  private made: Promise<string> | undefined;
  private readonly pathOfTask = new Map<string, string>();

  /** A path in the folder that nothing has; the folder is made at first use. @throws ApiError 507 */
  async newPath(): Promise<string> {
    this.made ??= temporaryFolder('hint-served-tasks').catch((error: unknown) => {
      this.made = undefined;
      // The path is nobody's business but the server's.
      throw error instanceof HintError ? noPlace(error.cause) : error;
    });
    return join(await this.made, `${randomBytes(12).toString('hex')}.safetensors`);
  }

  /** Keeps a file for as long as its task is registered, in place of an earlier one. */
  assign(task: string, path: string): void {
    const earlier = this.pathOfTask.get(task);
    this.pathOfTask.set(task, path);
    if (earlier !== undefined) void this.remove(earlier);
  }

  /** Removes the file of a task, if there is one. */
  async removeOf(task: string): Promise<void> {
    const path = this.pathOfTask.get(task);
    this.pathOfTask.delete(task);
    if (path !== undefined) await this.remove(path);
  }

  async remove(path: string): Promise<void> {
    await rm(path, { force: true });
  }

  async close(): Promise<void> {
    if (this.made) await dropTemporary(await this.made);
  }
}
