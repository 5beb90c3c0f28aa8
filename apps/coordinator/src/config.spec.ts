import { describe, expect, it } from '@jest/globals';
import { formatProblems } from '@concordat/foundation';
import { formatHelp, parseConfig, VARIABLES } from './config.js';

const complete = {
  CONCORDAT_NODE_ID: '2',
  CONCORDAT_PEERS: '1=127.0.0.1:9081/127.0.0.1:8081,2=127.0.0.1:9082/127.0.0.1:8082',
  CONCORDAT_DATA_DIR: '/var/lib/concordat',
  KAFKA_BROKERS: 'kafka-1:9092, kafka-2:9092',
};

function problemsOf(changes: Record<string, string | undefined>): string[] {
  const result = parseConfig({ ...complete, ...changes });
  return result.ok ? [] : result.problems.map(({ variable }) => variable);
}

describe('configuration', () => {
  it('takes defaults, and the own addresses from the list of peers', () => {
    const result = parseConfig(complete);
    expect(result).toEqual({
      ok: true,
      config: {
        nodeId: 2,
        http: { host: '127.0.0.1', port: 8082 },
        raft: { host: '127.0.0.1', port: 9082 },
        peers: [
          { nodeId: 1, raft: { host: '127.0.0.1', port: 9081 }, http: { host: '127.0.0.1', port: 8081 } },
          { nodeId: 2, raft: { host: '127.0.0.1', port: 9082 }, http: { host: '127.0.0.1', port: 8082 } },
        ],
        dataDirectory: '/var/lib/concordat',
        clusterName: 'local',
        topicPrefix: 'concordat',
        link: 'kafka',
        kafkaBrokers: ['kafka-1:9092', 'kafka-2:9092'],
        direct: { host: '127.0.0.1', port: 0 },
        directAdvertised: undefined,
        retentionMs: 86_400_000,
        retentionCount: 1_000_000,
        retentionBytes: 1_073_741_824,
        retentionIntervalMs: 60_000,
        join: false,
        plainLinks: 'refuse',
        bootstrap: true,
        raftTls: undefined,
        tls: undefined,
        kafkaSecurity: undefined,
        inDoubtAfterMs: 5_000,
        maximumOpen: 200_000,
        maximumOpenBytes: 536_870_912,
        maximumBranches: 64,
        maximumConnections: undefined,
        requestTimeoutMs: 30_000,
        failpoints: { enabled: false, armed: '' },
        logFormat: 'text',
        logLevel: 'info',
        tickMs: 50,
        electionTicks: 7,
      },
    });
    expect(result.ok && Object.isFrozen(result.config.peers[0]?.http)).toBe(true);
  });

  it('names every variable that must be set, at once', () => {
    const result = parseConfig({});
    expect(result.ok ? [] : result.problems.map(({ variable }) => variable)).toEqual([
      'CONCORDAT_NODE_ID',
      'CONCORDAT_PEERS',
      'CONCORDAT_DATA_DIR',
      'KAFKA_BROKERS',
    ]);
  });

  it('needs no broker with direct streams alone, and takes no other link', () => {
    const direct = {
      ...complete,
      KAFKA_BROKERS: undefined,
      CONCORDAT_LINK: 'direct',
      CONCORDAT_DIRECT: '0.0.0.0:7081',
    };
    expect(parseConfig(direct)).toMatchObject({
      config: { link: 'direct', kafkaBrokers: [], direct: { host: '0.0.0.0', port: 7081 } },
    });
    expect(problemsOf({ CONCORDAT_LINK: 'both', KAFKA_BROKERS: undefined })).toEqual(['KAFKA_BROKERS']);
    expect(problemsOf({ CONCORDAT_LINK: 'carrier-pigeon' })).toEqual(['CONCORDAT_LINK']);
    expect(problemsOf({ CONCORDAT_DIRECT: 'here' })).toEqual(['CONCORDAT_DIRECT']);
    expect(parseConfig({ ...direct, CONCORDAT_DIRECT_ADVERTISED: 'node-2.example:7999' })).toMatchObject({
      config: { direct: { port: 7081 }, directAdvertised: { host: 'node-2.example', port: 7999 } },
    });
  });

  it('says the variable, the value and what would be right', () => {
    const result = parseConfig({ ...complete, CONCORDAT_MAX_BRANCHES: 'many', KAFKA_BROKERS: '' });
    expect(result.ok ? '' : formatProblems(result.problems)).toBe(
      'CONCORDAT_MAX_BRANCHES="many" is wrong; it must be a whole number from 1 to 64\n' +
        'KAFKA_BROKERS is not set; it must be host:port, several separated by commas (or set CONCORDAT_LINK=direct, which needs no broker)',
    );
  });

  it.each([
    ['CONCORDAT_NODE_ID', '0'],
    ['CONCORDAT_NODE_ID', '1.5'],
    ['CONCORDAT_NODE_ID', 'a'],
    ['CONCORDAT_PEERS', '2=127.0.0.1:9082'],
    ['CONCORDAT_PEERS', '2=127.0.0.1:9082/127.0.0.1:99999'],
    ['CONCORDAT_PEERS', `${complete.CONCORDAT_PEERS},2=a:1/b:2`],
    ['CONCORDAT_PEERS', '1=127.0.0.1:9081/127.0.0.1:8081'],
    ['CONCORDAT_HTTP', '8082'],
    ['CONCORDAT_HTTP', '127.0.0.1:8081'],
    ['CONCORDAT_HTTP', '10.0.0.7:8082'],
    ['CONCORDAT_RAFT', '127.0.0.1:9081'],
    ['CONCORDAT_DIRECT_ADVERTISED', 'coordinator-2'],
    ['CONCORDAT_DIRECT_ADVERTISED', 'coordinator-2:0'],
    ['CONCORDAT_DIRECT_ADVERTISED', '0.0.0.0:7082'],
    ['CONCORDAT_DIRECT_ADVERTISED', '[::]:7082'],
    ['CONCORDAT_JOIN', 'yes'],
    ['CONCORDAT_JOIN', '1'],
    ['CONCORDAT_CLUSTER', 'Production'],
    ['CONCORDAT_CLUSTER', 'a:b'],
    ['CONCORDAT_TOPIC_PREFIX', 'a b'],
    ['CONCORDAT_TOPIC_PREFIX', '.a'],
    ['CONCORDAT_TOPIC_PREFIX', 'a/b'],
    ['CONCORDAT_TOPIC_PREFIX', 'x'.repeat(101)],
    ['KAFKA_BROKERS', 'kafka'],
    ['KAFKA_BROKERS', 'a:1,,b:2'],
    ['CONCORDAT_RETENTION_MS', '10'],
    ['CONCORDAT_RETENTION_COUNT', '9999'],
    ['CONCORDAT_RETENTION_INTERVAL_MS', '99'],
    ['CONCORDAT_IN_DOUBT_AFTER_MS', '-1'],
    ['CONCORDAT_MAX_OPEN', '999'],
    ['CONCORDAT_MAX_BRANCHES', '0'],
    ['CONCORDAT_FAILPOINTS', 'yes'],
    ['CONCORDAT_FAILPOINTS', 'no.such.point=kill'],
    ['CONCORDAT_LOG_FORMAT', 'xml'],
    ['CONCORDAT_LOG_LEVEL', 'INFO'],
    ['CONCORDAT_TICK_MS', '0'],
    ['CONCORDAT_ELECTION_TICKS', '1'],
  ])('refuses %s=%s', (name, value) => {
    expect(problemsOf({ [name]: value })).toEqual([name]);
  });

  it.each([
    ['CONCORDAT_JOIN', 'true'],
    ['CONCORDAT_JOIN', 'false'],
    ['CONCORDAT_HTTP', '0.0.0.0:8082'],
    ['CONCORDAT_HTTP', '[::]:8082'],
    ['CONCORDAT_HTTP', 'localhost:8082'],
    ['CONCORDAT_RAFT', 'node-2.internal:9082'],
    ['CONCORDAT_FAILPOINTS', 'on'],
    ['CONCORDAT_FAILPOINTS', 'coordinator.decide.after-append=kill@2'],
  ])('takes %s=%s', (name, value) => {
    expect(problemsOf({ [name]: value })).toEqual([]);
  });

  it('wants a node that joins to know itself and another node', () => {
    const join = { CONCORDAT_JOIN: 'true' };
    const result = parseConfig({ ...complete, ...join });
    expect(result.ok && result.config.join).toBe(true);
    expect(problemsOf({ ...join, CONCORDAT_PEERS: '2=127.0.0.1:9082/127.0.0.1:8082' })).toEqual(['CONCORDAT_PEERS']);
    expect(problemsOf({ ...join, CONCORDAT_PEERS: '1=127.0.0.1:9081/127.0.0.1:8081' })).toEqual(['CONCORDAT_PEERS']);
  });

  it('prints every variable in its help', () => {
    const help = formatHelp();
    for (const name of Object.keys(VARIABLES)) expect(help).toContain(`  ${name}  (`);
    expect(help).toContain('CONCORDAT_NODE_ID  (required)');
    expect(help).toContain('CONCORDAT_RETENTION_MS  (default 86400000 ms)');
    expect(help).toContain('CONCORDAT_AUDIT_FILE  (optional)');
    expect(help).toContain('CONCORDAT_CLOCK_FILE  (optional)');
  });
});
