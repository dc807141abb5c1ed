// The client of `hint bench serve`, in a process of its own: JSON objects on standard input, one per line, an answer for each.
//   {"do": "closed", "target": {...}, "clients": n, "seconds": n}            closedLoad
//   {"do": "open", "target": {...}, "rate": n, "seconds": n, "seed": n}      openLoad
//   {"do": "gaps", ...}                                                      tokenGaps
import { answerLines } from './answer-lines.js';
import { closedLoad, openLoad, type LoadTarget } from './load.js';
import { tokenGaps, type GapTarget } from './token-gaps.js';

/** What the client is asked. */
export type LoadRequest =
  | { readonly do: 'closed'; readonly target: LoadTarget; readonly clients: number; readonly seconds: number }
  | {
      readonly do: 'open';
      readonly target: LoadTarget;
      readonly rate: number;
      readonly seconds: number;
      readonly seed: number;
    }
  | ({ readonly do: 'gaps' } & GapTarget);

await answerLines<LoadRequest>((asked) => {
  if (asked.do === 'closed') return closedLoad(asked.target, asked);
  if (asked.do === 'open') return openLoad(asked.target, asked);
  return tokenGaps(asked);
});
