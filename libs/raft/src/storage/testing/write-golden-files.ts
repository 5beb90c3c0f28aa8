// After a change of the format: npm run build && node dist/libs/raft/src/storage/testing/write-golden-files.js <directory>
// Then look at what was written with `concordat-wal inspect`, and put it beside the older ones in `golden/`.
import { writeGoldenFiles } from './golden-files.js';

const [, , directory] = process.argv;
if (directory === undefined) {
  process.stderr.write('usage: write-golden-files <directory that is to be created or has no such files>\n');
  process.exitCode = 2;
} else {
  await writeGoldenFiles(directory);
}
