import { copyFileSync, mkdtempSync, openSync, closeSync, rmSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { native, type NativeDevice, type NativeModule, type NativeTensor } from '../../src/tensor/native.js';

const KINDS = ['device', 'tensor', 'call', 'program', 'file', 'group'] as const;
type Kind = (typeof KINDS)[number];
type Handles = Record<Kind, object>;

/** Stands for a handle of its kind in a list of arguments, alone or inside an array. */
class Place {
  constructor(readonly kind: Kind) {}
}
const [device, tensor, call, program, file, group] = KINDS.map((kind) => new Place(kind));

const numbers = new Float64Array(80);

/** Every export that takes a handle, with other arguments that fit. */
const CALLS: [keyof NativeModule, ...unknown[]][] = [
  ['closeDevice', device],
  ['createTensor', device, 'f32', [2], null],
  ['createTensor', device, 'f32', [2], null, tensor],
  ['mapTensor', device, file, 'f32', [2], 0],
  ['releasePages', device, tensor],
  ['firstNonFinite', device, tensor],
  ['viewTensor', tensor, 0, [1]],
  ['viewTensor', tensor, 0, [1], tensor],
  ['cloneTensor', tensor],
  ['releaseTensor', tensor],
  ['enqueue', device, 0, false, numbers, tensor, tensor, null],
  ['enqueue', device, 0, false, numbers, tensor, tensor, tensor],
  ['enqueue', device, 0, call, numbers, tensor, tensor, null],
  ['enqueueBackward', device, call, tensor, tensor, null, null, 0],
  ['releaseCall', call],
  ['assignTensor', device, tensor, tensor],
  ['writeTensor', device, tensor, 0, new Float32Array(1)],
  ['readTensor', device, tensor],
  ['synchronize', device],
  ['beginRecording', device],
  ['endRecording', device],
  ['resumeRecording', device, program],
  ['releaseProgram', device, program],
  ['replay', device, program, 1, tensor],
  ['statistics', device],
  ['takeTrace', device],
  ['resetPeakMemory', device],
  ['setThreads', device, 1],
  ['simulateRounding', device, 0],
  ['exchangeBytes', group, new Uint8Array(1), 'meet'],
  ['startCollective', device, group, 'reduce', [tensor], [0], 0, 'sum'],
  ['finishCollectives', device, group],
  ['interruptGroup', group, 'The end.'],
  ['groupActivity', group],
  ['groupTimes', device, group],
  ['takeGroupIntervals', group, true],
  ['joinGpus', group, new Uint8Array(128), 0, 1, 0],
  ['closeGroup', group],
];
/** Exports that take none. */
const WITHOUT_HANDLES = [
  'createDevice',
  'stopDevices',
  'mapFile',
  'ops',
  'platform',
  'cuda',
  'gpuEnergy',
  'setCudaFolder',
  'mpi',
  'nccl',
  'makeNcclId',
  'joinGroup',
];

function savedCall(module: NativeModule, on: object, made: object): object {
  const [device, tensor] = [on as NativeDevice, made as NativeTensor];
  return module.enqueue(device, 0, true, numbers, tensor, tensor, null)?.at(-1) as object;
}

function handlesOf(module: NativeModule, path: string): Handles {
  const on = module.createDevice(1, 0, 'cpu', 0);
  const made = module.createTensor(on, 'f32', [2, 2], new Float32Array(4));
  const saved = savedCall(module, on, made);
  module.beginRecording(on);
  const recorded = module.endRecording(on);
  const descriptor = openSync(path, 'r');
  try {
    return { device: on, tensor: made, call: saved, program: recorded, file: module.mapFile(descriptor) as object, group: module.joinGroup('alone') }; // prettier-ignore
  } finally {
    closeSync(descriptor);
  }
}

/** The places of handles in a call, as paths into its arguments. */
function placesOf(values: readonly unknown[], path: number[] = []): number[][] {
  return values.flatMap((value, i) => {
    if (value instanceof Place) return [[...path, i]];
    return Array.isArray(value) ? placesOf(value, [...path, i]) : [];
  });
}

/** The arguments with a handle at every place, but for the one at `path`. */
function filled(values: readonly unknown[], handles: Handles, path: number[], odd: unknown): unknown[] {
  return values.map((value, i) => {
    const isOnPath = path[0] === i;
    if (value instanceof Place) return isOnPath ? odd : handles[value.kind];
    return Array.isArray(value) ? filled(value, handles, isOnPath ? path.slice(1) : [], odd) : value;
  });
}

function kindAt(values: readonly unknown[], path: number[]): Kind {
  return (path.reduce<unknown>((at, i) => (at as unknown[])[i], values) as Place).kind;
}

describe('handles of the native engine', () => {
  let folder: string;
  let own: Handles;
  /** Of another copy of the engine in this process, as a second install of the package makes them. */
  let foreign: Handles;
  let copy: NativeModule;

  beforeAll(() => {
    folder = mkdtempSync(join(tmpdir(), 'hint-handles-'));
    const path = join(folder, 'values');
    writeFileSync(path, new Uint8Array(64));
    own = handlesOf(native(), path);
    const library =
      process.env['HINT_NATIVE'] ?? resolve(import.meta.dirname, '../../build/Release/hint.node');
    copyFileSync(library, join(folder, 'hint.node'));
    copy = createRequire(import.meta.url)(join(folder, 'hint.node')) as NativeModule;
    foreign = handlesOf(copy, path);
  });

  afterAll(() => {
    copy.stopDevices();
    native().closeDevice(own.device as never);
    rmSync(folder, { recursive: true, force: true });
  });

  it('every export that takes one is tried here', () => {
    const names = Object.keys(native()).filter((name) => !WITHOUT_HANDLES.includes(name));
    expect([...new Set(CALLS.map(([name]) => name))].sort()).toEqual(names.sort());
  });

  it.each(CALLS)(
    '%s refuses handles of every other kind, and those of another copy of the engine',
    (name, ...given) => {
      const body = native()[name] as (...values: unknown[]) => unknown;
      for (const path of placesOf(given)) {
        const kind = kindAt(given, path);
        const others: [string, unknown][] = [
          ...KINDS.filter((other) => other !== kind).map((other): [string, unknown] => [other, own[other]]),
          ...KINDS.map((other): [string, unknown] => [`foreign ${other}`, foreign[other]]),
          ['object', {}],
        ];
        for (const [what, odd] of others) {
          // A backward pass takes its call, also when the gradients are refused.
          const handles = { ...own, call: savedCall(native(), own.device, own.tensor) };
          const outcome = (): unknown => body(...filled(given, handles, path, odd));
          expect(outcome, `${name}: ${what} for ${kind}`).toThrowError(/was expected here|must be a Tensor/);
        }
      }
    },
  );

  it('go on being of use after others were refused', async () => {
    expect(new Float32Array(await native().readTensor(own.device as never, own.tensor as never))).toEqual(
      new Float32Array(4),
    );
    native().replay(own.device as never, own.program as never, 1, null);
    await native().synchronize(own.device as never);
  });
});
