import { spawnSync } from 'node:child_process';
import type { Command } from 'commander';
import { HintError } from '../../util/errors.js';
import { mpiReports, ncclReport } from '../../distributed/launcher.js';
import { cudaReport, platformReport } from '../../tensor/device.js';
import { isClone } from '../../tensor/binary/host.js';
import { action, EXIT, print, printJson } from '../support/context.js';
import { jsonOption } from '../support/options.js';

interface Finding {
  what: string;
  found: string;
  ok: boolean;
  /** What to do when it is not there. */
  advice?: string;
}

/** `hint doctor`: what this machine has, and what to do about what it has not. */
export function addDoctorCommand(program: Command): void {
  program
    .command('doctor')
    .summary('what was found on this machine, and what to do about what was not')
    .description('Reports Node.js, the native engine, instruction sets, build tools, CUDA, MPI and NCCL.')
    .addOption(jsonOption('the report'))
    .addHelpText('after', '\nExample:\n  $ hint doctor')
    .action(
      action(async (_signal, options: { json: boolean }) => {
        const findings = examine();
        if (options.json) printJson(findings);
        else for (const finding of findings) print(line(finding));
        return findings.some(({ what, ok }) => what === 'native engine' && !ok) ? EXIT.failed : EXIT.ok;
      }),
    );
}

function line({ what, found, ok, advice }: Finding): string {
  return `${ok ? 'ok     ' : 'missing'}  ${what.padEnd(16)} ${found}${ok || !advice ? '' : `\n${' '.repeat(26)}${advice}`}`;
}

function version(command: string, argument = '--version'): string | undefined {
  const result = spawnSync(command, [argument], { encoding: 'utf8' });
  return result.status === 0
    ? result.stdout
        .split('\n')
        .find((text) => /\d+\.\d+/.test(text))
        ?.trim()
    : undefined;
}

function examine(): Finding[] {
  const findings: Finding[] = [];
  let isLoaded = false;
  const nodeMajor = Number(process.versions.node.split('.')[0]);
  findings.push({
    what: 'Node.js',
    found: process.version,
    ok: nodeMajor >= 20,
    advice: 'Install Node.js 20 or later.',
  });
  try {
    const { cores, isa, products } = platformReport();
    isLoaded = true;
    findings.push({ what: 'native engine', found: `loaded, ${cores} cores`, ok: true });
    findings.push({
      what: 'instruction set',
      found: isa.join(', ') || 'baseline only',
      ok: process.arch !== 'x64' || isa.includes('avx2'),
      advice: 'Without AVX2 everything works, several times slower.',
    });
    const { inferenceBf16, inferenceInt8, trainingBf16 } = products;
    const inference = ['f32', ...(inferenceBf16 ? ['bf16'] : []), ...(inferenceInt8 ? ['int8'] : [])];
    findings.push({
      what: 'CPU products',
      found: `inference in ${inference.join(', ')}; training in f32${trainingBf16 ? ', bf16' : ''}; others are widened`,
      ok: true,
    });
  } catch (error) {
    const message = error instanceof HintError ? error.message : String(error);
    // The message says what to do where npm installed the package.
    const isMissing = error instanceof HintError && error.code === 'NATIVE_MISSING';
    const advice = isClone() && isMissing ? { advice: 'Run scripts/setup.sh, then npm run build.' } : {};
    findings.push({ what: 'native engine', found: message, ok: false, ...advice });
  }
  for (const [what, command] of [
    ['CMake', 'cmake'],
    ['C++ compiler', 'g++'],
  ] as const) {
    const found = version(command);
    findings.push({
      what,
      found: found ?? 'not found',
      ok: found !== undefined,
      advice: `Needed to build only: apt-get install ${command}.`,
    });
  }
  // Without the engine there is nobody to ask, and the reason stands above.
  if (isLoaded) findings.push(...examineCuda(), ...examineMpi(), ...examineNccl());
  return findings;
}

/** The implementations of MPI this build can use; without any, what there would have to be. */
function examineMpi(): Finding[] {
  const advice = 'Not needed: it lets several processes train together ("mpirun -n 8 hint train").';
  // MPICH brings UCX, which otherwise changes functions of the memory allocator while other threads may run in them: now and then a process
  // hung as it ended. Here only versions are asked for.
  process.env['UCX_MEM_EVENTS'] ??= 'no';
  try {
    const found = mpiReports().filter(({ version }) => version !== '');
    if (found.length > 0)
      return [
        { what: 'MPI', found: found.map((one) => one.version.replace(/\s+/g, ' ')).join(', '), ok: true },
      ];
    const reasons = mpiReports().map(({ name, reason }) => `${name}: ${reason}`);
    return [{ what: 'MPI', found: reasons.join('. '), ok: false, advice }];
  } catch (error) {
    return [
      { what: 'MPI', found: error instanceof Error ? error.message : String(error), ok: false, advice },
    ];
  }
}

/** The NCCL by which ranks share GPUs; where there is no GPU, that stands above. */
function examineNccl(): Finding[] {
  const advice = 'Not needed: it lets several GPUs train together ("hint launch -n 8 -- train").';
  try {
    if (cudaReport().devices.length === 0) return [];
    const { version, reason } = ncclReport();
    return [{ what: 'NCCL', found: version || reason, ok: version !== '', advice }];
  } catch {
    return [];
  }
}

/** The GPUs this build can use, or why it can use none. */
function examineCuda(): Finding[] {
  const advice = 'Not needed: everything works on the CPU.';
  try {
    const { devices, reason, gemmLibrary, runtime, driver } = cudaReport();
    if (devices.length === 0) return [{ what: 'CUDA', found: reason, ok: false, advice }];
    const others = reason ? [{ what: 'CUDA', found: `not used: ${reason}`, ok: false, advice }] : [];
    const version = (number: number): string =>
      `${Math.floor(number / 1000)}.${Math.floor((number % 1000) / 10)}`;
    return [
      {
        what: 'CUDA',
        found: devices
          .map((one) => `${one.name} (${one.computeCapability}, ${(one.memory / 2 ** 30).toFixed(0)} GiB)`)
          .join(', '),
        ok: true,
      },
      ...others,
      { what: 'CUDA runtime', found: `${version(runtime)}, driver for ${version(driver)}`, ok: true },
      {
        what: 'cuBLASLt',
        found: gemmLibrary,
        ok: /^cuBLASLt \d/.test(gemmLibrary),
        advice: 'Without it matrix products are several times slower.',
      },
    ];
  } catch (error) {
    return [
      { what: 'CUDA', found: error instanceof Error ? error.message : String(error), ok: false, advice },
    ];
  }
}
