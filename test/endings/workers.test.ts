import { describe, it } from 'vitest';
import { endAll, prepareEndings, SILENT } from './end-all.js';

prepareEndings();

describe('ending workers in the middle of work leaves the process alive', () => {
  it('when they are terminated', () => endAll('worker terminated', 0, 5, SILENT));
  it('when an error in them is not caught', () => endAll('worker error', 0, 5, SILENT));
  it('when they call process.exit', () => endAll('worker exit', 0, 5, SILENT));
  it('when the process ends with them', () => endAll('exit beside workers', 7, 1, SILENT));
});
