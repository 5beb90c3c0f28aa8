import { spawnSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import path from 'node:path';
import { judgeAudit } from './auditing.mjs';

/** Asks the registry, and judges what it says. */
export function runAudit(root) {
  const json = (...parts) => JSON.parse(readFileSync(path.join(root, ...parts), 'utf8'));
  // its exit code says that there are findings, or that it has failed
  const { stdout } = spawnSync('npm', ['audit', '--json'], {
    cwd: root,
    encoding: 'utf8',
    maxBuffer: 64 * 1024 * 1024,
    stdio: ['ignore', 'pipe', 'ignore'],
  });
  return judgeAudit({
    report: parsed(stdout),
    lock: json('package-lock.json'),
    explained: json('scripts', 'audit-explained.json'),
    today: new Date().toISOString().slice(0, 10),
  });
}

function parsed(text) {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}
