import type { ProtocolMessage } from '@concordat/commit-protocol';
import type { MessageSender } from './authenticity.js';
import { decideTopic, OUTCOMES_TOPIC, prepareTopic, REPLIES_TOPIC, type Topic } from './topics.js';

/** Who may say a message, and where; a coordinator has no name of its own. */
interface Rule {
  readonly sender: MessageSender;
  readonly topic: Topic;
}

/**
 * Why a sender may not say this on this topic; undefined: it may. A participant speaks for itself only, and only
 * coordinators send work, decide, rule and publish outcomes. Between branches there are ballots, from the branch that
 * they name; whether it belongs to the transaction is checked by who receives them (protocol section 6).
 */
export function objectionTo(sender: MessageSender, topic: Topic, message: ProtocolMessage): string | undefined {
  const rules = rulesOf(message);
  if (rules.some((rule) => rule.sender === sender && rule.topic === topic)) return undefined;
  if (isPeerDecision(sender, topic, message)) return undefined;
  const right = rules.map((rule) => `${rule.sender} on ${rule.topic}`).join(' or ');
  return `${message.type}: ${sender} may not say this on ${topic}; only ${right} may`;
}

function rulesOf(message: ProtocolMessage): readonly Rule[] {
  switch (message.type) {
    case 'prepare':
    case 'commit-one-phase':
      return [{ sender: 'coordinator', topic: prepareTopic(message.participant) }];
    case 'decision':
    case 'ruling':
    case 'undecided':
    case 'unknown-old':
      return [{ sender: 'coordinator', topic: decideTopic(message.participant) }];
    case 'termination-due':
      return [{ sender: of(message.participant), topic: decideTopic(message.participant) }];
    case 'ballot-request': {
      const sender = message.proposer ? of(message.proposer.participant) : 'coordinator';
      return [{ sender, topic: decideTopic(message.participant) }];
    }
    case 'ballot-answer': {
      const topic = message.proposer ? decideTopic(message.proposer.participant) : REPLIES_TOPIC;
      return [{ sender: of(message.participant), topic }];
    }
    case 'branches-decided':
    case 'vote':
    case 'done':
    case 'inquiry':
    case 'announce':
      return [{ sender: of(message.participant), topic: REPLIES_TOPIC }];
    case 'outcome':
      return [{ sender: 'coordinator', topic: OUTCOMES_TOPIC }];
  }
}

/** Any participant may tell what the branches have decided: its reader takes that as a reason to ask them. */
function isPeerDecision(sender: MessageSender, topic: Topic, message: ProtocolMessage): boolean {
  return message.type === 'decision' && sender !== 'coordinator' && topic === decideTopic(message.participant);
}

function of(participant: string): MessageSender {
  return `participant:${participant}`;
}
