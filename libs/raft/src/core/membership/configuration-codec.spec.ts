import { describe, expect, it } from '@jest/globals';
import { configurationFault, decodeConfiguration, encodeConfiguration } from './configuration-codec.js';
import { EMPTY_CONFIGURATION } from './configuration.js';
import { knownMember, TEST_GROUP_ID } from '../testing/members.js';
import { MAXIMUM_INTEGER, type Configuration } from '../types.js';

const members = [
  knownMember(1, { address: 'one:7001', data: '{"url":"http://one"}', priority: 1000 }),
  knownMember(2, { data: 'zwei „2“ \u0000' }),
  knownMember(3),
  knownMember(MAXIMUM_INTEGER),
];
const joint: Configuration = {
  groupId: TEST_GROUP_ID,
  members,
  voters: [1, 2],
  outgoing: [1, 3],
  learners: [MAXIMUM_INTEGER],
};
const single: Configuration = {
  groupId: TEST_GROUP_ID,
  members: [knownMember(1)],
  voters: [1],
  outgoing: [],
  learners: [],
};
const text = new TextEncoder();

describe('the form of a configuration in the log', () => {
  it.each([joint, single, EMPTY_CONFIGURATION])('is read as it was written: %j', (configuration) => {
    expect(decodeConfiguration(encodeConfiguration(configuration))).toEqual(configuration);
  });

  it('leaves out what it does not know', () => {
    const data = text.encode(JSON.stringify({ ...single, colour: 'green', members: [{ ...knownMember(1), age: 3 }] }));
    expect(decodeConfiguration(data)).toEqual(single);
  });

  it.each<[string, unknown]>([
    ['no JSON', 'voters'],
    ['no object', 7],
    ['null', null],
    ['no members', { ...single, members: undefined }],
    ['members of another type', { ...single, members: [1] }],
    ['a member without an address', { ...single, members: [{ ...knownMember(1), address: undefined }] }],
    ['a group without an id', { ...single, groupId: 0 }],
    ['a member without an incarnation', { ...single, members: [{ ...knownMember(1), incarnation: undefined }] }],
    ['no list of voters', { ...single, voters: '1' }],
    ['a voter that is a text', { ...single, voters: ['1'] }],
    ['a fraction', { ...single, voters: [1.5] }],
    ['an id beyond 2^48', { ...single, voters: [MAXIMUM_INTEGER + 1] }],
    ['too long a list', { ...single, learners: Array.from({ length: 65 }, (_, at) => at + 2) }],
  ])('is refused when it is %s', (_name, value) => {
    expect(decodeConfiguration(text.encode(value === 'voters' ? 'voters' : JSON.stringify(value)))).toBeUndefined();
  });

  it('is refused when it is not UTF-8', () => {
    expect(decodeConfiguration(new Uint8Array([0xff, 0xfe]))).toBeUndefined();
  });
});

describe('a configuration', () => {
  const many = (count: number): Configuration => {
    const voters = Array.from({ length: count }, (_, at) => at + 1);
    return {
      groupId: TEST_GROUP_ID,
      members: voters.map((nodeId) => knownMember(nodeId)),
      voters,
      outgoing: [],
      learners: [],
    };
  };

  it.each([joint, single, EMPTY_CONFIGURATION, many(64)])('is sound', (configuration) => {
    expect(configurationFault(configuration)).toBeUndefined();
  });

  it.each<[string, Configuration]>([
    ['has at most 64 members', many(65)],
    ['an address has at most 512 characters', { ...single, members: [knownMember(1, { address: 'x'.repeat(513) })] }],
    ["a member's data have at most 4096", { ...single, members: [knownMember(1, { data: 'x'.repeat(4097) })] }],
    ['a priority is an integer from 0 to 1000', { ...single, members: [knownMember(1, { priority: 1001 })] }],
    ['a priority is an integer from 0 to 1000', { ...single, members: [knownMember(1, { priority: 0.5 })] }],
    ['a node id is a positive integer', { ...single, members: [knownMember(0)] }],
    ['in the order of their ids', { ...joint, members: members.toReversed() }],
    ['at least one voter', { ...single, voters: [], learners: [1] }],
    ['a node is named twice', { ...single, voters: [1, 1] }],
    ['a learner is no voter', { ...single, learners: [1] }],
    ['exactly the nodes that have a role', { ...single, members: [knownMember(1), knownMember(2)] }],
    ['exactly the nodes that have a role', { ...single, voters: [1, 2] }],
    ['the incarnation of a voter is known', { ...single, members: [knownMember(1, { incarnation: 0 })] }],
    ['an incarnation is an integer', { ...single, members: [knownMember(1, { incarnation: 0.5 })] }],
    ['only a learner is on its return', { ...single, members: [knownMember(1, { returning: true })] }],
    ['while its vote is being left behind', { ...single, members: [knownMember(1, { nextIncarnation: 2 })] }],
  ])('has a fault: %s', (fault, configuration) => {
    expect(configurationFault(configuration)).toContain(fault);
  });
});
