import { streamRecords } from '../../util/records.js';

/** Answers the JSON objects that come on standard input, one per line, as a peer does; an error is an answer. Ends the process. */
export async function answerLines<Request>(answer: (request: Request) => Promise<object>): Promise<void> {
  for await (const line of streamRecords(process.stdin)) {
    let told: object;
    try {
      told = await answer(JSON.parse(line) as Request);
    } catch (error) {
      told = { error: error instanceof Error ? error.message : String(error) };
    }
    process.stdout.write(`${JSON.stringify(told)}\n`);
  }
  process.exit();
}
