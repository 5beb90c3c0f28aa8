import { describe, expect, it } from '@jest/globals';
import { SeededRandom } from '@concordat/foundation';
import { mutated } from './testing/fuzz/mutated-messages.js';
import { FuzzedNode } from './testing/fuzz/fuzzed-node.js';
import { ROLES } from './testing/fuzz/roles.js';
import { soundMessage } from './testing/fuzz/sound-messages.js';
import { between } from './testing/members.js';
import type { Message } from './types.js';

const MESSAGES = 200_000;
const MESSAGES_PER_CORE = 50;
/** 64 members, a window of 4 messages and 8 reads each, and answers to fifty messages */
const MAXIMUM_MESSAGES_PER_PASS = 64 * (4 + 8 + 1) + MESSAGES_PER_CORE;
const MAXIMUM_ENTRIES_PER_MESSAGE = 8;

const seed = Number(process.env['FUZZ_SEED'] ?? 20_250_101);
const replay = `FUZZ_SEED=${seed} npm run jest -- --selectProjects unit -- libs/raft/src/core/core.fuzz`;

interface Outcome {
  messages: number;
  refused: number;
  cores: number;
  served: number;
}

/** One core in the given standing under fifty messages; what went wrong is told with the way to see it again. */
function fire(random: SeededRandom, name: string, outcome: Outcome): void {
  const node = new FuzzedNode(ROLES[name]!(), random, MAXIMUM_MESSAGES_PER_PASS);
  const taken: Message[] = [];
  try {
    for (let count = 0; count < MESSAGES_PER_CORE; count++) {
      const repeated = taken.length > 0 && random.uint32() % 10 === 0;
      const message = repeated
        ? taken[random.uint32() % taken.length]!
        : mutated(random, soundMessage(random, node.core));
      taken.push(message);
      node.take(message);
      const { lastIndex, startIndex } = node.core.inspect();
      if (lastIndex - startIndex > MAXIMUM_ENTRIES_PER_MESSAGE * (count + 2))
        throw new Error('the log grows without bound');
    }
    node.settle();
    if (node.servesHonestNodes()) outcome.served++;
  } catch (error) {
    const last = JSON.stringify(taken.at(-1));
    throw new Error(`${name}, core ${outcome.cores}, message ${taken.length} (${last}); replay: ${replay}`, {
      cause: error,
    });
  }
  outcome.refused += node.core.refusedMessages;
  outcome.messages += MESSAGES_PER_CORE;
  outcome.cores++;
}

describe('200,000 mutated messages', () => {
  it('are refused and counted, or taken without harm, by cores in every standing', () => {
    const random = new SeededRandom(seed);
    const outcome: Outcome = { messages: 0, refused: 0, cores: 0, served: 0 };
    const names = Object.keys(ROLES);
    while (outcome.messages < MESSAGES) fire(random, names[outcome.cores % names.length]!, outcome);
    expect(outcome.refused).toBeGreaterThan(MESSAGES / 10); // the mutations do harm …
    expect(outcome.refused).toBeLessThan((MESSAGES * 9) / 10); // … but not always, so both ways are gone
    expect(outcome.served).toBeGreaterThan(outcome.cores / 2);
  }, 60_000);

  it('leave no more than 10,000 answers waiting for a disk that does not finish', () => {
    const core = ROLES['a follower']!();
    const address = { ...between(2, 1), term: core.term } as const;
    const entries = [{ index: 2, term: core.term, kind: 'no-op', data: new Uint8Array(0) }] as const;
    const message = { type: 'append-entries', ...address, previousIndex: 1, previousTerm: 1, entries } as const;
    core.step({ ...message, commitIndex: 1, round: 0 });
    const batch = core.ready().persist!;
    for (let round = 1; round <= 30_000; round++) core.step({ ...message, commitIndex: 1, round });
    expect(core.ready().messages).toHaveLength(0); // nothing is promised before it is durable
    core.advance(batch);
    const rounds = core.ready().messages.map((answer) => 'round' in answer && answer.round);
    expect(rounds).toHaveLength(10_000);
    expect(rounds.at(-1)).toBe(30_000); // the oldest give way
  });
});
