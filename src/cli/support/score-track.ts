import { Option } from 'commander';
import { SCORE_TRACKS, type ScoreTrack } from '../../evaluation/rouge.js';
import type { ScoreReport } from '../../evaluation/score.js';
import { note } from './output.js';

/** `--track`, where answers are scored. */
export function scoreTrackOption(): Option {
  return new Option(
    '--track <name>',
    "default: ROUGE compares English words; xlingual: GPT-2's pieces, for texts of any language",
  )
    .choices(SCORE_TRACKS)
    .default('default');
}

/** Says how many references no answer can match, since ROUGE finds no word in them. */
export function warnOfWordless({ wordlessReferences = 0 }: ScoreReport, track: ScoreTrack): void {
  if (wordlessReferences === 0) return;
  const next =
    track === 'default'
      ? 'texts in other languages than English are scored with --track xlingual'
      : 'they are empty';
  note(
    `warning: ${wordlessReferences} references have no ROUGE token, so that any answer to them has RougeL 0; ${next}.`,
  );
}
