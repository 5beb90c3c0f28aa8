#!/usr/bin/env node
// The command of a clone. The package `@concordat/raft` has none of this: its command is `publishConfig.bin`.
import { runBuilt } from '../../../scripts/run-built.mjs';

await runBuilt('libs/raft/src/storage/wal-tool/main.js');
