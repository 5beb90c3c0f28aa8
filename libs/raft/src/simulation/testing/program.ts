import { resolve } from 'node:path';
import type { ProgramSources } from '@concordat/foundation/testing';

/** The simulation of the library, to be compiled with changes. */
export const RAFT_PROGRAM: ProgramSources = {
  root: resolve(import.meta.dirname, '../../../../..'),
  folders: ['libs/foundation/src', 'libs/raft/src'],
  main: 'libs/raft/src/simulation/main.ts',
};
