import { once } from 'node:events';
import { basename, resolve } from 'node:path';
import type { Command } from 'commander';
import type { RunningServer, ServerOptions } from '../../server/index.js';
import { HintError } from '../../util/errors.js';
import { action, note, print, writeError } from '../support/context.js';
import { addEngineOptions, openEngine, tellNotices, type EngineFlags } from '../support/engine-options.js';
import { collect, modelArgument, wholeNumber } from '../support/options.js';

interface ServeFlags extends EngineFlags {
  workers?: number;
  devices?: string[];
  host: string;
  port: number;
  name?: string;
  apiKeys?: string;
  allowHost: string[];
  allowOrigin: string[];
  maxInstructionTokens: number;
  maxInputTokens: number;
  maxRequests: number;
  timeout: number;
  drain: number;
  log: boolean;
  logBodies: boolean;
}

/** `hint serve MODEL`: OpenAI's API over a model whose instructions are compiled once. */
export function addServeCommand(program: Command): void {
  const command = program
    .command('serve')
    .summary('serve a model over HTTP, with the API of OpenAI')
    .description(
      'Serves a model over HTTP until it is told to stop: chat, responses, completions and embeddings as in the API of OpenAI, tasks, /metrics and /openapi.json. A system message is compiled the first time it is seen; later it costs nothing.\n' +
        'Serves this machine only, unless there are API keys. SIGTERM and Ctrl-C let answers under way end.',
    )
    .addArgument(modelArgument())
    .option('--host <address>', 'where to listen; beyond this machine only with --api-keys', '127.0.0.1')
    .option('--port <n>', 'port, 0 for any that is free', wholeNumber('--port', 0, 65_535), 8080)
    .option('--name <name>', "name of the model in requests (the model folder's name)", modelName)
    .option('--api-keys <file>', 'a file with an API key a line, one of which clients must send')
    .option(
      '--allow-host <name>',
      'a further name that requests may call the server by, repeatable',
      collect,
      [],
    )
    .option(
      '--allow-origin <origin>',
      'a further origin whose pages may use the server, repeatable',
      collect,
      [],
    )
    .option(
      '--max-instruction-tokens <n>',
      'longest instruction',
      wholeNumber('--max-instruction-tokens', 1, 65_536),
      1024,
    )
    .option('--max-input-tokens <n>', 'longest input', wholeNumber('--max-input-tokens', 1, 65_536), 1024)
    .option(
      '--max-requests <n>',
      'requests worked on at once; further ones get 429',
      wholeNumber('--max-requests', 1, 2 ** 31 - 1),
      1024,
    )
    .option(
      '--timeout <seconds>',
      'time for a request, after which it gets 504',
      wholeNumber('--timeout', 1, 86_400),
      120,
    )
    .option(
      '--drain <seconds>',
      'time for answers under way when it is told to stop',
      wholeNumber('--drain', 0, 86_400),
      30,
    )
    .option(
      '--workers <n>',
      'engines in processes of their own, behind one port (1, or one for each of --devices)',
      wholeNumber('--workers', 1, 64),
    )
    .option('--devices <list>', 'what the workers compute on, in turns: cuda:0,cuda:1', deviceList)
    .option('--no-log', 'write no log')
    .option('--log-bodies', 'write what clients send to the log, texts included', false);
  addEngineOptions(command)
    .addHelpText(
      'after',
      '\nExamples:\n  $ hint serve runs/demo/hint' +
        '\n  $ hint serve google/flan-t5-small --port 9000 --dtype bf16' +
        '\n  $ hint serve runs/hint/model --host 0.0.0.0 --api-keys keys.txt' +
        '\n  $ hint serve runs/hint/model --devices cuda:0,cuda:1 --dtype bf16',
    )
    .action(
      action(async (signal, directory: string, flags: ServeFlags) => {
        // Read in when it is needed: other commands, and --help, start without it.
        const { startServer, startWorkers } = await import('../../server/index.js');
        const options = optionsOf(directory, flags);
        const { workers, devices, device, dtype, threads, tokenizer } = flags;
        if (devices && command.getOptionValueSource('device') === 'cli')
          throw new HintError('INVALID_ARGUMENT', 'There are both --device and --devices; give one of them.');
        if (devices !== undefined || (workers ?? 1) > 1) {
          const server = await startWorkers(directory, {
            ...options,
            ...{ devices: devices ?? [device], dtype, threads, signal },
            ...(workers === undefined ? {} : { workers }),
            ...(tokenizer === undefined ? {} : { tokenizer }),
          });
          tellNotices(server);
          return untilTold(server, directory, signal);
        }
        await using engine = await openEngine(directory, flags, signal);
        tellNotices(engine);
        await untilTold(await startServer(engine, options), directory, signal);
      }),
    );
}

function optionsOf(directory: string, flags: ServeFlags): ServerOptions {
  return {
    host: flags.host,
    port: flags.port,
    model: flags.name ?? nameOf(directory),
    ...(flags.apiKeys === undefined ? {} : { apiKeys: flags.apiKeys }),
    allowHosts: flags.allowHost,
    allowOrigins: flags.allowOrigin,
    limits: {
      instructionTokens: flags.maxInstructionTokens,
      inputTokens: flags.maxInputTokens,
      requests: flags.maxRequests,
      seconds: flags.timeout,
    },
    drainSeconds: flags.drain,
    ...(flags.log ? { log: writeError } : {}),
    logBodies: flags.logBodies,
  };
}

async function untilTold(server: RunningServer, directory: string, signal: AbortSignal): Promise<void> {
  print(`Serving ${directory} at ${server.url}/v1`);
  if (!signal.aborted) await once(signal, 'abort');
  await server.close();
  note('All answers under way have ended.');
}

/** @throws HintError INVALID_ARGUMENT */
function deviceList(text: string): string[] {
  const devices = text.split(',').map((one) => one.trim());
  if (devices.every((one) => one !== '')) return devices;
  throw new HintError('INVALID_ARGUMENT', `--devices is "${text}"; give a list such as cuda:0,cuda:1.`);
}

/** @throws HintError INVALID_ARGUMENT */
function modelName(name: string): string {
  if (name.trim() !== '') return name;
  throw new HintError('INVALID_ARGUMENT', '--name is empty; give the name that requests call the model by.');
}

/** The folder's own name; of a run's model that of the run. */
function nameOf(directory: string): string {
  const parts = resolve(directory).split('/');
  const own = parts.at(-1) ?? '';
  const isOfRun = ['model', 'best'].includes(own) && parts.length > 2;
  return (isOfRun ? parts.at(-2) : basename(directory)) || 'hint';
}
