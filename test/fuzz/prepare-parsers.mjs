/** Parsers of what `hint prepare` reads. */
import { readFileSync } from 'node:fs';
import { gzipSync } from 'node:zlib';
import { mutateBytes } from './mutate.mjs';

/** A tar archive of one file. */
function plainTar(path, content) {
  const head = Buffer.alloc(512);
  head.write(path);
  // prettier-ignore
  const fields = [[100, '0000644'], [108, '0000000'], [116, '0000000'], [124, content.length.toString(8).padStart(11, '0')], [136, '00000000000'], [148, '        0'], [257, 'ustar'], [263, '00']];
  for (const [at, text] of fields) head.write(text, at);
  const sum = head.reduce((total, byte) => total + byte, 0);
  head.write(sum.toString(8).padStart(6, '0'), 148);
  head[154] = 0;
  return Buffer.concat([
    head,
    content,
    Buffer.alloc((512 - (content.length % 512)) % 512),
    Buffer.alloc(1024),
  ]);
}

/** A tf.train.Example with the features a, a text, and b, two numbers. */
const EXAMPLE = Buffer.from('0a1c0a0c0a016112070a050a03676f610a0c0a01621207' + '1a050a03ac0205', 'hex');

const TASK = Buffer.from('{"Definition": ["Say it."], "Instances": []}');

export const PREPARE_PARSERS = {
  tar: {
    file: 'repository.tar.gz',
    mutate: mutateBytes,
    words: ['../', 'ustar\u0000', '\u0000'.repeat(512), '77777777777'],
    seeds: () => [
      plainTar('r/tasks/a.json', Buffer.alloc(3000, TASK)),
      gzipSync(plainTar('r/tasks/a.json', TASK)),
    ],
    async run(file) {
      const { readTar } = await import('../../dist/formats/tar/entries.js');
      for await (const entry of readTar(file, () => true))
        if (entry.path === '') throw new Error('a file without a name');
    },
  },
  tfrecord: {
    file: 'train.tfrecord',
    mutate: mutateBytes,
    words: ['\u00ff\u00ff\u00ff\u00ff\u000f', '\u0008\u0001'],
    seeds: () => [EXAMPLE, Buffer.concat([Buffer.from('0400000000000000', 'hex'), EXAMPLE])],
    async run(file) {
      const { parseExample } = await import('../../dist/formats/tfrecord/example.js');
      const { readTfRecords } = await import('../../dist/formats/tfrecord/records.js');
      // Changed bytes never have their checksum, so that what is in a record is read without one, too.
      try {
        for await (const record of readTfRecords(file)) parseExample(record);
      } finally {
        parseExample({ bytes: readFileSync(file), where: file });
      }
    },
  },
};
