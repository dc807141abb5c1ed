/** What the server says of a task. */
export interface TaskBody {
  id: string;
  name: string | null;
  names: string[];
  instruction: string;
  examples: Example[];
  instruction_tokens: number;
  unknown_tokens: number;
  cache: Cached | null;
  compile_milliseconds?: number;
}

export interface Cached {
  tier: 'full' | 'encoded' | 'file' | 'arriving';
  bytes: number;
  hits: number;
  /** In seconds since 1970. */
  since: number;
}

export interface CacheEntry extends Cached {
  id: string;
  registered: boolean;
  name: string | null;
  in_use: number;
}

export interface Example {
  input: string;
  output: string;
}

/** An instruction with its examples, as somebody writes it. */
export interface Draft {
  instruction: string;
  examples: Example[];
}

interface Side {
  text: string;
  read_tokens: number;
  output_tokens: number;
  milliseconds: number;
  flops: number;
}

export interface Comparison {
  compiled: Side & { instruction_tokens: number; compile_flops: number };
  plain: Side;
}

export type StreamEvent =
  | { object: 'generation.delta'; index: number; text: string }
  | { object: 'generation.output'; index: number; text: string; finish_reason: 'stop' | 'length' }
  | { object: 'generation.end'; usage: { input_tokens: number; output_tokens: number } };

/** An answer of the server that is an error, as it says it. */
export class ServerError extends Error {
  constructor(
    readonly status: number,
    message: string,
  ) {
    super(message);
  }
}

const base = new URL('.', location.href);
const KEY = 'hint-api-key';

/** The API key that was given on this tab, if the server wants one. */
export function setKey(key: string): void {
  sessionStorage.setItem(KEY, key);
}

/** @throws ServerError */
async function send(path: string, options: RequestInit = {}): Promise<Response> {
  const key = sessionStorage.getItem(KEY);
  const headers = new Headers(options.headers);
  if (key !== null) headers.set('authorization', `Bearer ${key}`);
  let response: Response;
  try {
    response = await fetch(new URL(path, base), { ...options, headers });
  } catch (error) {
    if (options.signal?.aborted === true) throw error;
    throw new ServerError(0, 'The server does not answer; is it still running?');
  }
  if (response.ok) return response;
  const { error } = (await response.json().catch(() => ({}))) as { error?: { message?: string } };
  throw new ServerError(response.status, error?.message ?? `The server answered ${response.status}.`);
}

/** @throws ServerError */
export async function getJson<T>(path: string): Promise<T> {
  return (await (await send(path)).json()) as T;
}

/** @throws ServerError */
export async function getText(path: string): Promise<string> {
  return (await send(path)).text();
}

function post(path: string, body: unknown, signal?: AbortSignal): Promise<Response> {
  return send(path, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify(body),
    ...(signal ? { signal } : {}),
  });
}

/** @throws ServerError */
export async function postJson<T>(path: string, body: unknown, signal?: AbortSignal): Promise<T> {
  return (await (await post(path, body, signal)).json()) as T;
}

/** Asks a task, and tells its answer as it comes. @throws ServerError; a DOMException once the signal is aborted */
export async function* streamAnswer(
  task: string,
  input: string,
  signal: AbortSignal,
): AsyncGenerator<StreamEvent, void, undefined> {
  const path = `v1/tasks/${encodeURIComponent(task)}/generate`;
  const { body } = await post(path, { inputs: input, stream: true }, signal);
  if (!body) return;
  const reader = body.pipeThrough(new TextDecoderStream()).getReader();
  let rest = '';
  for (;;) {
    const { value, done } = await reader.read();
    if (done) return;
    const events = (rest + value).split('\n\n');
    rest = events.pop() ?? '';
    for (const event of events) {
      const data = event.slice(event.indexOf('data: ') + 6);
      if (data === '[DONE]') return;
      const parsed = JSON.parse(data) as StreamEvent | { error: { message: string } };
      if ('error' in parsed) throw new ServerError(0, parsed.error.message);
      yield parsed;
    }
  }
}

export async function forgetTask(id: string): Promise<void> {
  await send(`v1/tasks/${encodeURIComponent(id)}`, { method: 'DELETE' });
}

/** The file of a task, as "hint compile" writes it. @throws ServerError */
export async function taskFile(id: string): Promise<Blob> {
  return (await send(`v1/tasks/${encodeURIComponent(id)}/file`)).blob();
}

/** @throws ServerError for a file that is no task of this model */
export async function uploadTask(file: Blob): Promise<TaskBody> {
  const headers = { 'content-type': 'application/octet-stream' };
  return (await (await send('v1/tasks/file', { method: 'POST', headers, body: file })).json()) as TaskBody;
}
