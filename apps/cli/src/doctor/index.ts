import { SystemClock } from '@concordat/foundation';
import { inspectGroup, inspectTopics } from '@concordat/messaging';
import { examineDatabase, readCoordinator } from '@concordat/participant';
import { diagnose, type DiagnosisPorts } from './diagnosis.js';
import type { DoctorOptions } from './options.js';
import { exitCodeOf, renderJson, renderLines } from './rendering.js';

export { brokerAccess } from './broker-access.js';
export { brokerLines } from './broker-lines.js';
export { parseDoctor } from './options.js';

/** Prints what the checks find, and sets the exit code by the gravest of it. */
export async function doctor(options: DoctorOptions): Promise<void> {
  const token = process.env['CONCORDAT_TOKEN']; // not an option: others on the machine see those
  const ports: DiagnosisPorts = {
    clock: new SystemClock(),
    examineDatabase,
    readCoordinator: (url, clock) => readCoordinator(url, clock, token),
    environment: process.env,
    inspectTopics,
    inspectGroup,
  };
  const lines = await diagnose(options, ports);
  process.stdout.write(options.json ? renderJson(lines) : renderLines(lines));
  process.exitCode = exitCodeOf(lines);
}
