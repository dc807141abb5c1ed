import { PROMPT_FORMATS, type PromptFormat } from '../../data/natural-instructions/prompts.js';
import { choice, integer, list, optional, options, shaped, signal, text } from '../../util/arguments.js';

/** What a task is compiled from. */
export interface CompileRequest {
  /** What to do, in natural language. */
  definition: string;
  /** Few-shot examples that belong to the instruction; those that do not fit its budget are left out (method §7.2). */
  examples?: readonly { input: string; output: string }[];
  /** Default: `hint` where a hypernetwork reads the instruction, `causal` for decoder-only models, else `tk-instruct`. */
  format?: PromptFormat;
  /** Token budget of the instruction (default 1,024, what the systems are trained on). */
  maxInstructionTokens?: number;
  /** Ends the compilation, which rejects with ABORTED. */
  signal?: AbortSignal | undefined;
}

export const COMPILE_REQUEST = options<CompileRequest>(
  {
    definition: text,
    examples: optional(
      list(
        shaped<{ input: string; output: string }>(
          { input: text, output: text },
          'an object { input, output }',
        ),
      ),
    ),
    format: optional(choice(...PROMPT_FORMATS)),
    maxInstructionTokens: optional(integer(1, 1 << 20)),
    signal: optional(signal),
  },
  'an object such as { definition: "Name the colour." }',
);
