import { resolve } from 'node:path';
import type { ProgramSources } from '@concordat/foundation/testing';

const LIBRARIES = ['foundation', 'commit-protocol', 'messaging', 'client', 'participant', 'raft'];

/** The system and its simulation, to be compiled with changes. */
export const SYSTEM_PROGRAM: ProgramSources = {
  root: resolve(import.meta.dirname, '../../..'),
  folders: [
    ...LIBRARIES.map((name) => `libs/${name}/src`),
    'apps/coordinator/src',
    'test/simulation',
    'test/support/modelled-database',
  ],
  main: 'test/simulation/main.ts',
};
