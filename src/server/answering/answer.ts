import { randomInt } from 'node:crypto';
import type { Constraint } from '../../inference/constrain/constraint.js';
import type { GeneratedText, GenerationEvent, TaskStreamOptions } from '../../inference/task/task.js';
import { ApiError } from '../http/errors.js';
import { checkInstruction, countInputs } from './lengths.js';
import type { Instruction, Served } from './served.js';
import type { TaskUse } from './task-use.js';

/** What is asked of the model, whichever way it was asked. */
export interface Question {
  instruction: Instruction | undefined;
  inputs: readonly string[];
  /** Answers per input; answer j of input i has the number `i * n + j`. */
  n: number;
  temperature?: number | undefined;
  topK?: number | undefined;
  topP?: number | undefined;
  seed?: number | undefined;
  maxTokens?: number | undefined;
  stop?: readonly string[] | undefined;
  logProbs?: boolean | undefined;
  /** What every answer has to be. */
  constrain?: Constraint | undefined;
}

/** Tokens of a question and its answers. */
export interface Usage {
  /** Of the instruction, where the model reads it apart from the input. */
  instruction: number;
  /** Of these, those that were not read, because the instruction was compiled already. */
  cached: number;
  input: number;
  output: number;
}

/** How an answer ended: the model or a stop string ended it, or it was cut at the limit. */
export function finishReason({ finished }: GeneratedText): 'stop' | 'length' {
  return finished ? 'stop' : 'length';
}

/** A question whose task is there, and whose tokens are counted and within the limits. */
export class Answer {
  private constructor(
    private readonly served: Served,
    private readonly use: TaskUse,
    private readonly question: Question,
    readonly usage: Usage,
    private readonly signal: AbortSignal,
  ) {}

  /** @throws ApiError 400 naming what is too long or too much; HintError */
  static async begin(served: Served, question: Question, signal: AbortSignal): Promise<Answer> {
    checkAmounts(served, question);
    if (question.instruction) checkInstruction(served, question.instruction);
    const use = await served.task(question.instruction, signal);
    const { task, cached } = use;
    try {
      const input = await countInputs(served, task, question.inputs);
      const instruction = task.instructionTokens;
      const usage = { instruction, cached: cached ? instruction : 0, input, output: 0 };
      served.metrics.addTokens(cached ? 'cached_instruction' : 'instruction', instruction);
      served.metrics.addTokens('input', input);
      return new Answer(served, use, question, usage, signal);
    } catch (error) {
      use.release();
      throw error;
    }
  }

  /** The answers as they come; leaving the loop ends them. To be called once, and instead of {@link all}. */
  async *events(): AsyncGenerator<GenerationEvent, void, undefined> {
    const { inputs, n } = this.question;
    const began = performance.now();
    let isFirst = true;
    try {
      const repeated = inputs.flatMap((input) => new Array<string>(n).fill(input));
      for await (const event of this.use.task.stream(repeated, this.options)) {
        if (isFirst) this.served.metrics.addFirstToken((performance.now() - began) / 1000);
        isFirst = false;
        if (event.type === 'end') {
          const { length } = event.generation.tokens;
          this.usage.output += length;
          this.served.metrics.addTokens('output', length);
        }
        yield event;
      }
    } finally {
      this.use.release();
    }
  }

  /** The answers, in the order of their numbers. */
  async all(): Promise<GeneratedText[]> {
    const answers: GeneratedText[] = [];
    for await (const event of this.events())
      if (event.type === 'end') answers[event.input] = event.generation;
    return answers;
  }

  private get options(): TaskStreamOptions {
    const { temperature, topK, topP, seed, maxTokens, stop, logProbs, constrain } = this.question;
    // No probability mass is that of the most probable token.
    const isGreedy = temperature === 0 || topP === 0 || (temperature ?? topP ?? topK) === undefined;
    const drawn = { temperature, topK, topP, seed: seed === undefined ? randomInt(2 ** 47) : positive(seed) };
    return {
      ...(isGreedy ? {} : drawn),
      ...(maxTokens === undefined ? {} : { maxTokens }),
      ...(stop && stop.length > 0 ? { stop } : {}),
      logProbs,
      constrain,
      maxInputTokens: this.served.limits.inputTokens,
      whenFull: 'reject',
      signal: this.signal,
    };
  }
}

/** Seeds of OpenAI's API may be negative, and have 64 bits. */
function positive(seed: number): number {
  return Number(BigInt.asUintN(52, BigInt(seed)));
}

function checkAmounts({ limits }: Served, { inputs, n, maxTokens = 1 }: Question): void {
  const answers = inputs.length * n;
  if (answers > limits.answers)
    throw new ApiError(
      400,
      `This asks for ${answers} answers, the limit is ${limits.answers}; ask for fewer at once.`,
      {
        code: 'too_many_answers',
      },
    );
  if (maxTokens > limits.outputTokens)
    throw new ApiError(
      400,
      `This asks for up to ${maxTokens} tokens, the limit is ${limits.outputTokens}; ask for fewer.`,
      {
        code: 'too_many_tokens',
      },
    );
}
