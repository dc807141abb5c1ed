import { readdir } from 'node:fs/promises';
import { dirname, join, relative } from 'node:path';
import { readError } from '../../util/read-error.js';
import { publishedName } from '../p3/published-sizes.js';

/** The files of a folder of promptsource's templates (`DATASET/SUBSET/templates.yaml`), by dataset. */
export class TemplateFolder {
  private constructor(private readonly files: ReadonlyMap<string, string>) {}

  /** @throws HintError NOT_FOUND, IO */
  static async open(folder: string): Promise<TemplateFolder> {
    const entries = await readdir(folder, { recursive: true, withFileTypes: true }).catch(
      (cause: unknown) => {
        throw readError(folder, cause, 'the templates (--templates, a folder)');
      },
    );
    const files = entries
      .filter((entry) => entry.name === 'templates.yaml')
      .map((entry) => join(entry.parentPath, entry.name));
    return new TemplateFolder(
      new Map(files.map((file) => [datasetAt(relative(folder, dirname(file))), file])),
    );
  }

  /** The file of a dataset, whose rounds share one where it has rounds. */
  fileOf(dataset: string): string | undefined {
    return this.files.get(publishedName(dataset).replace(/^anli_r[123]$/, 'anli'));
  }
}

/** The dataset of a path such as `super_glue/wsc.fixed`, as it is listed: `super_glue_wsc_fixed`. */
export function datasetAt(path: string): string {
  return publishedName(path.replace(/[^\p{L}\p{N}_.]+/gu, '_'));
}
