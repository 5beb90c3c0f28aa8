import { SeededRandom, SystemClock } from '@concordat/foundation';
import {
  BothRoads,
  connectTcp,
  DirectCoordinatorBus,
  DirectParticipantBus,
  LinkServer,
  type MessageBus,
} from '@concordat/messaging';
import { MemoryBroker, MemoryMessageBus } from '@concordat/messaging/testing';
import { describeMessageBus, SUITE_CLUSTER, type ConnectedBuses } from '../conformance/message-bus-suite.js';
import { waitFor } from '../support/wait-for.js';

const clock = new SystemClock({ unref: true });
const cluster = SUITE_CLUSTER;
const servers: LinkServer[] = [];

/** Both ends of a direct link over TCP, connected. */
async function connectDirectly(
  participant: string,
  join: (direct: DirectCoordinatorBus | DirectParticipantBus) => MessageBus = (direct) => direct,
): Promise<ConnectedBuses> {
  const status = { leads: true, term: 1, members: [] };
  const coordinator = new DirectCoordinatorBus({ nodeId: 1, cluster, clock, status });
  const server = new LinkServer({ host: '127.0.0.1', port: 0 }, (attach) => coordinator.accept(attach), console.error);
  servers.push(server);
  const address = await server.start();
  const reader = new DirectParticipantBus({
    participant,
    cluster,
    clock,
    random: new SeededRandom(1),
    coordinators: ['http://coordinator'],
    dial: () => connectTcp(address),
  });
  const joined = { publisher: join(coordinator), reader: join(reader) };
  await Promise.all([joined.publisher.start(), joined.reader.start()]);
  await waitFor('the stream stands', () => coordinator.streamCounts().get(participant) === 1 && reader.isConnected());
  return joined;
}

async function stop(): Promise<void> {
  for (const server of servers.splice(0)) server.stop();
}

describeMessageBus('direct streams over TCP', async () => ({ connect: connectDirectly, stop }));

describeMessageBus('direct streams beside a broker', async () => {
  const broker = new MemoryBroker({ clock });
  return {
    connect: (participant) =>
      connectDirectly(participant, (direct) => new BothRoads(direct, new MemoryMessageBus(broker, { cluster }))),
    stop,
  };
});
