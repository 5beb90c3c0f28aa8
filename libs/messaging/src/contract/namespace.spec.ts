import { describe, expect, it } from '@jest/globals';
import { isTopicPrefix, MAXIMUM_TOPIC_PREFIX_LENGTH, Namespace } from './namespace.js';
import { decideTopic, prepareTopic, REPLIES_TOPIC } from './topics.js';

/** Kafka's own limit and charset. */
const KAFKA_TOPIC = /^[a-zA-Z0-9._-]{1,249}$/;

describe('the namespace of a cluster', () => {
  it('names topics and groups after prefix and cluster', () => {
    const namespace = new Namespace({ cluster: 'prod' });
    expect(namespace.topic(REPLIES_TOPIC)).toBe('concordat.prod.replies');
    expect(namespace.topic(prepareTopic('bank-a'))).toBe('concordat.prod.prepare.bank-a');
    expect(namespace.group('participant.bank-a')).toBe('concordat.prod.participant.bank-a');
    expect(new Namespace({ cluster: 'prod', topicPrefix: 'acme.tx_1' }).topic(decideTopic('b'))).toBe(
      'acme.tx_1.prod.decide.b',
    );
  });

  it('fits what Kafka takes with the longest names of all', () => {
    const longest = { cluster: 'c'.repeat(63), topicPrefix: 'p'.repeat(MAXIMUM_TOPIC_PREFIX_LENGTH) };
    const topic = new Namespace(longest).topic(prepareTopic('b'.repeat(63)));
    expect(topic).toMatch(KAFKA_TOPIC);
    expect(() => new Namespace({ ...longest, topicPrefix: `${longest.topicPrefix}p` })).toThrow('at most 100');
  });

  it.each(['', '.', '..', '.a', 'a.', '-a', '_a', 'a b', 'a/b', 'ä', 'a\n', 'a,b', 'x'.repeat(101)])(
    'refuses the prefix %j',
    (topicPrefix) => {
      expect(isTopicPrefix(topicPrefix)).toBe(false);
      expect(() => new Namespace({ cluster: 'prod', topicPrefix })).toThrow('cannot begin the names of topics');
    },
  );

  it.each(['', 'Prod', 'a.b', 'a_b', 'c'.repeat(64)])('refuses the cluster %j', (cluster) => {
    expect(() => new Namespace({ cluster })).toThrow('cannot name a cluster');
  });
});
