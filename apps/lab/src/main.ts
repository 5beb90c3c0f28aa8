import { errorMessage } from '@concordat/foundation';
import { parseCommand, type Command } from './arguments.js';
import { LabError } from './lab-error.js';
import { contextOf } from './local-system/local-system.js';
import { restartParts } from './local-system/restart.js';
import { stopSystem, supervise, superviseDetached } from './local-system/supervisor.js';
import { SystemFile } from './local-system/system-file.js';
import { listScenarios, runScenarios } from './scenarios/run.js';

async function run(command: Command): Promise<void> {
  switch (command.kind) {
    case 'help':
      console.log(command.text);
      return;
    case 'start':
      await (command.detach ? superviseDetached : supervise)(command.system, command.fresh);
      return;
    case 'stop':
      await stopSystem(command.system);
      return;
    case 'list':
      for (const line of listScenarios()) console.log(line);
      return;
    case 'restart': {
      const context = contextOf(command.system, (text) => console.log(text));
      await restartParts(context, new SystemFile(context.directory), command.names, new AbortController().signal);
      return;
    }
    case 'scenarios':
      process.exitCode = await runScenarios(command.names, command.system, { points: command.points });
  }
}

// a closed pipe (`npm start | head`) must not crash the program that has to end all processes
for (const stream of [process.stdout, process.stderr]) stream.on('error', () => undefined);

try {
  await run(parseCommand(process.argv.slice(2)));
  process.exit(); // with process.exitCode: an idle broker connection must not keep the process alive
} catch (error) {
  console.error(error instanceof LabError ? error.message : `Unexpected: ${errorMessage(error)}`);
  if (!(error instanceof LabError) && error instanceof Error) console.error(error.stack);
  process.exit(1);
}
