import { mkdtempSync, readFileSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it, jest } from '@jest/globals';
import { aclCommands } from './acls.js';
import { createSigningKey } from './key.js';

describe('concordat key create', () => {
  let directory: string;
  let printed: string;
  beforeEach(() => {
    directory = mkdtempSync(join(tmpdir(), 'concordat-key-'));
    printed = '';
    const write = (text: unknown): boolean => ((printed += String(text)), true);
    jest.spyOn(process.stdout, 'write').mockImplementation(write);
    jest.spyOn(process.stderr, 'write').mockImplementation(write);
  });
  afterEach(() => {
    jest.restoreAllMocks();
    rmSync(directory, { recursive: true });
  });

  it('writes a private key that only its owner may read, and prints the public one', () => {
    const path = join(directory, 'a.json');
    expect(createSigningKey({ id: 'a', senders: ['coordinator'], isShared: false, path })).toBe(true);
    const written = JSON.parse(readFileSync(path, 'utf8')) as { d: string; x: string };
    expect(statSync(path).mode & 0o777).toBe(0o600);
    expect(printed).toContain(written.x);
    expect(printed).not.toContain(written.d);
  });

  it('prints no secret that all share', () => {
    const path = join(directory, 'a.json');
    expect(createSigningKey({ id: 'a', senders: ['coordinator', 'participant:*'], isShared: true, path })).toBe(true);
    expect(printed).not.toContain((JSON.parse(readFileSync(path, 'utf8')) as { k: string }).k);
    expect(printed).toContain(`CONCORDAT_SIGNING_KEY_FILE=${path}`);
  });

  it('never replaces a key, and says what is wrong', () => {
    const path = join(directory, 'a.json');
    const request = { id: 'a', senders: ['coordinator'], isShared: false, path };
    createSigningKey(request);
    const before = readFileSync(path, 'utf8');
    expect(createSigningKey(request)).toBe(false);
    expect(printed).toContain('EEXIST: file already exists');
    expect(readFileSync(path, 'utf8')).toBe(before);
    expect(createSigningKey({ ...request, id: '../a' })).toBe(false);
    expect(createSigningKey({ ...request, senders: ['root'] })).toBe(false);
    expect(createSigningKey({ ...request, until: '2027-02-31' })).toBe(false);
    expect(printed).toContain('the sender is "root"; it must be "coordinator"');
  });
});

describe('concordat kafka acls', () => {
  const options = { cluster: 'prod', topicPrefix: 'concordat', principal: 'User:orders' };

  it('prints the rights of a participant', () => {
    expect(aclCommands({ ...options, participant: 'orders' }).split('\n')).toEqual([
      '# the rights of the participant orders of the cluster prod, for User:orders',
      'kafka-acls.sh --bootstrap-server "$BOOTSTRAP" --add --allow-principal User:orders --operation Read --operation Create --operation DescribeConfigs --topic concordat.prod.prepare.orders # work for it',
      'kafka-acls.sh --bootstrap-server "$BOOTSTRAP" --add --allow-principal User:orders --operation Read --operation Write --operation Create --operation DescribeConfigs --topic concordat.prod.decide.orders # decisions, and what it tells itself',
      'kafka-acls.sh --bootstrap-server "$BOOTSTRAP" --add --allow-principal User:orders --operation Write --operation DescribeConfigs --topic concordat.prod.replies # its votes and ends',
      'kafka-acls.sh --bootstrap-server "$BOOTSTRAP" --add --allow-principal User:orders --operation Write --topic concordat.prod.dead-letter # what it refuses',
      'kafka-acls.sh --bootstrap-server "$BOOTSTRAP" --add --allow-principal User:orders --operation Write --resource-pattern-type prefixed --topic concordat.prod.decide. # ballots of branches; only for transactions in three phases',
      'kafka-acls.sh --bootstrap-server "$BOOTSTRAP" --add --allow-principal User:orders --operation Read --group concordat.prod.participant.orders # its group',
      '',
    ]);
  });

  it('prints those of a coordinator, and every principal as one word', () => {
    const commands = aclCommands({ ...options, participant: undefined, principal: "User:CN=it's $(me)" });
    expect(commands).toContain(`--allow-principal 'User:CN=it'\\''s $(me)' --operation Read`);
    expect(commands).toContain('--resource-pattern-type prefixed --topic concordat.prod.prepare. #');
    expect(commands).toContain('--resource-pattern-type prefixed --group concordat.prod.coordinator. #');
    expect(commands.match(/--topic concordat\.prod\.replies/g)).toHaveLength(1);
  });
});
