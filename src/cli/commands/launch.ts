import type { Command } from 'commander';
import { launchRanks } from '../../distributed/launch.js';
import { ncclReport } from '../../distributed/launcher.js';
import { cudaReport } from '../../tensor/device.js';
import { HintError } from '../../util/errors.js';
import { action, EXIT } from '../support/context.js';
import { wholeNumber } from '../support/options.js';

/** Commands that share their work among ranks; another would do all of it once for each. */
const AMONG_RANKS = ['train', 'pretrain', 'eval', 'sweep', 'reproduce', 'bench training'];

/** `hint launch`: a command as several ranks on the GPUs of this machine, without MPI. */
export function addLaunchCommand(program: Command): void {
  program
    .command('launch')
    .summary('run a command as several ranks, on the GPUs of this machine')
    .description(
      'Starts a command several times, as ranks that work together by NCCL, each on a GPU of its own. MPI is not needed, and\n' +
        `serves CPUs and several machines (mpirun). Ctrl-C asks all ranks to end. The command is one of: ${AMONG_RANKS.join(', ')}.`,
    )
    .option('-n, --ranks <n>', 'how many; default: one for each GPU', wholeNumber('--ranks', 1))
    .argument('<command...>', 'the command of hint with its options, behind --')
    .addHelpText('after', '\nExample:\n  $ hint launch -n 8 -- train --config hint.json --device cuda')
    .action(
      action(async (signal, command: string[], options: { ranks?: number }) => {
        requireAmongRanks(command);
        const ranks = options.ranks ?? Math.max(1, cudaReport().devices.length);
        if (ranks > 1) requireNccl(ranks, command[0]!);
        const [node, script] = [process.execPath, process.argv[1]!];
        const { code, wereAsked } = await launchRanks([node, ...process.execArgv, script, ...command], {
          ranks,
          signal,
        });
        return wereAsked ? EXIT.interrupted : code;
      }),
    );
}

function requireAmongRanks([name = '', part = '']: readonly string[]): void {
  if (AMONG_RANKS.includes(name) || AMONG_RANKS.includes(`${name} ${part}`)) return;
  throw new HintError(
    'INVALID_ARGUMENT',
    `hint ${name} is not shared among ranks, each of which would do all of it; hint launch starts ${AMONG_RANKS.join(', ')}.`,
  );
}

/** Here, where it is said once. */
function requireNccl(ranks: number, name: string): void {
  const { version, reason } = ncclReport();
  if (version !== '') return;
  throw new HintError(
    'NOT_SUPPORTED',
    `Ranks without MPI compute on GPUs, which they cannot here: ${reason.replace(/\.$/, '')}. On CPUs, start them with mpirun -n ${ranks} npx hint ${name}, which needs MPI.`,
  );
}
