import { parseArgs } from 'node:util';
import { PROTOCOLS } from './protocols/main.js';
import { RAFT_PARTS } from './raft/workload.js';
import { FOREIGN_LIMIT, MAXIMUM_REPEATS } from './rows/steady-row.js';
import { SDK_PARTS } from './sdk/workload.js';
import { LINKS, type Link } from './system.js';

export const HELP = `Runs a benchmark. Each starts a fresh local system on its own ports and stops it afterwards; "raft", "link" and "auth" need none.

  npm run bench -- transfer      transfers between random accounts of two databases
  npm run bench -- contention    every client wants the same two rows, with declared keys
  npm run bench -- open-loop     transfers at 25, 50, 75 and 90 % of the throughput of the closed loop, sent at a fixed rate;
                                latencies from the moment at which each should have been sent
  npm run bench -- secured       transfers with TLS, JWTs and signatures everywhere against plain text, on the same road
  npm run bench -- memory        resident memory of the coordinators after 20,000, 100,000 and 200,000 transactions
  npm run bench -- archive       memory and times of ended transactions, with this and other codings of their blocks
  npm run bench -- failover      kill -9 of the leading coordinator: time until the next commit
  npm run bench -- protocols     2PC, 3PC, one phase and read-only with 2 to 16 branches
  npm run bench -- recovery      kill -9 of the leader and of all coordinators: time until no branch is in doubt
  npm run bench -- state         coordinators with 100,000 open transactions: restart, snapshots, REST, take-over
  npm run bench -- raft          the Raft library alone: writes, reads, the core, memory and restart
  npm run bench -- locks         acquire and release, in the leader's process and over REST, against the writes of the Raft log
  npm run bench -- sdk           services that call each other over HTTP in one global transaction, against one-shot
                                transactions and raw; nestjs-cls without a global transaction; 2 to 16 services
  npm run bench -- link          frames over TCP against gRPC, with the same messages between the same two processes
  npm run bench -- auth          what it costs to say who sends a request: JWTs and API tokens, known and new

Several workloads run one after the other, each with systems of its own.

Options
  --clients 1,8,64    concurrent clients (closed loop); for raft 1,64,512, for protocols, link and locks 1,64,
                      for sdk 1,8,64, for contention 32, for open-loop 64
  --rounds 3          rounds, in each of which bound and system take turns; medians are reported
  --seconds 5         length of a round
  --marks 20000,…     for memory: numbers of transactions after which to measure
  --transactions 1000000
                      for archive: number of ended transactions
  --kills 30          for failover: number of kills; for recovery: kills of each kind (3)
  --branches 2,3,…    for protocols 2,3,5,8,16; for recovery one number (3); at most 16. More than 3 start
                      further participants. For sdk 2,4,8,16: the services of a transaction
  --protocols ${PROTOCOLS.join(',')}
                      for protocols and recovery (2pc,3pc): run only these
  --link kafka,direct,both
                      the roads to the participants (kafka). transfer, contention and open-loop start a system for each
                      road. Within a round they take turns, and each round begins with another one, so that a slow
                      phase of the machine hits all alike. All but one are paused (SIGSTOP): an idle system takes
                      a tenth of two cores. One that wakes up gets load until it is steady, then the bound on its
                      own databases is measured, then the system. protocols does the same, and puts links and
                      branches into one table. memory and failover take one road after the other, recovery one,
                      sdk one of direct (default) and both
  --warm-up 120       for the same: seconds of load before anything is measured, at most; it ends when
                      two slices of 10 s in a row agree within 3 %
  --markdown          tables in Markdown
  --port-offset 2000  number added to every port of the system
  --open 100000       for state: number of open transactions
  --parts ${RAFT_PARTS.join(',')}
                      for raft: run only these; "memory" is a million commands and a restart
  --parts ${SDK_PARTS.join(',')}
                      for sdk: run only these
  --commands 1000000  for raft: number of commands of "memory"
  --tls               for raft: mutual TLS between the nodes
  --cpu-profile       for raft: a CPU profile of each node, in bench-results/profiles

The bound is "raw": two-phase commit by the client itself over the same two databases, without a coordinator.
For raft the bound is a replicated log of three processes without consensus.

Foreign CPU is the share of the machine that others used during a row, the host of a virtual machine included. A row
above ${FOREIGN_LIMIT * 100} %, or one during which the leadership changed, is measured again, ${MAXIMUM_REPEATS} times at most. If it stays so it is
marked in the tables and in the JSON. The leadership is checked before and after each row, and handed back if it moved.
Results go to bench-results/ as JSON and SVG.
`;

const OPTIONS = {
  clients: { type: 'string' },
  rounds: { type: 'string', default: '3' },
  seconds: { type: 'string', default: '5' },
  marks: { type: 'string', default: '20000,100000,200000' },
  transactions: { type: 'string', default: '1000000' },
  kills: { type: 'string' },
  branches: { type: 'string' },
  protocols: { type: 'string' },
  link: { type: 'string' },
  'warm-up': { type: 'string', default: '120' },
  markdown: { type: 'boolean', default: false },
  'port-offset': { type: 'string', default: '2000' },
  open: { type: 'string', default: '100000' },
  parts: { type: 'string' },
  commands: { type: 'string', default: '1000000' },
  tls: { type: 'boolean', default: false },
  'cpu-profile': { type: 'boolean', default: false },
  help: { type: 'boolean', default: false },
} as const;

/** What the command line says. */
export type Values = ReturnType<typeof parseArgs<{ options: typeof OPTIONS; allowPositionals: true }>>['values'];

/** @throws Error that names an unknown option */
export function readCommandLine(): { readonly words: readonly string[]; readonly values: Values } {
  const { positionals, values } = parseArgs({ allowPositionals: true, options: OPTIONS });
  return { words: positionals, values };
}

export function positiveList(text: string, option: string): number[] {
  const values = text.split(',').map(Number);
  if (values.some((value) => !Number.isInteger(value) || value < 1)) {
    throw new Error(`--${option} must be positive whole numbers separated by commas, not "${text}"`);
  }
  return values;
}

export function positive(text: string, option: string): number {
  const [value, ...more] = positiveList(text, option);
  if (value === undefined || more.length > 0) throw new Error(`--${option} is one number, not "${text}"`);
  return value;
}

/** All parts of a workload where the option is missing. @throws Error that names an unknown one */
export function partNames<Part extends string>(text: string | undefined, parts: readonly Part[]): readonly Part[] {
  if (text === undefined) return parts;
  return text.split(',').map((name) => {
    const part = parts.find((candidate) => candidate === name);
    if (!part) throw new Error(`--parts names "${name}"; there are: ${parts.join(', ')}`);
    return part;
  });
}

export function linkNames(text: string): Link[] {
  return text.split(',').map((name) => {
    const link = LINKS.find((candidate) => candidate === name);
    if (!link) throw new Error(`--link names "${name}"; there are: ${LINKS.join(', ')}`);
    return link;
  });
}
