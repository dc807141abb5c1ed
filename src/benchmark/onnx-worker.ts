// An exported T5 under @xenova/transformers, timed on command: one JSON object per line on standard input, one answer per
// line on standard output.
//   {"do": "load", "directory": path}
//   {"do": "generate", "inputs": [[id]], "tokens": n}   exactly n greedy tokens for every input, one input at a time:
//                                                       @xenova/transformers would split a batch all the same
import { existsSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { basename, dirname, join, resolve } from 'node:path';
import type { Tensor } from '@xenova/transformers';
import { z } from 'zod';
import { streamRecords } from '../util/records.js';

const requestSchema = z.discriminatedUnion('do', [
  z.object({ do: z.literal('load'), directory: z.string() }),
  z.object({
    do: z.literal('generate'),
    inputs: z.array(z.array(z.int())),
    tokens: z.int().min(1),
  }),
]);
const configSchema = z.looseObject({ d_model: z.int(), d_ff: z.int(), num_layers: z.int() });
type Request = z.infer<typeof requestSchema>;
type Library = typeof import('@xenova/transformers');
type Model = Awaited<ReturnType<Library['AutoModelForSeq2SeqLM']['from_pretrained']>>;

let model: Model | undefined;

/** No dependency of the package: it brings 200 MB that only this peer needs. */
async function library(): Promise<Library> {
  return import('@xenova/transformers').catch((cause: unknown) => {
    throw new Error(
      '@xenova/transformers is not installed; install it with: npm install @xenova/transformers',
      { cause },
    );
  });
}

async function load(directory: string): Promise<object> {
  const { AutoModelForSeq2SeqLM, env } = await library();
  const path = resolve(directory);
  const quantized = !existsSync(join(path, 'onnx', 'encoder_model.onnx'));
  const { d_model, d_ff, num_layers } = configSchema.parse(
    JSON.parse(await readFile(join(path, 'config.json'), 'utf8')),
  );
  env.allowRemoteModels = false;
  env.localModelPath = dirname(path);
  model = await AutoModelForSeq2SeqLM.from_pretrained(basename(path), { quantized });
  return { transformersJs: env.version, weights: quantized ? 'quantized' : 'f32', d_model, d_ff, num_layers };
}

/** The part of a model that generates, which @xenova/transformers leaves untyped. */
interface Generator {
  generate(inputs: Tensor, options: object): Promise<number[][]>;
}

async function generate({ inputs, tokens }: Extract<Request, { do: 'generate' }>): Promise<object> {
  if (!model) throw new Error('no model is loaded');
  const { Tensor } = await library();
  const generator = model as unknown as Generator;
  const options = { max_new_tokens: tokens, min_new_tokens: tokens, do_sample: false, num_beams: 1 };
  const began = performance.now();
  let fewest = tokens;
  for (const input of inputs) {
    const ids = new Tensor('int64', BigInt64Array.from(input, BigInt), [1, input.length]);
    const [row = []] = await generator.generate(ids, options);
    // The start token comes first.
    fewest = Math.min(fewest, row.length - 1);
  }
  const seconds = (performance.now() - began) / 1000;
  return { seconds, tokens: fewest, residentBytes: process.memoryUsage.rss() };
}

for await (const line of streamRecords(process.stdin)) {
  let answer: object;
  try {
    const request = requestSchema.parse(JSON.parse(line));
    answer = request.do === 'load' ? await load(request.directory) : await generate(request);
  } catch (error) {
    answer = { error: error instanceof Error ? error.message : String(error) };
  }
  process.stdout.write(`${JSON.stringify(answer)}\n`);
}
