import { describeMachine, describeMoment, type MachineDescription } from '../benchmark/machine.js';
import { shownMarkdown } from '../util/shown.js';
import { packageVersion } from '../util/package-root.js';

/** Where results come from. */
export interface Provenance {
  /** Of hint-engine. */
  readonly version: string;
  /** `unknown` outside a repository. */
  readonly commit: string;
  readonly uncommitted: boolean;
  /** When the report was written, ISO 8601. */
  readonly date: string;
  readonly machine: MachineDescription;
}

/** Of results that this process writes now. @throws HintError NATIVE_MISSING */
export async function provenance(): Promise<Provenance> {
  const { commit, uncommitted, started } = await describeMoment();
  return { version: packageVersion(), commit, uncommitted, date: started, machine: describeMachine() };
}

/** Where results come from, as a line of Markdown. */
export function madeLine({ date, version, commit, uncommitted, machine }: Provenance): string {
  return shownMarkdown(
    `Made ${date.slice(0, 16).replace('T', ' ')} UTC by hint-engine ${version} (${commit}${uncommitted ? ' with uncommitted changes' : ''}) on ${machine.cpu}, ${machine.cores} cores.`,
  );
}
