import { rmSync } from 'node:fs';
import path from 'node:path';
import { LabError } from '../lab-error.js';
import { initialState, requireFreePorts, startParts, stopProcesses } from './local-system.js';
import type { SystemContext } from './part.js';
import type { BankLetter, PartName } from './ports.js';
import { createDatabase, databaseUrl, dropDatabase, serverAt } from './postgres-server.js';
import { SystemFile, type SystemState } from './system-file.js';

export const NEIGHBOUR_NAME = 'neighbour';
/** Away from all ports of the running system. */
const PORT_DISTANCE = 300;
const SERVICES: readonly PartName[] = ['coordinator-1', 'coordinator-2', 'coordinator-3', 'bank-a', 'bank-b', 'bank-c'];
const LETTERS: readonly BankLetter[] = ['a', 'b', 'c'];

/** A second cluster beside a running system, with coordinators and banks of its own. */
export interface Neighbour {
  readonly context: SystemContext;
  readonly file: SystemFile;
  /** Ends its processes and removes its data, also in the shared server. */
  end(): Promise<void>;
}

/**
 * Starts a second, empty cluster that shares the broker, the machine and one database server with a running system.
 *
 * @throws LabError when the system's databases are not its own servers', or a part does not start
 */
export async function startNeighbour(context: SystemContext, state: SystemState): Promise<Neighbour> {
  const port = state.processes.find(({ name }) => name === 'postgres-a')?.ports['postgres'];
  if (port === undefined) throw new LabError('The neighbour needs the local PostgreSQL server postgres-a.');
  const server = serverAt(context, port);
  const security = context.security?.forCluster(NEIGHBOUR_NAME);
  security?.ensure();
  const databaseOf = (letter: BankLetter): string => `${NEIGHBOUR_NAME}_bank_${letter}`;
  const ofNeighbour: SystemContext = {
    ...context,
    directory: path.join(context.directory, NEIGHBOUR_NAME),
    clusterName: NEIGHBOUR_NAME,
    security,
    portOffset: state.portOffset + PORT_DISTANCE,
    shared: {
      kafkaBrokers: state.kafkaBrokers,
      databaseUrl: (letter) => databaseUrl(server, databaseOf(letter)),
    },
  };
  const file = new SystemFile(ofNeighbour.directory);
  const forget = async (): Promise<void> => {
    rmSync(ofNeighbour.directory, { recursive: true, force: true });
    for (const letter of LETTERS) await dropDatabase(server, databaseOf(letter));
  };
  const end = async (): Promise<void> => {
    await stopProcesses(file.read()?.processes ?? []);
    await forget();
  };
  await stopProcesses(file.read()?.processes ?? []); // of an interrupted run
  await requireFreePorts(SERVICES, ofNeighbour.portOffset);
  await forget();
  for (const letter of LETTERS) await createDatabase(server, databaseOf(letter));
  file.write({ ...initialState(ofNeighbour), kafkaBrokers: state.kafkaBrokers, ready: true });
  try {
    await startParts(ofNeighbour, SERVICES, file, new AbortController().signal);
  } catch (error) {
    await end();
    throw error;
  }
  return { context: ofNeighbour, file, end };
}
