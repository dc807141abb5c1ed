// A server of `hint bench serve` with a model of random weights, in a process of its own: JSON objects on standard input, one
// per line, an answer for each. "load" comes first.
//   {"do": "load", ...}       what ServerWork says
//   {"do": "workload", ...}   what Workload says: compiles its tasks and answers with the bodies of requests
//   {"do": "memory"}          resident bytes of the process
import { answerLines } from './answer-lines.js';
import { BenchServer, type ServerWork, type Workload } from './bench-server.js';

/** What a server is asked. */
export type ServerRequest =
  | ({ readonly do: 'load' } & ServerWork)
  | ({ readonly do: 'workload' } & Workload)
  | { readonly do: 'memory' };

let server: BenchServer | undefined;

await answerLines<ServerRequest>(async (asked) => {
  if (asked.do === 'load') {
    server = await BenchServer.open(asked);
    return server.description;
  }
  if (asked.do === 'workload') return server!.prepare(asked);
  return { residentBytes: process.memoryUsage.rss() };
});
