import { describe, expect, it } from '@jest/globals';
import { silentLogger } from '@concordat/foundation';
import {
  LEAST_TOPIC_MESSAGE_BYTES,
  TOPIC_MESSAGE_BYTES,
  TopicSetup,
  TopicSetupError,
  judgeTopics,
  type TopicAdmin,
  type TopicDescription,
  type WantedRights,
} from './topic-setup.js';
import type { TopicRight } from './topic-rights.js';

const GOOD: TopicDescription = { partitions: 1, maximumMessageBytes: TOPIC_MESSAGE_BYTES };

function createSetup(
  topics: Record<string, TopicDescription | 'forbidden'>,
  mayCreate = true,
  rights: Readonly<Record<string, readonly TopicRight[]>> = {},
) {
  const made: string[] = [];
  const warnings: string[] = [];
  const admin: TopicAdmin = {
    describe: async (topic) => topics[topic] ?? 'missing',
    rights: async (topic) => rights[topic] && new Set(rights[topic]),
    create: async (topic) => {
      made.push(topic);
      return mayCreate ? 'created' : 'forbidden';
    },
    tryCreate: async () => (mayCreate ? 'created' : 'forbidden'),
  };
  const logger = { ...silentLogger, warn: (text: string) => void warnings.push(text) };
  const wanted: WantedRights = (topic) => (topic === 'unneeded' ? [] : ['Read', 'Write']);
  const setup = new TopicSetup({ partitions: 1, replicationFactor: -1 }, logger, wanted);
  const problemOf = async (...names: string[]): Promise<string | undefined> => {
    try {
      await setup.ensure(admin, names);
      return undefined;
    } catch (error) {
      if (error instanceof TopicSetupError) return error.message;
      throw error;
    }
  };
  return { made, warnings, problemOf, setup, admin };
}

describe('the set-up of topics', () => {
  it('makes what is missing, and nothing that is there', async () => {
    const { made, problemOf } = createSetup({ a: GOOD });
    expect(await problemOf('a', 'b')).toBeUndefined();
    expect(made).toEqual(['b']);
  });

  it('needs no right to make topics that an administrator has made', async () => {
    const { made, problemOf, warnings } = createSetup(
      { a: GOOD, b: { ...GOOD, maximumMessageBytes: undefined } },
      false,
    );
    expect(await problemOf('a', 'b')).toBeUndefined();
    expect([made, warnings]).toEqual([[], []]);
  });

  it('names each topic that is not usable, the right that is lacking and what to do', async () => {
    const { problemOf } = createSetup({ a: 'forbidden', b: GOOD }, false);
    const problem = await problemOf('a', 'b', 'c');
    expect(problem).toContain('may not describe the topic "a": grant Read and Write on it');
    expect(problem).toContain('"c" does not exist, and this user may not create it');
    expect(problem).toContain(`max.message.bytes of at least ${TOPIC_MESSAGE_BYTES}, or grant Create`);
    expect(problem).not.toContain('"b"');
  });

  it('names the rights that are lacking on a topic that may be described, where the broker tells', async () => {
    const there = { both: GOOD, none: GOOD, reads: GOOD, untold: GOOD, unneeded: GOOD };
    const rights = { both: ['Read', 'Write'], none: [], reads: ['Read'], unneeded: [] } as const;
    const { problemOf } = createSetup(there, true, rights);
    expect(await problemOf('both', 'untold', 'unneeded')).toBeUndefined();
    const problem = await problemOf('none', 'reads');
    expect(problem).toContain(
      'describe the topic "none" and has not the right to Read and Write it: grant Read and Write',
    );
    expect(problem).toContain('describe the topic "reads" and has not the right to Write it: grant Write on it');
    expect(problem).toContain('npx concordat kafka acls');
  });

  it('refuses a topic that cannot carry every vote, and warns once of one that cannot carry all work', async () => {
    const small = { partitions: 1, maximumMessageBytes: LEAST_TOPIC_MESSAGE_BYTES - 1 };
    const ordinary = { partitions: 1, maximumMessageBytes: 1_048_588 };
    const { problemOf, warnings } = createSetup({ small, ordinary });
    expect(await problemOf('small')).toContain(`max.message.bytes, now ${small.maximumMessageBytes}, to at least`);
    expect(await problemOf('ordinary')).toBeUndefined();
    expect(await problemOf('ordinary')).toBeUndefined();
    expect(warnings).toEqual([expect.stringContaining('"ordinary" cannot carry the largest work')]);
  });

  it('warns of a topic with fewer partitions than are set', async () => {
    const { admin, warnings } = createSetup({ a: GOOD });
    const logger = { ...silentLogger, warn: (text: string) => void warnings.push(text) };
    await new TopicSetup({ partitions: 4, replicationFactor: -1 }, logger).ensure(admin, ['a']);
    expect(warnings).toEqual([expect.stringContaining('"a" has 1 partitions, 4 are configured')]);
  });

  it('says why the broker refuses a topic, and passes on that it cannot be asked', async () => {
    const { admin, setup } = createSetup({});
    const refuses = { ...admin, create: () => Promise.reject(new Error('replication factor larger than brokers')) };
    await expect(setup.ensure(refuses, ['a'])).rejects.toThrow('"a" does not exist and cannot be created: replication');
    const away = { ...admin, describe: () => Promise.reject(new Error('connection refused')) };
    await expect(setup.ensure(away, ['a'])).rejects.not.toBeInstanceOf(TopicSetupError);
  });

  it('can be looked at without creating anything: one finding for each topic, or more', async () => {
    const topics = { a: GOOD, b: 'forbidden', c: { partitions: 1, maximumMessageBytes: 1_000 } } as const;
    const settings = { partitions: 2, replicationFactor: -1 };
    const { admin, made } = createSetup(topics);
    const findings = await judgeTopics(admin, ['a', 'b', 'c', 'd'], settings);
    expect(findings.map(({ topic, state }) => `${topic} ${state}`)).toEqual([
      'a impaired',
      'b unusable',
      'c unusable',
      'c impaired',
      'd missing',
    ]);
    expect(made).toEqual([]);
    const [missing] = await judgeTopics(createSetup({}, false).admin, ['d'], settings);
    expect(missing).toMatchObject({ state: 'unusable', fix: expect.stringContaining('or grant Create') });
  });
});
