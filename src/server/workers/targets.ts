import { z } from 'zod';
import { check } from '../../util/check.js';
import { taskId } from '../answering/task-registry.js';
import { MESSAGE, questionOf } from '../openai/messages.js';
import { INSTRUCTION, instructionOf } from '../own/schemas.js';
import type { SharedTask, SharedTasks } from './shared-tasks.js';

/** Where a request goes, and as what. */
export interface Target {
  readonly key?: string | undefined;
  readonly tasks?: readonly SharedTask[];
  /** The body, with ids in the place of names: workers know no names. */
  readonly body?: unknown;
}

/** Finds the target of a body. What the worker refuses goes anywhere. @throws ApiError 404 for a task that there is not */
export type Targeting = (body: unknown, tasks: SharedTasks) => Target;

const CHAT = z.looseObject({ messages: z.array(MESSAGE) });
const RESPONSE = z.looseObject({
  instructions: z.string().nullish(),
  input: z.union([z.string(), z.array(MESSAGE.loose())]),
});
const OF_TASK = z.looseObject({ task: z.string() });
const INSTRUCTED = z.looseObject(INSTRUCTION);
const MIXED = z.looseObject({ requests: z.array(z.looseObject({})) });

/** The task that the system messages and examples of a chat are. */
export const chatTarget: Targeting = (body) => {
  const { data } = check(CHAT, body);
  return data ? { key: keyOfMessages(data.messages), body } : { body };
};

/** The task that the instructions of a response are. */
export const responseTarget: Targeting = (body) => {
  const { data } = check(RESPONSE, body);
  if (!data) return { body };
  const { input, instructions } = data;
  const messages = typeof input === 'string' ? [{ role: 'user' as const, content: input }] : input;
  return { key: keyOfMessages(messages, instructions ?? undefined), body };
};

/** The task that a body names. */
export const namedTarget: Targeting = (body, tasks) => {
  const { data } = check(OF_TASK, body);
  if (!data) return { body };
  const task = tasks.get(data.task);
  return { key: task.id, tasks: [task], body: { ...data, task: task.id } };
};

/** The task of an instruction with its examples. */
export const instructionTarget: Targeting = (body) => {
  const { data } = check(INSTRUCTED, body);
  return data ? { key: taskId(instructionOf(data)), body } : { body };
};

/** All tasks of a mixed request, which goes where the first of them is warm. */
export const mixedTarget: Targeting = (body, tasks) => {
  const { data } = check(MIXED, body);
  if (!data) return { body };
  const targets = data.requests.map((one) =>
    'task' in one ? namedTarget(one, tasks) : instructionTarget(one, tasks),
  );
  return {
    key: targets.find(({ key }) => key !== undefined)?.key,
    tasks: targets.flatMap(({ tasks: needed = [] }) => needed),
    body: { ...data, requests: targets.map((target) => target.body) },
  };
};

function keyOfMessages(
  messages: readonly Pick<z.infer<typeof MESSAGE>, 'role' | 'content'>[],
  instructions?: string,
): string | undefined {
  try {
    const { instruction } = questionOf(messages, instructions);
    return instruction && taskId(instruction);
  } catch {
    // The worker says what is wrong with it.
    return undefined;
  }
}
