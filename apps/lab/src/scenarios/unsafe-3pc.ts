import { spawn } from 'node:child_process';
import path from 'node:path';
import { createInterface } from 'node:readline';
import { guarded } from '@concordat/foundation';
import { repositoryRoot } from '../local-system/repository.js';
import type { Narration } from '../narration.js';
import { runPartition } from '../unsafe-3pc/index.js';
import type { StandaloneScenario } from './scenario.js';
import type { Check } from './truth.js';

const SCHEDULE_TIMEOUT_MS = 60_000;

/** Prefix of a line that announces the next stage of the schedule. */
const STAGE = '== ';

const PHASES = {
  vote: 'three branches are asked, vote yes, and the coordinator pre-commits',
  cut: 'the network is cut: the coordinator and branch 1 here, branches 2 and 3 there; the coordinator dies',
  timeout: 'every branch waits too long',
} as const;

/**
 * The textbook's three-phase commit, which decides by timeout, and Concordat's, which decides by majorities, under one
 * schedule: a partition and a dead coordinator after the pre-commit. The first must end differently at its branches,
 * the second must not. Needs no running system: the machines of the first are the lab's own, those of the second are
 * Concordat's, in the program of the model.
 */
export const unsafe3pc: StandaloneScenario = {
  name: 'unsafe-3pc',
  title: "the textbook's 3PC splits under a partition, and the same schedule under Concordat's does not",
  async runAlone(narration) {
    return [textbook(narration), await concordat(narration)];
  },
};

function textbook(narration: Narration): Check {
  narration.say("first the textbook's three-phase commit (Skeen 1982), which nothing but this scenario uses");
  const { steps, states, diverged } = runPartition();
  let phase: keyof typeof PHASES | undefined;
  for (const step of steps) {
    if (step.phase !== phase) narration.action(PHASES[step.phase]);
    phase = step.phase;
    narration.observation(step.text);
  }
  return {
    name: "the textbook's protocol has split",
    holds: diverged,
    detail: states.map((state, branch) => `branch ${branch + 1} ${state}`).join(', '),
  };
}

async function concordat(narration: Narration): Promise<Check> {
  narration.say('now the same schedule with the machines of Concordat');
  const program = path.join(repositoryRoot(), 'dist/test/model/main.js');
  const { lines, exitCode } = await runProgram(program, ['--schedule', 'partition']);
  for (const line of lines) {
    if (line.startsWith(STAGE)) narration.action(line.slice(STAGE.length));
    else narration.observation(line);
  }
  const last = lines.at(-1) ?? 'it printed nothing';
  return {
    name: "Concordat's three phases came to one decision",
    holds: exitCode === 0,
    detail: exitCode === 0 ? last : `the model ended with ${exitCode}: ${last}`,
  };
}

/** The output lines of a program that runs to its end; its errors go to the terminal. */
function runProgram(
  program: string,
  args: readonly string[],
): Promise<{ readonly lines: readonly string[]; readonly exitCode: number | string }> {
  const child = spawn(process.execPath, ['--enable-source-maps', program, ...args], {
    stdio: ['ignore', 'pipe', 'inherit'],
    timeout: SCHEDULE_TIMEOUT_MS,
  });
  const lines: string[] = [];
  const reader = createInterface({ input: child.stdout });
  return new Promise((resolve, reject) => {
    reader.on(
      'line',
      guarded((line: string) => lines.push(line), reject),
    );
    child.on('error', reject);
    child.on(
      'close',
      guarded((code, signal) => resolve({ lines, exitCode: code ?? signal ?? 'nothing' }), reject),
    );
  });
}
