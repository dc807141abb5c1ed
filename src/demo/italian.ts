import { CATEGORIES } from './lexicon.js';

/**
 * The words of some categories in Italian, in the order of the English ones. None has an accent: the demo's tokenizer has
 * pieces for ASCII only.
 */
const ITALIAN: Readonly<Record<string, readonly string[]>> = {
  colour: 'rosso blu verde giallo nero bianco rosa marrone viola grigio'.split(' '),
  animal: 'cane gatto cavallo mucca pecora leone tigre lupo orso coniglio'.split(' '),
  fruit: 'mela pera banana ciliegia limone uva melone pesca prugna mango'.split(' '),
  tool: 'martello sega trapano coltello vanga ascia chiave scalpello rastrello scala'.split(' '),
  garment: 'camicia cappotto cappello sciarpa vestito gonna calza stivale guanto cintura'.split(' '),
  job: 'medico insegnante fornaio contadino pilota infermiere avvocato cantante scrittore giudice'.split(' '),
};

/** Categories whose words there are in Italian. */
export const ITALIAN_CATEGORIES: readonly string[] = Object.keys(ITALIAN);

const TRANSLATIONS: ReadonlyMap<string, string> = new Map(
  Object.entries(ITALIAN).flatMap(([category, words]) =>
    words.map((word, i): [string, string] => [CATEGORIES[category]?.[i] ?? '', word]),
  ),
);

/** A word of these categories in Italian. */
export function inItalian(word: string): string {
  return TRANSLATIONS.get(word) ?? word;
}
