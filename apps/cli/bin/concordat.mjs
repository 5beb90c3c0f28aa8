#!/usr/bin/env node
// The command of a clone. The package `concordat` has none of this: its command is `publishConfig.bin`.
import { runBuilt } from '../../../scripts/run-built.mjs';

await runBuilt('apps/cli/src/main.js');
