// Whether a dependency is known to be vulnerable. Exit code: 0 none that runs, or each is explained; 1 there is one;
// 2 the registry does not say. docs/security.md explains it.
import path from 'node:path';
import { runAudit } from './run-audit.mjs';
import { takeWords } from './take-words.mjs';

takeWords(`Usage: npm run audit:dependencies

Says whether a dependency is known to be vulnerable. It takes no options.`);

const EXIT = { clean: 0, explained: 0, findings: 1, unanswered: 2 };
const VERDICTS = {
  clean: 'No package is known to be vulnerable.',
  explained: 'No package that runs is known to be vulnerable, but for what is explained.',
  findings: 'Update these packages, or explain them in scripts/audit-explained.json.',
};

const { kind, sentences } = runAudit(path.resolve(import.meta.dirname, '..'));
for (const sentence of sentences) console.log(sentence);
if (kind in VERDICTS) console.log(VERDICTS[kind]);
process.exitCode = EXIT[kind];
