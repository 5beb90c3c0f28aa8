#!/usr/bin/env node
/** One process of the replicated key-value store: a Raft node with its HTTP interface. */
import { createServer } from 'node:http';
import { parseArgs } from 'node:util';
import { SystemClock, SystemRandom, errorMessage, type Logger } from '@concordat/foundation';
import { FileStorage, GrpcTransport, RaftNode, type MemberDescription } from '@concordat/raft';
import { HttpApi } from './http-api.js';
import { KeyValueMachine } from './key-value-machine.js';

const help = `Runs one node of a replicated key-value store.

  kv-node --id 1 --data <directory> --member 1,127.0.0.1:7311,http://127.0.0.1:7301 --member 2,… --member 3,…

  --id       number of this node, one of the members
  --data     its directory; created when it is not there
  --member   number, address for the other nodes and URL for clients of one member; the same list on every node
  --help     this text
`;

interface Settings {
  readonly nodeId: number;
  readonly directory: string;
  readonly members: readonly MemberDescription[];
  readonly self: MemberDescription;
}

function parseSettings(): Settings | 'help' {
  const { values } = parseArgs({
    options: {
      id: { type: 'string' },
      data: { type: 'string' },
      member: { type: 'string', multiple: true, default: [] },
      help: { type: 'boolean', default: false },
    },
  });
  if (values.help) return 'help';
  const members = values.member.map((text): MemberDescription => {
    const [id = '', address = '', data = ''] = text.split(',');
    if (!/^[1-9]\d*$/.test(id) || !URL.canParse(data)) throw new Error(`"${text}" is not <number>,<host:port>,<URL>`);
    return { nodeId: Number(id), address, data, priority: 0 };
  });
  const nodeId = Number(values.id);
  const self = members.find((member) => member.nodeId === nodeId);
  if (!self) throw new Error('--id must be the number of one --member');
  if (!values.data) throw new Error('--data is missing');
  return { nodeId, directory: values.data, members, self };
}

async function run({ nodeId, directory, members, self }: Settings): Promise<void> {
  const say = (text: string): void => console.log(`node ${nodeId}: ${text}`);
  const logger: Logger = {
    debug: () => undefined,
    info: say,
    warn: say,
    error: (message, error) => say(error === undefined ? message : `${message}: ${errorMessage(error)}`),
  };
  const machine = new KeyValueMachine();
  const node = new RaftNode({
    nodeId,
    members,
    storage: new FileStorage({ directory, nodeId, clusterName: 'kv-example', logger }),
    transport: new GrpcTransport({ nodeId, clusterName: 'kv-example', listenAddress: self.address, logger }),
    stateMachine: machine,
    clock: new SystemClock(),
    random: new SystemRandom(),
    logger,
    onFatal: () => process.exit(1), // the log tells why; a restart goes on from the disk
  });
  const api = new HttpApi(node, machine);
  const server = createServer((request, response) => void api.handle(request, response));

  let stopping: Promise<void> | undefined;
  const stop = (): void => {
    stopping ??= (async () => {
      server.close();
      server.closeIdleConnections();
      await node.stop(); // a leader hands over first
      process.exit();
    })();
  };
  process.on('SIGINT', stop).on('SIGTERM', stop).on('disconnect', stop);

  let knownLeader: number | undefined;
  node.onStatusChange(({ leaderId, term }) => {
    if (leaderId !== undefined && leaderId !== knownLeader) say(`node ${leaderId} leads term ${term}`);
    knownLeader = leaderId;
  });

  await node.start();
  const { hostname, port } = new URL(self.data);
  await new Promise<void>((resolve, reject) => server.once('error', reject).listen(Number(port), hostname, resolve));
  say(`ready at ${self.data}, process ${process.pid}`);
}

try {
  const settings = parseSettings();
  if (settings === 'help') console.log(help);
  else await run(settings);
} catch (error) {
  console.error(`kv-node: ${errorMessage(error)}`);
  process.exit(2);
}
