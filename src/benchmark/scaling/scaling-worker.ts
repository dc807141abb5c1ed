// A process of `hint bench scaling`, alone or one of several ranks: JSON objects on the standard input of rank 0, one per line,
// and an answer for each on its standard output.
//   {"do": "load", ...}   what ScalingWork says
//   {"do": "link"}        how fast ranks exchange values
//   {"do": "step"}        one training step
import { Group } from '../../distributed/group.js';
import { launcherOf } from '../../distributed/launcher.js';
import { streamRecords } from '../../util/records.js';
import { ScalingSteps, type ScalingStep, type ScalingWork } from './scaling-steps.js';

type Request = ({ readonly do: 'load' } & ScalingWork) | { readonly do: 'link' | 'step' };

/** Of every step: what rank 0 saw, and the timelines of all. */
export interface ScalingAnswer extends Omit<ScalingStep, 'timeline'> {
  readonly timelines: readonly ScalingStep['timeline'][];
}

const launcher = launcherOf(process.env);
const ranks = launcher && (await Group.join(launcher));
let steps: ScalingSteps | undefined;

async function answer(request: Request): Promise<object> {
  if (request.do === 'load') {
    steps = await ScalingSteps.create(request, ranks);
    return { ranks: ranks?.size ?? 1 };
  }
  if (request.do === 'link') return { link: await steps!.link() };
  const { timeline, ...step } = await steps!.step();
  const timelines = ranks ? await ranks.exchange(timeline, 'collect the times of a step') : [timeline];
  return { ...step, timelines } satisfies ScalingAnswer;
}

/** The request that rank 0 was given, at all ranks; undefined at the end. */
async function toAll(line: string | null): Promise<Request | undefined> {
  const [first] = ranks ? await ranks.exchange(line, 'learn what is measured next') : [line];
  return first === null || first === undefined ? undefined : (JSON.parse(first) as Request);
}

async function serve(): Promise<void> {
  if (ranks && ranks.rank > 0) {
    for (let request = await toAll(null); request; request = await toAll(null)) await answer(request);
    return;
  }
  for await (const line of streamRecords(process.stdin)) {
    const request = await toAll(line);
    if (request) process.stdout.write(`${JSON.stringify(await answer(request))}\n`);
  }
  await toAll(null);
}

try {
  await (ranks ? Promise.race([serve(), ranks.untilLoss()]) : serve());
  await ranks?.close();
} catch (error) {
  process.stdout.write(
    `${JSON.stringify({ error: error instanceof Error ? error.message : String(error) })}\n`,
  );
}
// Devices and streams end with their process.
process.exit();
