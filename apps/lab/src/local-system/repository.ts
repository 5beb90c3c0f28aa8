import { existsSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { LabError } from '../lab-error.js';

/** The folder of the repository, above this file: the program runs from `dist`, tests from the source. */
export function repositoryRoot(): string {
  for (let folder = import.meta.dirname; folder !== path.dirname(folder); folder = path.dirname(folder)) {
    const manifest = path.join(folder, 'package.json');
    if (existsSync(manifest) && readFileSync(manifest, 'utf8').includes('"name": "concordat-repository"'))
      return folder;
  }
  throw new LabError('The repository was not found above this program; run it from a clone by "npm start".');
}
