#!/usr/bin/env node
import { runProgram } from '@concordat/foundation/testing';
import { RAFT_SIMULATOR } from './simulation.js';

await runProgram(RAFT_SIMULATOR, process.argv.slice(2));
