import { describe, it } from 'vitest';
import { endAll, prepareEndings, SILENT } from './end-all.js';

prepareEndings();

describe('ending a process in the middle of work', () => {
  it('by process.exit gives the code asked for', () => endAll('exit', 7, 1, SILENT));
  it('by an uncaught error gives 1 and that error alone', () =>
    endAll('error', 1, 1, /An error that nobody catches/));
  it('by an unhandled rejection gives 1', () => endAll('rejection', 1, 1, /A rejection that nobody catches/));
  it('starting other processes meanwhile harms neither', () => endAll('children', 7, 1, SILENT));
});
