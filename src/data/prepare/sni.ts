import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { writeFileAtomic } from '../../util/atomic-file.js';
import { throwIfAborted } from '../../util/errors.js';
import { decodeText } from '../../util/read-file.js';
import {
  INSTANCES_PER_TASK,
  parseSniTask,
  readSniTaskNames,
  type SniSplit,
} from '../natural-instructions/tasks.js';
import { Ledger } from './ledger.js';
import {
  checkApart,
  someOf,
  type PrepareOptions,
  type PrepareReport,
  type PublishedCount,
} from './report.js';
import { sniSourceFiles, type SniSourceFile } from './sni-source.js';

/** Tasks and examples of each split (method §7.1); the cross-lingual track's number of tasks is its authors'. */
const PUBLISHED: readonly { track: string; split: SniSplit; tasks: number; examples?: number }[] = [
  { track: 'default', split: 'train', tasks: 757, examples: 75_417 },
  { track: 'default', split: 'test', tasks: 119, examples: 11_810 },
  { track: 'xlingual', split: 'test', tasks: 35 },
];

const TASK = /^tasks\/(.+)\.json$/;

/**
 * Super-NaturalInstructions as `hint train` reads it, from the published repository: its task files, each checked, and the
 * lists of both tracks. The source is a folder, or a .tar or .tar.gz of it. What was made by an earlier call stays.
 *
 * @throws HintError NOT_FOUND, IO, INVALID_FILE, INVALID_JSON and INVALID_DATA for what is no task, LIMIT_EXCEEDED, ABORTED
 */
export async function prepareSni({
  source,
  folder,
  signal,
  onProgress,
}: PrepareOptions): Promise<PrepareReport> {
  checkApart({ source, folder });
  const files = await sniSourceFiles(source, signal);
  await using ledger = await Ledger.open(folder);
  let [made, kept] = [0, 0];
  for await (const file of files) {
    throwIfAborted(signal);
    const done = made + kept;
    onProgress?.({ done, total: file.total ?? done + 1, file: file.path });
    if (await ledger.find(file.path, file.from)) kept++;
    else {
      await ledger.make(file.path, file.from, (path) => copy(file, path, signal));
      made++;
    }
  }
  return { made, kept, ...(await compare(folder, instancesOf(ledger))) };
}

/** How many instances each task has that is there. */
function instancesOf(ledger: Ledger): Map<string, number> {
  const instances = new Map<string, number>();
  for (const { file, counts } of ledger.finished) {
    const name = TASK.exec(file)?.[1];
    if (name !== undefined) instances.set(name, counts['instances'] ?? 0);
  }
  return instances;
}

async function copy(
  file: SniSourceFile,
  path: string,
  signal?: AbortSignal,
): Promise<Record<string, number>> {
  const bytes = await file.read();
  const text = decodeText(bytes, file.where);
  const isTask = TASK.test(file.path);
  const counts = isTask ? { instances: parseSniTask(text, file.where).instances.length } : {};
  await writeFileAtomic(path, bytes, signal);
  return { ...counts };
}

async function compare(
  folder: string,
  instances: ReadonlyMap<string, number>,
): Promise<Pick<PrepareReport, 'counts' | 'notes'>> {
  const counts: PublishedCount[] = [];
  const notes: string[] = [];
  for (const { track, split, tasks, examples } of PUBLISHED) {
    if (!existsSync(join(folder, 'splits', track, `${split}_tasks.txt`))) {
      notes.push(
        `There is no list of the ${split} tasks of the track ${track}; take splits/ of the repository.`,
      );
      continue;
    }
    const listed = await readSniTaskNames(folder, split, track);
    const there = listed.filter((name) => instances.has(name));
    const used = there.map((name) => Math.min(INSTANCES_PER_TASK, instances.get(name) ?? 0));
    const what = `${track}, ${split}`;
    counts.push({ what: `${what}: tasks`, found: there.length, published: tasks });
    if (examples !== undefined)
      counts.push({
        what: `${what}: examples, ${INSTANCES_PER_TASK} a task`,
        found: used.reduce((sum, count) => sum + count, 0),
        published: examples,
      });
    const absent = listed.filter((name) => !instances.has(name));
    if (absent.length > 0)
      notes.push(
        `${absent.length} listed ${split} tasks of the track ${track} have no file: ${someOf(absent)}.`,
      );
  }
  return { counts, notes };
}
