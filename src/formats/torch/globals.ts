import { DTYPE_OF_NAME, type SafetensorsDType } from '../weights/dtypes.js';
import { DTypeName, GlobalName, StorageClass, type PickleValue } from './values.js';

const STORAGES: Readonly<Record<string, SafetensorsDType>> = {
  FloatStorage: 'F32',
  HalfStorage: 'F16',
  BFloat16Storage: 'BF16',
  DoubleStorage: 'F64',
  LongStorage: 'I64',
  IntStorage: 'I32',
  ShortStorage: 'I16',
  CharStorage: 'I8',
  ByteStorage: 'U8',
  BoolStorage: 'BOOL',
  ComplexFloatStorage: 'C64',
};

/** The functions and classes that tensors are saved with, and what they are here. */
const GLOBALS: ReadonlyMap<string, PickleValue> = new Map<string, PickleValue>([
  ...[
    'torch._utils._rebuild_tensor',
    'torch._utils._rebuild_tensor_v2',
    'torch._utils._rebuild_tensor_v3',
    'torch._utils._rebuild_parameter',
    'torch._utils._rebuild_parameter_with_state',
    'collections.OrderedDict',
  ].map((name): [string, PickleValue] => [name, new GlobalName(name)]),
  ...Object.entries(STORAGES).map(([name, dtype]): [string, PickleValue] => [
    `torch.${name}`,
    new StorageClass(name, dtype),
  ]),
  ['torch.storage.UntypedStorage', new StorageClass('UntypedStorage', undefined)],
  ['torch.UntypedStorage', new StorageClass('UntypedStorage', undefined)],
  ...Object.entries(DTYPE_OF_NAME).map(([name, dtype]): [string, PickleValue] => [
    `torch.${name}`,
    new DTypeName(dtype),
  ]),
]);

/** What a name means, if a pickle of tensors may have it. */
export function globalNamed(name: string): PickleValue | undefined {
  return GLOBALS.get(name);
}

const REASONS: readonly (readonly [RegExp, string])[] = [
  [
    /_rebuild_qtensor|^torch\.Q\w+Storage$|^torch\.(qint|quint)|quantiz|bitsandbytes|torchao|^torch\._C\.ScriptObject/i,
    'it holds quantised weights, which are not read; save the model in float32, float16 or bfloat16',
  ],
  [/sparse/i, 'it holds sparse tensors, which are not read; save them dense'],
  [
    /^(__torch__|torch\.jit)|^torch\._C\._/,
    'it holds a TorchScript program and not weights alone; save model.state_dict() with torch.save',
  ],
  [
    /^(torch\.nn\.|transformers\.|__main__\.|torch\.optim|argparse|numpy)/,
    'it holds more than tensors (a whole model, or a training state); save model.state_dict() with torch.save',
  ],
];

/** Why a name is refused, and what to do, as half a sentence. */
export function whyRefused(name: string): string {
  const [, reason] = REASONS.find(([pattern]) => pattern.test(name)) ?? [];
  return (
    reason ??
    'only tensors, storages and OrderedDict are read, and nothing in it is run; take the safetensors file of the model, or, only if you trust where this one comes from, load it in Python and save model.state_dict() with torch.save'
  );
}
