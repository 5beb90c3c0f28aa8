import { spawnSync } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { runProgram } from '@concordat/foundation/testing';
import { SYSTEM_SIMULATOR } from './simulation.js';

/** The simulation of the Raft library is a program of that library; it gets the rest of the arguments. */
const RAFT_SIMULATION = fileURLToPath(new URL('../../libs/raft/src/simulation/main.js', import.meta.url));

function simulateRaft(parameters: readonly string[]): number {
  const { status, error } = spawnSync(process.execPath, ['--enable-source-maps', RAFT_SIMULATION, ...parameters], {
    stdio: 'inherit',
  });
  if (error) throw error;
  return status ?? 1;
}

const [subject, ...rest] = process.argv.slice(2);
if (subject === 'raft') process.exitCode = simulateRaft(rest);
else await runProgram(SYSTEM_SIMULATOR, process.argv.slice(2));
