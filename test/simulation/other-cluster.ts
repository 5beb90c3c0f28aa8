import { randomInteger, randomItem, type SeededRandom } from '@concordat/foundation';
import type { BranchAddress, Decision, OutcomeMessage, ProtocolMessage } from '@concordat/commit-protocol';
import {
  decideTopic,
  decodeMessage,
  encodeMessage,
  messageKey,
  prepareTopic,
  REPLIES_TOPIC,
  type OutgoingMessage,
} from '@concordat/messaging';
import type { MemoryRecord } from '@concordat/messaging/testing';
import { CLUSTER, NAMESPACE } from './cluster.js';
import type { World } from './world.js';

/** What the other cluster calls itself. */
export const OTHER_CLUSTER = 'staging';
/** Of each topic only what came last is answered: what is long over is nothing to contradict. */
const YOUNGEST = 40;
const MAXIMUM_SAID = 12;

/** Nobody inside listens to outcomes. */
type Contradicted = Exclude<ProtocolMessage, OutcomeMessage>;

/**
 * A second cluster on the same broker, made of a copy of this one: it has the same participants and the same
 * transactions, and says the opposite about each. By somebody's mistake (a mirror, a wrong prefix) what it says comes
 * into the topics of the cluster that is simulated, which must never act on it.
 */
export class OtherCluster {
  readonly counts = { said: 0 };

  constructor(
    private readonly world: World,
    private readonly random: SeededRandom,
  ) {}

  /** Contradicts some of what was said last. */
  speak(): void {
    const { random, world } = this;
    const heard = this.topics().flatMap((topic) => world.broker.recordsOf(topic).slice(-YOUNGEST));
    if (heard.length === 0 || !world.broker.isUp) return;
    for (let count = randomInteger(random, 1, MAXIMUM_SAID); count > 0; count--) {
      const message = readOwn(randomItem(random, heard));
      if (message) this.say(this.contradict(message));
    }
  }

  private topics(): string[] {
    const names = this.world.databases.map(({ name }) => name);
    const logical = [...names.flatMap((name) => [prepareTopic(name), decideTopic(name)]), REPLIES_TOPIC] as const;
    return logical.map((topic) => NAMESPACE.topic(topic));
  }

  private say({ topic, message }: OutgoingMessage): void {
    this.counts.said++;
    const entry = { key: messageKey(message), value: encodeMessage(OTHER_CLUSTER, message) };
    this.world.trace.event(`the other cluster says ${message.type} in ${topic}`);
    try {
      this.world.broker.append([{ topic: NAMESPACE.topic(topic), ...entry }]);
    } catch {
      // the acknowledgement was lost, and nobody waits for it
    }
  }

  private contradict(message: Contradicted): OutgoingMessage {
    switch (message.type) {
      case 'announce':
        return { topic: REPLIES_TOPIC, message: { ...message, operations: [] } };
      case 'vote': {
        const vote = message.vote === 'no' ? 'yes' : 'no';
        return { topic: REPLIES_TOPIC, message: { type: 'vote', ...addressOf(message), vote, results: [] } };
      }
      case 'done': {
        const end = message.end === 'committed' ? 'aborted' : 'committed';
        return { topic: REPLIES_TOPIC, message: { type: 'done', ...addressOf(message), end } };
      }
      case 'decision':
        return this.decide(message, message.decision === 'commit' ? 'abort' : 'commit');
      case 'ballot-request':
      case 'ballot-answer': {
        const decision = randomItem(this.random, ['commit', 'abort'] as const);
        return { topic: REPLIES_TOPIC, message: { type: 'branches-decided', ...addressOf(message), decision } };
      }
      default:
        return this.decide(message, randomItem(this.random, ['commit', 'abort', 'abort'] as const));
    }
  }

  private decide(branch: BranchAddress, decision: Decision): OutgoingMessage {
    const message = { type: 'decision', ...addressOf(branch), decision, attempt: 0 } as const;
    return { topic: decideTopic(branch.participant), message };
  }
}

function addressOf({ transactionId, branchId, participant }: BranchAddress): BranchAddress {
  return { transactionId, branchId, participant };
}

/** What the other cluster has said itself it does not answer. */
function readOwn({ value }: MemoryRecord): Contradicted | undefined {
  try {
    const message = decodeMessage(CLUSTER, value);
    return message.type === 'outcome' ? undefined : message;
  } catch {
    return undefined;
  }
}
