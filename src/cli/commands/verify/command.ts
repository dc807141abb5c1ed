import type { Command } from 'commander';
import { Device } from '../../../tensor/device.js';
import type { WeightDType } from '../../../tensor/ops.js';
import { shown } from '../../../util/shown.js';
import { action, EXIT, print, printJson, table } from '../../support/context.js';
import { verifyDirectory } from './cases.js';
import { beyondBound, shareOfRounding, type CaseResult } from './difference.js';
import { deviceOption, dtypeOption, jsonOption, threadsOption } from '../../support/options.js';

interface VerifyOptions {
  device: string;
  dtype: WeightDType;
  threads: number;
  verbose: boolean;
  json: boolean;
}

/** `hint verify DIR`: the engine against values of the original code. */
export function addVerifyCommand(program: Command): void {
  program
    .command('verify')
    .summary('compare the engine with values of the original code')
    .description(
      'Runs a fixture directory (or a directory of them) and compares every tensor with the expected one as max |a - b| / max |b|.\n' +
        'Forward values, losses and every gradient must agree to 2e-5 in f32 (2e-4 on CUDA), optimiser steps to 2e-6, ids exactly.\n' +
        'In bf16, training and inference: each tensor to twice what rounding by chance does to it in 16 simulations, forward\n' +
        'values to 6e-2 at most, gradients to 1.6e-1, and all of a case together to no more than such rounding does; ids of 98 %\n' +
        'of the inputs (of all but one where there are fewer than 50).\n' +
        'int8 is of inference only: forward values to 5e-2, ids as in bf16; no gradients.',
    )
    .argument('<directory>', 'a fixture directory, or a directory that holds some')
    .addOption(deviceOption())
    .addOption(dtypeOption())
    .addOption(threadsOption())
    .option('--verbose', 'print every tensor, not only the worst of each case', false)
    .addOption(jsonOption('the result'))
    .addHelpText(
      'after',
      '\nExamples:\n  $ hint verify test/fixtures/original\n  $ hint verify test/fixtures/original/hint --verbose',
    )
    .action(
      action(async (signal, directory: string, options: VerifyOptions) => {
        using device = new Device({ device: options.device, threads: options.threads });
        const results = await verifyDirectory(device, directory, options.dtype, signal, (result) => {
          if (!options.json) print(describe(result, options.verbose));
        });
        const failed = results.filter(({ passed }) => !passed).length;
        if (options.json) printJson({ passed: failed === 0, cases: results });
        else print(`${results.length - failed} of ${results.length} cases hold.`);
        return failed === 0 ? EXIT.ok : EXIT.failed;
      }),
    );
}

function describe({ name, kind, passed, comparisons }: CaseResult, verbose: boolean): string {
  const worst = comparisons.reduce(
    (a, b) => (b.difference * a.bound > a.difference * b.bound ? b : a),
    comparisons[0]!,
  );
  const beyond = beyondBound(comparisons);
  const share = shareOfRounding(comparisons);
  const head = `${passed ? 'ok  ' : 'FAIL'} ${shown(name).padEnd(28)} ${kind.padEnd(10)} ${String(comparisons.length).padStart(4)} tensors, worst ${worst.difference.toExponential(1)} (bound ${worst.bound.toExponential(0)}) ${shown(worst.name)}${beyond.length > 0 ? `, ${beyond.length} beyond` : ''}${share === undefined ? '' : `; ${share.toFixed(2)} of rounding by chance`}`;
  const listed = verbose ? comparisons : passed ? [] : beyond.slice(0, 20);
  if (listed.length === 0) return head;
  const rows = listed.map((one) => [
    one.difference <= one.bound ? 'ok' : 'FAIL',
    one.difference.toExponential(2),
    one.bound.toExponential(0),
    one.name,
  ]);
  return `${head}\n${table(['', 'difference', 'bound', 'tensor'], rows)}`;
}
