import { z } from 'zod';
import type { Usage } from '../answering/answer.js';

/** Tokens as chat and plain completions tell them. */
export const USAGE = z.object({
  prompt_tokens: z.int().describe('Of the instruction, compiled or read now, and of the input.'),
  completion_tokens: z.int(),
  total_tokens: z.int(),
  prompt_tokens_details: z.object({
    cached_tokens: z.int().describe('Of the instruction, where it was compiled already and not read again.'),
  }),
});

export function usageOf({ instruction, cached, input, output }: Usage): z.infer<typeof USAGE> {
  const prompt = instruction + input;
  return {
    prompt_tokens: prompt,
    completion_tokens: output,
    total_tokens: prompt + output,
    prompt_tokens_details: { cached_tokens: cached },
  };
}
