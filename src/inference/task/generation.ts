import { HintError } from '../../util/errors.js';
import type { GeneratedTokens, RowWatch } from '../decode/row-watch.js';
import { GrowingText } from './growing-text.js';

/** What was generated for one input. */
export interface GeneratedText extends GeneratedTokens {
  /**
   * The output as text, special tokens left out and cut before the first stop string; empty when the engine has no
   * tokenizer.
   */
  text: string;
}

/** What happens while inputs are generated. The texts of an input's events, one after the other, are its output. */
export type GenerationEvent =
  | {
      type: 'token';
      /** Number of the input. */
      input: number;
      token: number;
      /** Text that is certain now: none while a word or character may still change, several words at times. */
      text: string;
      /** With the option `logProbs`. */
      logProb?: number;
    }
  | {
      type: 'end';
      input: number;
      /** What is left of the text. */
      text: string;
      generation: GeneratedText;
    };

/** Follows the text of inputs while their tokens come: ends them at stop strings and tells of them. */
export class TextWatch implements RowWatch {
  /** Of the inputs that have ended. */
  readonly generations: GeneratedText[] = [];
  private readonly texts = new Map<number, GrowingText>();

  /**
   * @param decode text of an input's tokens
   * @param tell is called with every event; with it, tokens are wanted as soon as they are there
   */
  constructor(
    private readonly decode: (ids: readonly number[], input: number) => string,
    private readonly stops: readonly string[],
    private readonly tell?: (event: GenerationEvent) => void,
  ) {}

  get eager(): boolean {
    return this.tell !== undefined;
  }

  token(input: number, token: number, logProb: number | undefined): boolean {
    const growing = this.growingOf(input);
    const text = growing.push(token);
    this.tell?.({ type: 'token', input, token, text, ...(logProb === undefined ? {} : { logProb }) });
    return growing.stopped;
  }

  end(input: number, generated: GeneratedTokens): void {
    const growing = this.growingOf(input);
    const text = growing.finish();
    const finished = generated.finished || growing.stopped;
    const generation = { text: growing.text, ...generated, finished };
    this.generations[input] = generation;
    this.texts.delete(input);
    this.tell?.({ type: 'end', input, text, generation });
  }

  private growingOf(input: number): GrowingText {
    let growing = this.texts.get(input);
    if (!growing) {
      growing = new GrowingText((ids) => this.decode(ids, input), this.stops);
      this.texts.set(input, growing);
    }
    return growing;
  }
}

/** @throws HintError INVALID_ARGUMENT for a stop string that would end everything at once */
export function checkStops(stops: readonly string[]): readonly string[] {
  const empty = stops.findIndex((stop) => stop === '');
  if (empty < 0) return stops;
  throw new HintError('INVALID_ARGUMENT', `stop[${empty}] is empty; give strings of at least one character.`);
}
