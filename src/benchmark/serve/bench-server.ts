import { join } from 'node:path';
import { Tokenizer } from '../../formats/tokenizer/tokenizer.js';
import { Engine } from '../../inference/engine.js';
import { setWeightDType } from '../../inference/engine-opening.js';
import type { AnyModel } from '../../model/family.js';
import { startServer, type RunningServer } from '../../server/index.js';
import { Device } from '../../tensor/device.js';
import type { WeightDType } from '../../tensor/ops.js';
import { packageRoot } from '../../util/package-root.js';
import { randomDecoder } from '../equal-work.js';
import { benchConfig, randomModel, uniforms } from '../random-model.js';
import { drawDefinitions, drawText, zipfRanks, type RequestLengths } from './serve-tasks.js';

/** The model of a server: HINT, or a decoder-only model of equal FLOPs per input token. */
export interface ServerWork {
  readonly kind: 'hint' | 'decoder';
  readonly size: string;
  readonly adapterSize: number;
  readonly dtype: WeightDType;
  readonly threads: number;
}

/** The requests of a load. */
export interface Workload {
  readonly tasks: number;
  readonly requests: number;
  readonly lengths: RequestLengths;
  readonly seed: number;
}

/** Where the requests of a workload go, and what they cost. */
export interface PreparedWorkload {
  readonly path: string;
  readonly bodies: readonly string[];
  /** Tokens of each input as the model reads it. */
  readonly inputTokens: number;
  readonly instructionTokens: number;
  /** Seconds that compiling a task took, each. */
  readonly compileSeconds: readonly number[];
  /** Of one request, compiling aside. */
  readonly flopsPerRequest: number;
  /** Of tasks on the device. */
  readonly taskBytes: number;
  /** Bodies that stream the first requests for long, and bodies that register new instructions. */
  readonly streams: readonly string[];
  readonly registrations: readonly string[];
}

/** More than any instruction of a workload, and any load, has. */
const LIMITS = { instructionTokens: 8192, inputTokens: 4096, requests: 16_384, seconds: 600 };
const MODEL = 'bench';
const STREAM_TOKENS = 4096;
const STREAMS = 4;
const REGISTRATIONS = 3;

/** `hint serve` over a model of random weights. */
export class BenchServer {
  private constructor(
    private readonly engine: Engine,
    private readonly tokenizer: Tokenizer,
    private readonly server: RunningServer,
  ) {}

  static async open(work: ServerWork): Promise<BenchServer> {
    const tokenizer = await Tokenizer.load(join(packageRoot(), 'models/demo-t5/tokenizer.json'));
    const device = new Device({ threads: work.threads });
    const model = await modelOf(device, work);
    setWeightDType(model, work.dtype);
    const engine = new Engine(model, tokenizer, true, {
      taskCache: { maxBytes: 2 ** 40 },
      serving: { maxQueued: LIMITS.requests },
    });
    return new BenchServer(
      engine,
      tokenizer,
      await startServer(engine, { port: 0, model: MODEL, limits: LIMITS }),
    );
  }

  get description(): { readonly url: string; readonly parameterBytes: number } {
    const { parameters } = this.engine.model;
    const bytes = parameters.storedEntries().reduce((sum, [, tensor]) => sum + tensor.bytes, 0);
    return { url: this.server.url, parameterBytes: bytes };
  }

  /** Compiles the tasks of a workload and draws its requests, by Zipf's law over the tasks. */
  async prepare({ tasks, requests, lengths, seed }: Workload): Promise<PreparedWorkload> {
    const { engine, tokenizer } = this;
    const definitions = drawDefinitions(tokenizer, tasks + REGISTRATIONS, lengths.instruction, seed);
    const compileSeconds: number[] = [];
    const { bytes } = engine.tasks.metrics;
    for (const definition of definitions.slice(0, tasks)) {
      const began = performance.now();
      (await engine.tasks.get({ definition, maxInstructionTokens: LIMITS.instructionTokens })).dispose();
      compileSeconds.push((performance.now() - began) / 1000);
    }
    using task = await engine.tasks.get({
      definition: definitions[0]!,
      maxInstructionTokens: LIMITS.instructionTokens,
    });
    const uniform = uniforms(seed + 1);
    const body = (definition: string, more: object): string =>
      JSON.stringify({
        model: MODEL,
        messages: [
          { role: 'system', content: definition },
          { role: 'user', content: drawText(uniform, lengths.input, (text) => task.inputTokens(text)) },
        ],
        ...more,
      });
    const bodies = zipfRanks(uniform, tasks, requests).map((rank) =>
      body(definitions[rank]!, { max_tokens: lengths.output }),
    );
    const sample = drawText(uniform, lengths.input, (text) => task.inputTokens(text));
    return {
      path: '/v1/chat/completions',
      bodies,
      inputTokens: task.inputTokens(sample),
      instructionTokens: task.instructionTokens,
      compileSeconds,
      flopsPerRequest: task.flops(sample, lengths.output).input,
      taskBytes: engine.tasks.metrics.bytes - bytes,
      // Log-probabilities have every token told, also one without a text.
      streams: definitions
        .slice(0, Math.min(STREAMS, tasks))
        .map((definition) => body(definition, { max_tokens: STREAM_TOKENS, stream: true, logprobs: true })),
      registrations: definitions.slice(tasks).map((instruction) => JSON.stringify({ instruction })),
    };
  }
}

async function modelOf(device: Device, { kind, size, adapterSize }: ServerWork): Promise<AnyModel> {
  const config = benchConfig(size, adapterSize);
  return kind === 'hint' ? randomModel(device, config) : randomDecoder(device, config);
}
