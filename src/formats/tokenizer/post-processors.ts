import { z } from 'zod';
import { listOf } from '../../util/check.js';
import { recordOf } from '../../util/record-schema.js';
import { id } from './models/read.js';
import { PartReader } from './part.js';

/** Puts special tokens around the ids of a text. */
export type PostProcess = (ids: number[]) => number[];

const MOST_PIECES = 64;
const special = z.tuple([z.string(), id]);
const around = z.object({ sep: special, cls: special });
const sequence = z.object({ processors: listOf(z.unknown()) });
const template = z.object({
  single: listOf(
    z.union([
      z.object({ SpecialToken: z.object({ id: z.string() }) }),
      z.object({ Sequence: z.object({ id: z.enum(['A', 'B']) }) }),
    ]),
  ),
  special_tokens: recordOf(z.object({ ids: z.array(id).max(MOST_PIECES) })),
});

/**
 * Reads the post-processor of a tokenizer.json, as far as it is for single texts.
 *
 * @throws HintError INVALID_FILE naming a part that there is not here, or a field of it
 */
export function readPostProcessor(json: unknown, file: string): PostProcess {
  if (json === null || json === undefined) return (ids) => ids;
  return read(json, new PartReader(file, 'post_processor'));
}

function read(json: unknown, reader: PartReader): PostProcess {
  const type = reader.typeOf(json);
  switch (type) {
    case 'Sequence': {
      const { processors } = reader.fields(sequence, json, type);
      const parts = reader.within(() => processors.map((part) => read(part, reader)));
      return (ids) => parts.reduce((current, part) => part(current), ids);
    }
    // It moves offsets only.
    case 'ByteLevel':
      return (ids) => ids;
    case 'BertProcessing':
    case 'RobertaProcessing': {
      const { cls, sep } = reader.fields(around, json, type);
      return (ids) => [cls[1], ...ids, sep[1]];
    }
    case 'TemplateProcessing':
      return readTemplate(reader.fields(template, json, type), reader);
    default:
      return reader.unknown(type);
  }
}

function readTemplate(
  { single, special_tokens: tokens }: z.output<typeof template>,
  reader: PartReader,
): PostProcess {
  if (single.length > MOST_PIECES) reader.refuse(`a template of more than ${MOST_PIECES} pieces`);
  const pieces = single.map((piece): readonly number[] | undefined => {
    if ('Sequence' in piece)
      return piece.Sequence.id === 'A' ? undefined : reader.refuse('a second text in the template for one');
    return (
      tokens[piece.SpecialToken.id]?.ids ??
      reader.refuse(`the token ${piece.SpecialToken.id}, but not its id,`)
    );
  });
  return (ids) => {
    const result: number[] = [];
    for (const piece of pieces) for (const one of piece ?? ids) result.push(one);
    return result;
  };
}
