import { z } from 'zod';
import { ApiError } from '../http/errors.js';
import type { Instruction } from '../answering/served.js';

const part = z.strictObject({
  type: z.enum(['text', 'input_text', 'output_text'], {
    error: 'is not supported by this server, which reads text only; send parts of type "text"',
  }),
  text: z.string(),
  annotations: z.array(z.unknown()).optional().describe('Ignored.'),
  logprobs: z.array(z.unknown()).optional().describe('Ignored.'),
});

const role = z.enum(['system', 'developer', 'user', 'assistant'], {
  error: 'is not supported by this server; use system, developer, user or assistant',
});

/** A message of a chat. */
export const MESSAGE = z.strictObject({
  role,
  content: z.union([z.string(), z.array(part).min(1)]),
  name: z.string().nullish().describe('Ignored.'),
  refusal: z.null().optional(),
});

export type Message = z.infer<typeof MESSAGE>;

/** A text, or the texts of the parts. */
export function textOf(content: Message['content']): string {
  return typeof content === 'string' ? content : content.map(({ text }) => text).join('');
}

/**
 * A chat as a task: what the system says is the definition, pairs of user and assistant are its examples, and what the
 * user says last is the input.
 *
 * @param instructions what the system says besides
 * @throws ApiError 400 for a chat of another form
 */
export function questionOf(
  messages: readonly Pick<Message, 'role' | 'content'>[],
  instructions?: string,
): { instruction: Instruction | undefined; input: string } {
  const isSystem = ({ role }: Pick<Message, 'role'>): boolean => role === 'system' || role === 'developer';
  const firstOther = messages.findIndex((message) => !isSystem(message));
  const begin = firstOther < 0 ? messages.length : firstOther;
  const turns = messages.slice(begin).map(({ role, content }) => ({ role, text: textOf(content) }));
  turns.forEach(({ role }, i) => {
    const wanted = i % 2 === 0 ? 'user' : 'assistant';
    if (role === wanted) return;
    throw new ApiError(
      400,
      `Message number ${begin + i} is of the role ${role}, expected ${wanted}: system messages come first, then pairs of user and assistant as examples, then the user's input.`,
      { param: `messages.${begin + i}.role`, code: 'invalid_value' },
    );
  });
  const last = turns.at(-1);
  if (last?.role !== 'user')
    throw new ApiError(400, 'The last message must be of the role user: it is the input.', {
      param: 'messages',
      code: 'invalid_value',
    });
  const examples = Array.from({ length: (turns.length - 1) / 2 }, (_, i) => ({
    input: turns[2 * i]?.text ?? '',
    output: turns[2 * i + 1]?.text ?? '',
  }));
  const system = messages.slice(0, begin).map(({ content }) => textOf(content));
  const definition = [...(instructions === undefined ? [] : [instructions]), ...system].join('\n');
  if (definition.trim() !== '') return { instruction: { definition, examples }, input: last.text };
  if (examples.length === 0) return { instruction: undefined, input: last.text };
  throw new ApiError(
    400,
    'There are examples, but no system message that says what the task is; put one first.',
    {
      param: 'messages',
      code: 'instruction_missing',
    },
  );
}
