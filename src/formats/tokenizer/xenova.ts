import { createRequire, Module } from 'node:module';

type Tokenizers = typeof import('@xenova/transformers/src/tokenizers.js');

const RUNTIMES = ['onnxruntime-node', 'onnxruntime-web'];
let tokenizers: Promise<Tokenizers> | undefined;

/**
 * The tokenizer module of @xenova/transformers, without the ONNX runtimes that it imports and never uses here.
 *
 * They are kept out because the native one can be loaded into one thread of a process only ("Module did not
 * self-register"), and because it is most of the import time. A program that also runs
 * transformers.js models in the same thread imports that package before it loads a tokenizer: what is loaded
 * already is left alone.
 */
export function loadXenovaTokenizers(): Promise<Tokenizers> {
  return (tokenizers ??= importWithoutRuntimes());
}

async function importWithoutRuntimes(): Promise<Tokenizers> {
  const require = createRequire(createRequire(import.meta.url).resolve('@xenova/transformers'));
  const placed: string[] = [];
  for (const name of RUNTIMES) {
    const file = resolveOptional(require, name);
    if (file === undefined || require.cache[file]) continue;
    const placeholder = new Module(file);
    placeholder.filename = file;
    placeholder.loaded = true;
    placeholder.exports = placeholderRuntime(name);
    require.cache[file] = placeholder;
    placed.push(file);
  }
  try {
    return await import('@xenova/transformers/src/tokenizers.js');
  } finally {
    for (const file of placed) delete require.cache[file];
  }
}

function resolveOptional(require: NodeJS.Require, name: string): string | undefined {
  try {
    return require.resolve(name);
  } catch {
    return undefined;
  }
}

function placeholderRuntime(name: string): object {
  const create = (): never => {
    throw new Error(
      `${name} was not loaded because hint-engine's tokenizer came first; import '@xenova/transformers' before it.`,
    );
  };
  return { env: { wasm: {} }, InferenceSession: { create }, Tensor: class Tensor {} };
}
